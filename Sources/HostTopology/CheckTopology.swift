extension HostTopology {
    /// Bytes of memory that one node can have at most: sums over every node then fit 64 bits.
    static let memoryLimit: UInt64 = 1 << 50

    /// Checks that the parts of the value agree with each other, as those that the kernel shows do; a topology that was
    /// decoded has been checked.
    ///
    /// - Throws: ``HostTopologyError/inconsistent(_:)``.
    public func check() throws(HostTopologyError) {
        func demand(_ holds: Bool, _ sentence: @autoclosure () -> String) throws(HostTopologyError) {
            guard holds else { throw .inconsistent(sentence()) }
        }
        try demand(version == 1, "version \(version) is not known; 1 is")
        try demand(!nodes.isEmpty && !cpus.isEmpty, "it needs a node and a CPU at least")
        try demand(Self.ascend(nodes.map(\.id)), "nodes have to be sorted by id, from 0 to \(CPUSet.limit - 1)")
        try demand(Self.ascend(cpus.map(\.id)), "cpus have to be sorted by id, from 0 to \(CPUSet.limit - 1)")
        try demand(offline.isDisjoint(with: online), "CPUs \(offline.intersection(online)) are online and offline")

        let onNodes = Dictionary(uniqueKeysWithValues: nodes.map { ($0.id, $0.cpus) })
        let byId = Dictionary(uniqueKeysWithValues: cpus.map { ($0.id, $0) })
        var placed = CPUSet()
        for node in nodes {
            try node.check()
            try demand(node.cpus.isDisjoint(with: placed), "node \(node.id) has CPUs of another node")
            placed = placed.union(node.cpus)
            for other in node.distances.keys.sorted() {
                try demand(onNodes[other] != nil, "node \(node.id) has a distance to node \(other), which is not there")
            }
        }
        try demand(placed == online, "the nodes' CPUs \(placed) are not the online CPUs \(online)")
        for cpu in cpus {
            try demand(onNodes[cpu.node]?.contains(cpu.id) == true, "CPU \(cpu.id) is not on its node \(cpu.node)")
            for (name, set) in [("siblings", cpu.siblings), ("cache", cpu.cache)] {
                try demand(
                    set.contains(cpu.id) && set.isSubset(of: placed),
                    "\(name) \(set) of CPU \(cpu.id) have to be online CPUs with itself among them")
            }
            for sibling in cpu.siblings {
                try demand(
                    byId[sibling]?.siblings == cpu.siblings && byId[sibling]?.socket == cpu.socket,
                    "siblings \(cpu.siblings) of CPU \(cpu.id) do not agree among themselves")
            }
        }
        try demand(Set(devices.map(\.address)).count == devices.count, "a device is listed twice")
        for device in devices {
            try demand(HostDevice.isAddress(device.address), "a device's address has to be such as 0000:3b:02.1")
            try demand(
                device.node.map { onNodes[$0] != nil } ?? true,
                "device \(device.address) is on node \(device.node ?? -1), which is not there")
        }
        for reservation in reservations {
            try demand(
                reservation.size > 0 && reservation.count <= Self.memoryLimit / reservation.size,
                "reservations are of more than \(Self.memoryLimit) bytes")
        }
    }

    private static func ascend(_ ids: [Int]) -> Bool {
        ids.allSatisfy { (0..<CPUSet.limit).contains($0) } && zip(ids, ids.dropFirst()).allSatisfy { $0 < $1 }
    }
}

extension HostNode {
    fileprivate func check() throws(HostTopologyError) {
        guard memory <= HostTopology.memoryLimit, free <= memory, (free...memory).contains(available) else {
            throw .inconsistent(
                "node \(id): free \(free) ≤ available \(available) ≤ memory \(memory) ≤ \(HostTopology.memoryLimit) "
                    + "does not hold")
        }
        guard distances.values.allSatisfy({ (1...Int(UInt16.max)).contains($0) }) else {
            throw .inconsistent("node \(id): distances are from 1 to \(UInt16.max)")
        }
        guard Set(hugePages.map(\.size)).count == hugePages.count else {
            throw .inconsistent("node \(id): a size of huge pages is listed twice")
        }
        var rest = HostTopology.memoryLimit
        for pool in hugePages {
            guard pool.size > 0, pool.free <= pool.total, pool.total <= rest / pool.size else {
                throw .inconsistent(
                    "node \(id): \(pool.total) huge pages of \(pool.size) bytes, \(pool.free) of them free, cannot be")
            }
            rest -= pool.total * pool.size
        }
    }
}

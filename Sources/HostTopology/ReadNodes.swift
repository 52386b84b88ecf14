extension HostTopology {
    /// The memory nodes, by id, with the CPUs of `online` that are on them.
    static func readNodes(
        _ system: Sysfs, _ process: Sysfs, online: CPUSet
    ) throws(HostTopologyError) -> [HostNode] {
        let sizes = try hugePageSizes(system)
        guard let ids = try system.set("devices/system/node/online"), !ids.isEmpty else {
            var node = HostNode(id: 0, cpus: online, memory: 0, distances: [0: 10])
            try node.readMemory(process.path("meminfo"), Sysfs(root: system.path("kernel/mm/hugepages")), sizes: sizes)
            return [node]
        }
        var nodes: [HostNode] = []
        var placed = CPUSet()
        for id in ids {
            let directory = Sysfs(root: system.path("devices/system/node/node\(id)"))
            guard let cpus = try directory.set("cpulist")?.intersection(online) else {
                throw .missing(file: directory.path("cpulist"))
            }
            var node = HostNode(
                id: id, cpus: cpus.subtracting(placed), memory: 0, distances: try distances(directory, to: ids))
            placed = placed.union(cpus)
            try node.readMemory(directory.path("meminfo"), Sysfs(root: directory.path("hugepages")), sizes: sizes)
            nodes.append(node)
        }
        guard !placed.isEmpty else {
            throw .inconsistent("no node below \(system.path("devices/system/node")) has a CPU of \(online)")
        }
        return nodes
    }

    /// Reads again what changes while pods come and go: free memory, the pools of huge pages, and reservations.
    ///
    /// One file for each node and two for each page size on it. CPUs and devices stay as they are.
    ///
    /// - Throws: ``HostTopologyError``; the value is then unchanged.
    public mutating func refreshMemory(sysfs: String = "/sys", procfs: String = "/proc") throws(HostTopologyError) {
        let system = Sysfs(root: sysfs)
        let sizes = try HostTopology.hugePageSizes(system)
        var fresh = nodes
        let nodeDirectory = "devices/system/node"
        let hasNodes = try system.set("\(nodeDirectory)/online")?.isEmpty == false
        for index in fresh.indices {
            let directory = system.path("\(nodeDirectory)/node\(fresh[index].id)")
            let meminfo = hasNodes ? "\(directory)/meminfo" : "\(procfs)/meminfo"
            let pools = hasNodes ? "\(directory)/hugepages" : system.path("kernel/mm/hugepages")
            try fresh[index].readMemory(meminfo, Sysfs(root: pools), sizes: sizes)
        }
        reservations = try HostTopology.readReservations(system)
        nodes = fresh
    }

    /// Reservations of huge pages, those that are there.
    static func readReservations(_ system: Sysfs) throws(HostTopologyError) -> [HugePageReservation] {
        var reservations: [HugePageReservation] = []
        for size in try hugePageSizes(system) {
            let file = "kernel/mm/hugepages/hugepages-\(size >> 10)kB/resv_hugepages"
            if let count = try system.count(file), count > 0 {
                reservations.append(HugePageReservation(size: size, count: count))
            }
        }
        return reservations
    }

    /// The kernel's sizes of huge pages in bytes, ascending. Nodes have pools of these sizes or, without memory, none.
    private static func hugePageSizes(_ system: Sysfs) throws(HostTopologyError) -> [UInt64] {
        var sizes: [UInt64] = []
        for name in try system.names("kernel/mm/hugepages") where name.hasPrefix("hugepages-") && name.hasSuffix("kB") {
            guard let kilobytes = UInt64(name.dropFirst(10).dropLast(2)), (1...1 << 40).contains(kilobytes) else {
                throw .malformed(system.path("kernel/mm/hugepages"), name, wanted: "a name such as hugepages-2048kB")
            }
            sizes.append(kilobytes << 10)
        }
        return sizes.sorted()
    }

    /// The distances to the online nodes, in whose order the kernel lists them.
    private static func distances(_ directory: Sysfs, to ids: CPUSet) throws(HostTopologyError) -> [Int: Int] {
        guard let text = try directory.text("distance", limit: 1 << 16) else { return [:] }
        let numbers = text.split(separator: " ").map { UInt16($0) }
        guard numbers.count == ids.count else {
            throw .malformed(directory.path("distance"), text, wanted: "one distance for each of the nodes \(ids)")
        }
        var distances: [Int: Int] = [:]
        for (id, number) in zip(ids, numbers) {
            guard let number else {
                throw .malformed(directory.path("distance"), text, wanted: "a list of distances below 65536")
            }
            distances[id] = Int(number)
        }
        return distances
    }
}

extension HostNode {
    /// Reads memory and pools. The lines of a node's meminfo start with `Node 0`, those of /proc/meminfo do not.
    mutating func readMemory(_ meminfo: String, _ pools: Sysfs, sizes: [UInt64]) throws(HostTopologyError) {
        let slash = meminfo.lastIndex(of: "/") ?? meminfo.startIndex
        let file = Sysfs(root: String(meminfo[..<slash]))
        guard let text = try file.text(String(meminfo[slash...].dropFirst()), limit: 1 << 16) else {
            throw .missing(file: meminfo)
        }
        var bytes: [Substring: UInt64] = [:]
        for line in text.split(separator: "\n") {
            var words = line.split(separator: " ")[...]
            if words.first == "Node" { words = words.dropFirst(2) }
            guard let name = words.first, words.count == 3, words.last == "kB" else { continue }
            guard let kilobytes = UInt64(words[words.startIndex + 1]), kilobytes <= HostTopology.memoryLimit >> 10
            else {
                throw .malformed(meminfo, line, wanted: "a line such as \"MemFree: 1024 kB\"")
            }
            bytes[name.dropLast()] = kilobytes << 10
        }
        guard let total = bytes["MemTotal"], let free = bytes["MemFree"] else {
            throw .malformed(meminfo, text, wanted: "text with the lines MemTotal and MemFree")
        }
        let inactive = bytes["Inactive(file)"] ?? 0
        let unclean = (bytes["Dirty"] ?? 0) + (bytes["Writeback"] ?? 0)
        self.memory = total
        self.free = min(free, total)
        self.available = min(free + (inactive > unclean ? inactive - unclean : 0), total)
        var hugePages: [HugePagePool] = []
        for size in sizes {
            let directory = "hugepages-\(size >> 10)kB"
            guard let total = try pools.count("\(directory)/nr_hugepages") else { continue }
            let free = try pools.count("\(directory)/free_hugepages") ?? 0
            guard total <= HostTopology.memoryLimit / size else {
                throw .malformed(pools.path("\(directory)/nr_hugepages"), "\(total)", wanted: "a number of pages")
            }
            // The two files are read one after the other; the pool may have shrunk between them.
            hugePages.append(HugePagePool(size: size, total: total, free: min(free, total)))
        }
        self.hugePages = hugePages
    }
}

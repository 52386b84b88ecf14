public import HostTopology

extension HostFixtures {
    /// A host of any shape that the kernel could show, for properties that hold on all of them: up to four nodes a
    /// socket, one to three threads a core, nodes without memory, without CPUs and missing numbers, CPUs offline and
    /// isolated, pools that are empty, full and in between.
    ///
    /// - Parameter cores: the most cores that it has; few of them make hosts that can be searched exhaustively.
    public static func random(cores: Int = 32, using generator: inout some RandomNumberGenerator) -> HostTopology {
        func oneIn(_ count: Int) -> Bool { Int.random(in: 0..<count, using: &generator) == 0 }
        let cores = max(cores, 1)
        var layout = HostLayout()
        layout.sockets = min(Int.random(in: 1...2, using: &generator), cores)
        layout.nodesPerSocket = Int.random(in: 1...min(4, cores / layout.sockets), using: &generator)
        layout.coresPerNode = Int.random(
            in: 1...max(cores / layout.sockets / layout.nodesPerSocket, 1), using: &generator)
        layout.threads = [1, 2, 2, 3].randomElement(using: &generator) ?? 1
        layout.numbering = oneIn(3) ? .adjacent : .split
        layout.coresPerCache = oneIn(3) ? nil : Int.random(in: 1...layout.coresPerNode, using: &generator)
        layout.interleaved = layout.coresPerNode % 2 == 0 && oneIn(4)
        layout.memory = UInt64.random(in: 4...64, using: &generator) << 30
        layout.far = Int.random(in: 20...40, using: &generator)
        var host = layout.topology

        if oneIn(4) {
            let id = host.nodes.count + Int.random(in: 0...2, using: &generator)
            for index in host.nodes.indices { host.nodes[index].distances[id] = 24 }
            let others = host.nodes.map { ($0.id, 24) }
            host.nodes.append(
                HostNode(
                    id: id, cpus: [], memory: 16 << 30,
                    distances: Dictionary(uniqueKeysWithValues: others + [(id, 10)])))
        }
        for index in host.nodes.indices {
            if index > 0, oneIn(8), !host.nodes[index].cpus.isEmpty {
                (host.nodes[index].memory, host.nodes[index].free, host.nodes[index].available) = (0, 0, 0)
                continue
            }
            for size: UInt64 in [2 << 20, 1 << 30] where !oneIn(6) {
                let total = UInt64.random(in: 0...host.nodes[index].memory / 4 / size, using: &generator)
                let free = oneIn(4) ? 0 : oneIn(3) ? total : UInt64.random(in: 0...total, using: &generator)
                host.nodes[index].hugePages.append(HugePagePool(size: size, total: total, free: free))
            }
        }
        if oneIn(3) {
            host = host.takingOffline(CPUSet(host.online.dropFirst().filter { _ in oneIn(5) }))
        }
        if oneIn(3) {
            host.isolated = CPUSet(host.online.dropFirst().filter { _ in !oneIn(4) })
            if oneIn(2) { host.tickless = CPUSet(host.isolated.filter { _ in !oneIn(4) }) }
        }
        return host
    }
}

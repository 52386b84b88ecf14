extension HostTopology {
    /// The online CPUs, by id.
    ///
    /// Siblings, packages and caches are symmetric relations: what the first CPU of a group says is true for all of it, so
    /// that a group costs as many files as one CPU.
    static func readCPUs(
        _ system: Sysfs, online: CPUSet, nodes: [HostNode]
    ) throws(HostTopologyError) -> [HostCPU] {
        var cores: [Int: (number: Int, siblings: CPUSet)] = [:]
        var sockets: [Int: Int] = [:]
        var caches: [Int: CPUSet] = [:]
        var cpus: [HostCPU] = []
        for node in nodes {
            for id in node.cpus {
                let topology = "devices/system/cpu/cpu\(id)/topology"
                if cores[id] == nil {
                    let siblings = try group(
                        system, ["\(topology)/thread_siblings_list", "\(topology)/core_cpus_list"], of: id, in: online)
                    // -1 where firmware says nothing, as in many arm64 machines.
                    let number = try system.number("\(topology)/core_id") ?? -1
                    for sibling in siblings { cores[sibling] = (number < 0 ? id : number, siblings) }
                }
                if sockets[id] == nil {
                    let package = try group(
                        system, ["\(topology)/core_siblings_list", "\(topology)/package_cpus_list"], of: id, in: online)
                    let number = try system.number("\(topology)/physical_package_id") ?? -1
                    for member in package { sockets[member] = max(number, 0) }
                }
                if caches[id] == nil, let list = try lastLevelCache(system, of: id) {
                    let cache = list.intersection(online).union([id])
                    for member in cache { caches[member] = cache }
                }
                let (core, siblings) = cores[id] ?? (id, [id])
                cpus.append(
                    HostCPU(
                        id: id, node: node.id, socket: sockets[id] ?? 0, core: core, siblings: siblings,
                        cache: caches[id] ?? []))
            }
        }
        cpus.sort { $0.id < $1.id }
        // Virtual machines often have no caches to show. Nothing is known to divide a socket's part of a node then.
        for index in cpus.indices where cpus[index].cache.isEmpty {
            let (node, socket) = (cpus[index].node, cpus[index].socket)
            cpus[index].cache = CPUSet(cpus.lazy.filter { $0.node == node && $0.socket == socket }.map(\.id))
        }
        return cpus
    }

    /// The online CPUs of the first list that there is; the CPU alone where there is none. Newer names come second: old
    /// ones are on old and new kernels.
    private static func group(
        _ system: Sysfs, _ files: [String], of id: Int, in online: CPUSet
    ) throws(HostTopologyError) -> CPUSet {
        for file in files {
            if let set = try system.set(file) { return set.intersection(online).union([id]) }
        }
        return [id]
    }

    /// Who shares the cache of the highest level; nil where caches are not shown.
    private static func lastLevelCache(_ system: Sysfs, of id: Int) throws(HostTopologyError) -> CPUSet? {
        let cache = "devices/system/cpu/cpu\(id)/cache"
        var last: (level: Int, index: Int)?
        for index in 0..<16 {
            guard let level = try system.number("\(cache)/index\(index)/level") else { break }
            if level >= last?.level ?? 0 { last = (level, index) }
        }
        guard let last else { return nil }
        return try system.set("\(cache)/index\(last.index)/shared_cpu_list")
    }
}

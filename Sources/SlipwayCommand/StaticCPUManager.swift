internal import HostTopology

/// What the kubelet's CPU manager with the static policy gives to a container of a Guaranteed pod with whole CPUs
/// (kubernetes, pkg/kubelet/cm/cpumanager/cpu_assignment.go, takeByTopologyNUMAPacked): whole sockets and nodes, then
/// whole cores, then threads, each time from where the least is left.
///
/// Without the topology manager's hints, which come from devices and huge pages too.
struct StaticCPUManager {
    let host: HostTopology
    /// CPUs that may be given away.
    let available: CPUSet

    /// CPUs for a container; nil when there are too few.
    func take(_ count: Int) -> CPUSet? {
        guard count > 0, available.count >= count else { return nil }
        var taken = CPUSet()
        func takeWhole(_ groups: [CPUSet]) {
            let free = available.subtracting(taken)
            for group in groups where group.isSubset(of: free) && taken.count + group.count <= count {
                taken = taken.union(group)
            }
        }
        let nodes = host.nodes.map(\.cpus).filter { !$0.isEmpty }
        let sockets = groups(by: \.socket)
        // Whichever holds the other goes first.
        takeWhole(nodes.count > sockets.count ? sockets : nodes)
        takeWhole(nodes.count > sockets.count ? nodes : sockets)
        takeWhole(cores(without: taken))
        for core in cores(without: taken) {
            for cpu in core.intersection(available) where taken.count < count && !taken.contains(cpu) {
                taken.insert(cpu)
            }
        }
        return taken
    }

    private func groups(by key: (HostCPU) -> Int) -> [CPUSet] {
        var groups: [Int: CPUSet] = [:]
        for cpu in host.cpus { groups[key(cpu), default: []].insert(cpu.id) }
        return groups.sorted { $0.key < $1.key }.map(\.value)
    }

    /// Cores node by node: nodes, and within them cores, with the fewest free CPUs first.
    private func cores(without taken: CPUSet) -> [CPUSet] {
        let free = available.subtracting(taken)
        func rank(_ cpus: CPUSet) -> [Int] { [cpus.intersection(free).count, cpus.first ?? 0] }
        let nodes = host.nodes.map(\.cpus).sorted { rank($0).lexicographicallyPrecedes(rank($1)) }
        let cores = Set(host.cpus.map(\.siblings))
        return nodes.flatMap { node in
            cores.filter { node.contains($0.first ?? -1) && !$0.isDisjoint(with: free) }
                .sorted { rank($0).lexicographicallyPrecedes(rank($1)) }
        }
    }
}

public import HostTopology

/// A regular host: so many sockets of so many nodes of so many cores.
public struct HostLayout: Sendable {
    /// How the kernel numbers the threads of a core.
    public enum Numbering: Sendable, CaseIterable {
        /// First threads of every core, then second ones: n and n + cores, as bare-metal x86 does.
        case split
        /// The threads of a core side by side: 2n and 2n + 1, as many virtual machines and POWER do.
        case adjacent
    }

    /// Sockets.
    public var sockets = 1
    /// Memory nodes of each socket.
    public var nodesPerSocket = 1
    /// Cores of each node.
    public var coresPerNode = 4
    /// Threads of each core.
    public var threads = 1
    /// How threads are numbered.
    public var numbering = Numbering.split
    /// Cores that share a last-level cache; nil: those of the socket, on whichever nodes.
    public var coresPerCache: Int?
    /// Whether the socket's cores are dealt to its nodes two at a time, not in one piece each.
    public var interleaved = false
    /// Bytes of each node.
    public var memory: UInt64 = 16 << 30
    /// Pools of each node.
    public var hugePages: [HugePagePool] = []
    /// Distance between nodes of a socket.
    public var near = 12
    /// Distance between sockets.
    public var far = 21

    /// One socket of four cores.
    public init() {}

    /// The host: all of it online, the memory outside huge pages half free and an eighth in page cache.
    public var topology: HostTopology {
        let coresPerSocket = nodesPerSocket * coresPerNode
        let cores = sockets * coresPerSocket
        var cpus: [HostCPU] = []
        for core in 0..<cores {
            let (socket, local) = core.quotientAndRemainder(dividingBy: coresPerSocket)
            let node = interleaved ? local / 2 % nodesPerSocket : local / coresPerNode
            let group = coresPerCache.map { local / $0 * $0..<min(local / $0 * $0 + $0, coresPerSocket) }
            let sharing = (group ?? 0..<coresPerSocket).map { $0 + socket * coresPerSocket }
            for thread in 0..<threads {
                cpus.append(
                    HostCPU(
                        id: id(core, thread, of: cores), node: socket * nodesPerSocket + node, socket: socket,
                        core: local, siblings: CPUSet((0..<threads).map { id(core, $0, of: cores) }),
                        cache: CPUSet(sharing.flatMap { core in (0..<threads).map { id(core, $0, of: cores) } })))
            }
        }
        cpus.sort { $0.id < $1.id }
        let ids = 0..<sockets * nodesPerSocket
        let pooled = hugePages.reduce(0) { $0 + $1.size * $1.total }
        let free = (memory - min(pooled, memory)) / 2048 * 1024
        let nodes = ids.map { id in
            let distances = ids.map { other in
                (other, other == id ? 10 : other / nodesPerSocket == id / nodesPerSocket ? near : far)
            }
            return HostNode(
                id: id, cpus: CPUSet(cpus.lazy.filter { $0.node == id }.map(\.id)), memory: memory, free: free,
                available: min(free + free / 4096 * 1024, memory),
                distances: Dictionary(uniqueKeysWithValues: distances), hugePages: hugePages)
        }
        return HostTopology(nodes: nodes, cpus: cpus)
    }

    private func id(_ core: Int, _ thread: Int, of cores: Int) -> Int {
        switch numbering {
        case .split: core + thread * cores
        case .adjacent: core * threads + thread
        }
    }
}

extension HostTopology {
    /// The same host with CPUs taken offline, as the kernel shows it then: without their place among the others.
    public func takingOffline(_ gone: CPUSet) -> HostTopology {
        var host = self
        host.offline = offline.union(online.intersection(gone))
        host.cpus.removeAll { gone.contains($0.id) }
        for index in host.cpus.indices {
            host.cpus[index].siblings = host.cpus[index].siblings.subtracting(gone)
            host.cpus[index].cache = host.cpus[index].cache.subtracting(gone)
        }
        for index in host.nodes.indices { host.nodes[index].cpus = host.nodes[index].cpus.subtracting(gone) }
        return host
    }
}

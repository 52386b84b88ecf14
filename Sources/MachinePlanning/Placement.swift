public import HostTopology

/// Where a machine's threads run and where its RAM lies.
public struct Placement: Codable, Equatable, Sendable {
    /// The CPUs of the vCPU threads.
    public var processors: Decision<Processors>
    /// The CPUs of QEMU's own threads, I/O threads included; empty: wherever the cgroup lets them.
    public var emulator: Decision<CPUSet>
    /// The sockets, cores and threads that the guest sees.
    public var topology: Decision<GuestTopology>
    /// The pages of the RAM.
    public var pages: Decision<PageKind>
    /// The guest's NUMA cells by number; at least one.
    public var cells: [Cell]
    /// The vCPUs whose threads have the FIFO scheduler; empty: none.
    public var realtime: Decision<CPUSet>
    /// Whether QEMU's memory is locked.
    public var locked: Decision<Bool>

    /// The CPUs of the vCPU threads.
    public enum Processors: Codable, Equatable, Sendable {
        /// vCPU n has the CPU at index n, and no other thread of the node's pods has it.
        case pinned([Int])
        /// Every vCPU runs on any of these.
        case floating(CPUSet)
        /// Wherever the cgroup lets them.
        case anywhere
    }

    /// What RAM is made of.
    public enum PageKind: Codable, Equatable, Sendable {
        /// The kernel's ordinary pages.
        case ordinary
        /// Huge pages of so many bytes each, all taken before the guest starts.
        case huge(size: UInt64)
    }

    /// What the guest sees of sockets and cores. Their product is ``MachinePlan/vcpusLimit``.
    public struct GuestTopology: Codable, Equatable, Sendable {
        // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
        public var sockets, cores, threads: Int

        /// A topology.
        public init(sockets: Int, cores: Int, threads: Int) {
            self.sockets = sockets
            self.cores = cores
            self.threads = threads
        }
    }

    /// A NUMA cell of the guest.
    public struct Cell: Codable, Equatable, Sendable {
        /// Its vCPUs, those that may come later included.
        public var vcpus: CPUSet
        /// Bytes of RAM.
        public var memory: UInt64
        /// The host's node that it mirrors; nil: none.
        public var node: Int?
        /// Nodes of the host without memory whose CPUs count to it.
        public var memoryless: CPUSet = []
        /// The host's nodes that its RAM comes from, and how much of it from each; empty: any.
        public var sources: [Source]
        /// How firmly.
        public var binding: MachineAnnotations.NUMAPolicy
        /// Distances to the cells by number; 10 is its own.
        public var distances: [Int]
        /// Why it is so.
        public var reason: String

        /// Whether a CPU or a function of a host's node belongs to it.
        public func mirrors(_ node: Int) -> Bool { node == self.node || memoryless.contains(node) }

        /// RAM from one node.
        public struct Source: Codable, Equatable, Sendable {
            /// The node.
            public var node: Int
            /// Bytes.
            public var bytes: UInt64
        }
    }

    /// The huge pages that the machine takes, by node.
    public var holdings: [Holding.Pages] {
        guard case .huge(let size) = pages.value else { return [] }
        var counts: [Int: UInt64] = [:]
        for source in cells.flatMap(\.sources) { counts[source.node, default: 0] += source.bytes / size }
        return counts.sorted { $0.key < $1.key }.map { Holding.Pages(node: $0.key, size: size, count: $0.value) }
    }

    /// The CPUs that are the machine's alone, the emulator's included; empty for machines without pins.
    public var exclusive: CPUSet {
        guard case .pinned(let cpus) = processors.value else { return [] }
        return CPUSet(cpus).union(emulator.value)
    }

    /// Whether the guest is shown NUMA cells: where there is one cell and nothing is tied to a node, there is nothing to say.
    public var showsCells: Bool {
        if case .pinned = processors.value { return true }
        return cells.count > 1 || pages.value != .ordinary
    }
}

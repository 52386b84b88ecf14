public import HostTopology

/// What one pod's machine holds of the node: CPUs that are its own, and huge pages. A file for each sandbox, so that
/// pods of different sandbox processes never share an exclusive CPU nor count the same free page twice.
///
/// A claim holds as long as its machine may be running, and not longer: see ``isAlive``.
public struct PlacementClaim: Codable, Equatable, Sendable {
    /// The layout's version.
    public internal(set) var version = Self.currentVersion
    /// The path of the owner's ``StateDirectory``.
    public internal(set) var owner: String
    /// The pod's namespace, empty outside Kubernetes.
    public var podNamespace: String
    /// The pod's name, empty outside Kubernetes.
    public var podName: String
    /// CPUs that nobody else's machine may have.
    public var cpus: CPUSet
    /// Huge pages.
    public var pages: [Holding.Pages]
    /// Whether the pages are counted by the kernel already.
    public var phase: Phase
    /// Whether the CPUs are kept free of the node's device interrupts.
    public var interrupts: Bool

    static let currentVersion = 1

    /// How far the owner's machine is.
    public enum Phase: Codable, Equatable, Sendable {
        /// QEMU has not allocated yet: the kernel still shows the pages as free, and others have to subtract them.
        case pending
        /// QEMU runs and has allocated: the kernel's free pages are without these. Holds as long as that process lives.
        case held(by: SandboxRecord.ProcessIdentity)
    }

    /// A claim, pending where nothing else is said.
    public init(
        owner: StateDirectory, podNamespace: String, podName: String, cpus: CPUSet, pages: [Holding.Pages] = [],
        phase: Phase = .pending, interrupts: Bool = false
    ) {
        self.owner = owner.path
        self.podNamespace = podNamespace
        self.podName = podName
        self.cpus = cpus
        self.pages = pages
        self.phase = phase
        self.interrupts = interrupts
    }
}

extension Holding.Pages {
    /// Numbers that no machine has, which would overflow when they are added up.
    var isPlausible: Bool {
        (0..<CPUSet.limit).contains(node) && size >= 1 << 12 && size <= 1 << 36 && count <= (1 << 50) / size
    }
}

extension Sequence<PlacementClaim> {
    /// The CPUs that belong to one machine each.
    public var exclusiveCPUs: CPUSet { reduce(CPUSet()) { $0.union($1.cpus) } }

    /// The CPUs that are kept free of interrupts.
    public var interruptFreeCPUs: CPUSet { reduce(CPUSet()) { $1.interrupts ? $0.union($1.cpus) : $0 } }

    /// Pages that the kernel shows as free and that are promised already.
    public func pendingPages(node: Int, size: UInt64) -> UInt64 {
        reduce(0) { sum, claim in
            guard claim.phase == .pending else { return sum }
            return claim.pages.reduce(sum) { $1.node == node && $1.size == size ? $0 + $1.count : $0 }
        }
    }
}

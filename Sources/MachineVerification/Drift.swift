public import HostTopology
public import MachinePlanning

/// A difference between what was decided about a machine and what is there.
public struct Drift: Codable, Equatable, Sendable {
    /// How bad it is.
    public enum Severity: String, Codable, Sendable {
        /// The machine does not have what its plan promises.
        case drift
        /// Worth knowing; the plan promises nothing about it.
        case note
    }

    /// How bad it is.
    public var severity: Severity
    /// What differs: `vCPU 1`, `RAM on node 0`.
    public var subject: String
    /// What was decided.
    public var planned: String
    /// What is there.
    public var found: String
    /// What to do about it; empty where nothing is.
    public var remedy: String

    /// A difference that the plan does not allow.
    public init(_ subject: String, planned: String, found: String, remedy: String = "") {
        self.init(.drift, subject, planned: planned, found: found, remedy: remedy)
    }

    /// A difference.
    public init(_ severity: Severity, _ subject: String, planned: String, found: String, remedy: String = "") {
        self.severity = severity
        self.subject = subject
        self.planned = planned
        self.found = found
        self.remedy = remedy
    }

    /// One line for people.
    public var description: String {
        "\(subject): planned \(planned), found \(found)" + (remedy.isEmpty ? "" : "; \(remedy)")
    }

    /// Compares a plan with what is there. Pure.
    ///
    /// RAM on huge pages is compared to the byte, by node where its binding is strict and in all where it is preferred.
    /// Ordinary memory comes and goes: it is drift only where it is strictly bound and lies on another node. Threads may
    /// be held to fewer CPUs than planned, never to others.
    ///
    /// - Parameters:
    ///   - host: the node, for PCI functions' groups.
    ///   - own: what the pod's claim says that it holds; nil: it has none.
    ///   - others: what other pods hold, and the CPUs that other machines' threads may run on.
    public static func between(
        _ plan: MachinePlan, _ machine: ObservedMachine, on host: HostTopology, own: Holding?, others: [Holding]
    ) -> [Drift] {
        let comparison = Comparison(plan: plan, machine: machine, host: host, own: own, others: others)
        return comparison.vcpus() + comparison.otherThreads() + comparison.neighbours() + comparison.memory()
            + comparison.lockedMemory() + comparison.cgroup() + comparison.claim() + comparison.devices()
            + comparison.nics() + comparison.privileges() + comparison.definition()
    }
}

/// What is compared.
struct Comparison {
    let plan: MachinePlan
    let machine: ObservedMachine
    let host: HostTopology
    let own: Holding?
    let others: [Holding]

    var placement: Placement { plan.placement }
}

extension CPUSet {
    /// For sentences.
    var words: String { isEmpty ? "none" : (count == 1 ? "CPU " : "CPUs ") + description }
}

import FoundationEssentials
public import HostTopology
import InterruptAffinity
import LinuxSystem
import MachinePlanning
public import StateDirectory

/// A plan and the claim that makes it true: nobody else on the node plans with the same CPUs and pages. All calls block.
struct ClaimedPlan: Sendable {
    let owner: StateDirectory
    let root: String

    /// How long a pod waits for pages that others have asked for and may not get.
    private static let patience: Int32 = 10_000

    /// Plans with what the node has at this moment less what its other pods hold, and writes the claim.
    ///
    /// - Throws: `PlanRefusal`, `HostTopologyError`, or what the claims throw.
    func take(_ request: MachineRequest) throws -> MachinePlan {
        try PlacementClaim.take(for: owner, root: root, patience: Self.patience) { others in
            let host = try HostTopology.read(devices: request.functions)
            do throws(PlanRefusal) {
                let plan = try MachinePlan(request, on: host, beside: others.holdings)
                return .fits(plan.claim(of: owner), plan)
            } catch {
                // Would it fit if those that have not taken their pages yet gave up?
                let waits = error.kind == .exhausted && others.contains { $0.phase == .pending && !$0.pages.isEmpty }
                let cpusAlone = others.map { Holding(pod: $0.pod, cpus: $0.cpus) }
                if waits, (try? MachinePlan(request, on: host, beside: cpusAlone)) != nil {
                    return .blockedByPending(error)
                }
                throw error
            }
        }
    }

    /// Notes that QEMU has its pages, and keeps interrupts off the CPUs of a realtime machine.
    func hold(
        _ plan: MachinePlan, by process: SandboxRecord.ProcessIdentity, log: (String) -> Void
    ) throws {
        guard plan.claim(of: owner) != nil else { return }
        try PlacementClaim.markHeld(owner: owner, by: process, root: root)
        if !plan.placement.realtime.value.isEmpty { try steerInterrupts(log) }
    }

    /// Takes the claim back when the machine has not come to be.
    func undo(log: (String) -> Void) {
        do { try giveBack(log: log) } catch { log("cannot give CPUs and pages back: \(error)") }
    }

    /// Gives everything back; interrupts may come to the CPUs again.
    func giveBack(log: (String) -> Void) throws {
        PlacementClaim.release(owner: owner, root: root)
        // Costs nothing where interrupts were never steered.
        try steerInterrupts(log)
    }

    private func steerInterrupts(_ log: (String) -> Void) throws {
        for sentence in try InterruptAffinity(root: root).apply().sentences { log(sentence) }
    }
}

extension PlacementClaim {
    /// `namespace/name`.
    public var pod: String { "\(podNamespace)/\(podName)" }
}

extension Sequence<PlacementClaim> {
    /// What the planner has to leave alone: CPUs, and pages that the kernel still shows as free.
    public var holdings: [Holding] {
        map { claim in
            Holding(pod: claim.pod, cpus: claim.cpus, pages: claim.phase == .pending ? claim.pages : [])
        }
    }
}

extension MachinePlan {
    /// What the machine takes of the node for itself; nil: nothing.
    func claim(of owner: StateDirectory) -> PlacementClaim? {
        let pages = placement.holdings
        guard !placement.exclusive.isEmpty || !pages.isEmpty else { return nil }
        return PlacementClaim(
            owner: owner, podNamespace: identity.podNamespace, podName: identity.podName, cpus: placement.exclusive,
            pages: pages, interrupts: !placement.realtime.value.isEmpty)
    }
}

extension StateDirectory {
    /// Keeps the plan for the CLI.
    func write(_ plan: MachinePlan) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try File.replace(self.plan, with: Array(try encoder.encode(plan)))
    }
}

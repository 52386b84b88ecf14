internal import Cgroup
internal import FoundationEssentials
public import HostTopology
internal import InterruptAffinity
internal import LinuxSystem
public import MachinePlanning
public import StateDirectory

/// A pod's machine: what was decided, what is there, and where they differ.
public struct VerifiedMachine: Codable, Equatable, Sendable {
    /// `namespace/name`; the sandbox's id outside Kubernetes.
    public var pod: String
    /// The sandbox's id.
    public var sandbox: String
    /// The state directory.
    public var directory: String
    /// How far it is.
    public var phase: Phase
    /// What was decided; nil when it cannot be read.
    public var plan: MachinePlan?
    /// What is there; nil when no QEMU runs.
    public var machine: ObservedMachine?
    /// Where they differ; empty when all is as planned.
    public var drift: [Drift]

    /// How far a machine is.
    public enum Phase: String, Codable, Sendable {
        /// No QEMU is known yet.
        case starting
        /// QEMU runs.
        case running
        /// QEMU has ended, and the container waits to be deleted.
        case ended
    }

    /// Whether the machine lacks something that its plan promises.
    public var hasDrifted: Bool { drift.contains { $0.severity == .drift } }

    /// A machine of which nothing but its names is known.
    public init(pod: String, sandbox: String, directory: String, phase: Phase) {
        self.pod = pod
        self.sandbox = sandbox
        self.directory = directory
        self.phase = phase
        drift = []
    }

    /// Looks at every machine of the node, and compares each with its plan, with its claim and with the others.
    ///
    /// A sandbox that has no machine (yet, or any more) is left out. Blocks for milliseconds a machine.
    ///
    /// - Parameters:
    ///   - root: the directory of all sandboxes.
    ///   - host: the node as it is now.
    ///   - procfs: where proc is mounted.
    public static func all(
        root: String = StateDirectory.defaultRoot, on host: HostTopology, procfs: String = "/proc"
    ) -> [VerifiedMachine] {
        var machines = StateDirectory.all(root: root).compactMap { VerifiedMachine($0, procfs: procfs) }
        let claims = PlacementClaim.all(root: root)
        for index in machines.indices {
            let directory = machines[index].directory
            guard let plan = machines[index].plan, let machine = machines[index].machine else { continue }
            let held = claims.filter { $0.owner != directory }.map(Holding.init)
            // Others without CPUs of their own have no claim on any, but their threads run somewhere.
            let running = machines.indices.lazy.filter { $0 != index }.compactMap { other in
                machines[other].machine.map { Holding(pod: machines[other].pod, cpus: $0.cpus) }
            }
            let others = Array(running) + held.filter { claim in !running.contains { $0.pod == claim.pod } }
            machines[index].drift += Drift.between(
                plan, machine, on: host, own: claims.first { $0.owner == directory }.map(Holding.init), others: others)
            if !plan.placement.realtime.value.isEmpty {
                machines[index].drift += interrupts(on: plan.placement.exclusive, root: root, procfs: procfs)
            }
        }
        return machines.sorted { ($0.pod, $0.sandbox) < ($1.pod, $1.sandbox) }
    }

    /// Interrupts that the kernel would not move away from a realtime machine's CPUs, or that came there since.
    private static func interrupts(on cpus: CPUSet, root: String, procfs: String) -> [Drift] {
        let arriving = (try? InterruptAffinity(root: root, procfs: procfs).arriving(on: cpus)) ?? []
        return arriving.map { interrupt in
            Drift(
                .note, "interrupt \(interrupt.number.map { "\($0) " } ?? "")(\(interrupt.name))",
                planned: "on other CPUs than \(cpus)", found: "on CPUs \(interrupt.effective ?? interrupt.affinity)",
                remedy: "a driver's own interrupts stay away with isolcpus=managed_irq on the kernel's command line")
        }
    }

    /// Reads what was decided and what is there; nil for a sandbox without a machine.
    private init?(_ directory: StateDirectory, procfs: String) {
        guard let record = try? SandboxRecord(readingFrom: directory), let known = record.machine else { return nil }
        self.init(
            pod: record.podName.isEmpty ? record.id : "\(record.podNamespace)/\(record.podName)", sandbox: record.id,
            directory: directory.path, phase: .starting)
        // QEMU is not known while its machine is being made, nor is the plan.
        guard let identity = known.process else {
            plan = try? Self.plan(directory.plan)
            return
        }
        guard let process = identity.process else {
            phase = .ended
            plan = try? Self.plan(directory.plan)
            return
        }
        phase = .running
        do {
            plan = try Self.plan(directory.plan)
            machine = try withExtendedLifetime(process) {
                try ObservedMachine.read(
                    pid: identity.pid, procfs: procfs, group: Self.group(record), definition: directory.domain)
            }
        } catch let error as Unreadable {
            drift.append(
                Drift(
                    "plan", planned: "in \(directory.plan)", found: error.description,
                    remedy: "a pod that another version of Slipway has started is understood by that version"))
        } catch {
            // It may have ended while it was looked at.
            if identity.process == nil {
                phase = .ended
            } else {
                drift.append(Drift("QEMU", planned: "process \(identity.pid)", found: "\(error)"))
            }
        }
    }

    private static func plan(_ path: String) throws -> MachinePlan {
        struct Header: Decodable {
            let version: Int
        }
        let data = Data(try File.read(path, limit: 1 << 20))
        if let plan = try? JSONDecoder().decode(MachinePlan.self, from: data) { return plan }
        let header = try? JSONDecoder().decode(Header.self, from: data)
        throw Unreadable(description: header.map { "one of version \($0.version)" } ?? "no plan")
    }

    private struct Unreadable: Error, CustomStringConvertible {
        let description: String
    }

    /// The container's cgroup: the one that was noted last.
    private static func group(_ record: SandboxRecord) -> Cgroup? {
        guard let path = record.cgroups.last, let hierarchy = try? CgroupHierarchy.discover() else { return nil }
        return (try? CgroupPath(path)).map { hierarchy.group(at: $0) }
    }
}

extension Holding {
    /// What a claim says, pages that QEMU has taken included.
    public init(_ claim: PlacementClaim) {
        self.init(pod: "\(claim.podNamespace)/\(claim.podName)", cpus: claim.cpus, pages: claim.pages)
    }
}

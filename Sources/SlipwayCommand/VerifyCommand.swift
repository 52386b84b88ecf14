internal import ArgumentParser
internal import FoundationEssentials
internal import MachineVerification
internal import StateDirectory

/// `slipway verify`.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Compare running machines with what was planned for them.",
        discussion: """
            Reads each machine's plan, and what the kernel says about its QEMU: the CPUs and scheduler of each vCPU's \
            thread and of QEMU's own, RAM by node and page size, the container's cgroup, passed PCI functions, what \
            joins each NIC to the pod's network, privileges, and whether another pod has a CPU that should be this \
            one's alone. RAM on huge pages has to be right to the byte; ordinary memory comes and goes, and is drift \
            only where it is bound to another node.

            A line each for what is not as planned (drift) and for what is worth knowing (note). Ends with 0 when \
            everything is as planned, notes or not, and with 3 when something is not. Needs root; no container \
            runtime is asked, so that 3 has this one meaning here.

            EXAMPLES
              slipway verify               every machine of the node
              slipway verify router
              slipway verify -o json | jq '.[] | select(.drift != [])'
            """)

    enum Format: String, CaseIterable, ExpressibleByArgument {
        case table, json
    }

    /// The exit code for drift.
    static let drifted: Int32 = 3

    @Argument(help: "Name, namespace/name or beginning of a sandbox id. Default: every machine.")
    var pod: String?

    @Option(name: [.short, .long], help: "table or json.")
    var output: Format = .table

    @Option(help: ArgumentHelp("The directory of all sandboxes.", valueName: "path", visibility: .hidden))
    var root = StateDirectory.defaultRoot

    func run() async throws {
        let machines = try MachineSelection.find(pod, in: try MachineSelection.all(root: root).machines)
        switch output {
        case .json:
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            Output.line(String(decoding: try encoder.encode(machines), as: UTF8.self))
        case .table:
            Output.line(machines.isEmpty ? "No machine runs." : machines.map(Self.text).joined(separator: "\n"))
        }
        if machines.contains(where: \.hasDrifted) { throw ExitCode(Self.drifted) }
    }

    static func text(_ machine: VerifiedMachine) -> String {
        let head =
            switch machine.phase {
            case _ where machine.hasDrifted: "DRIFT   \(machine.pod)  is not as planned"
            case .starting: "start   \(machine.pod)  is being started"
            case .running: "ok      \(machine.pod)  is as planned"
            case .ended: "ended   \(machine.pod)  has ended"
            }
        return ([head] + machine.drift.map { "        \($0.severity.rawValue): \($0.description)" })
            .joined(separator: "\n")
    }
}

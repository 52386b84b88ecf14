internal import ArgumentParser
internal import LinuxSystem
internal import MachineVerification
internal import OCIRuntimeSpec
internal import StateDirectory

/// `slipway explain`.
struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say what a pod asked for, what was decided, what is there, and why.",
        discussion: """
            A line for each decision about the pod's machine: what the container's specification asks for, what was \
            decided, what the kernel shows, and the reason. Needs root; no container runtime is asked.

            EXAMPLES
              slipway explain router
              slipway explain router -o json | jq '.[] | select(.what == "their CPUs")'
            """)

    enum Format: String, CaseIterable, ExpressibleByArgument {
        case table, json
    }

    @Argument(help: "Name, namespace/name or beginning of a sandbox id.")
    var pod: String

    @Option(name: [.short, .long], help: "table or json.")
    var output: Format = .table

    @Option(help: ArgumentHelp("The directory of all sandboxes.", valueName: "path", visibility: .hidden))
    var root = StateDirectory.defaultRoot

    func run() async throws {
        let (host, machines) = try MachineSelection.all(root: root)
        guard let machine = try MachineSelection.find(pod, in: machines).first else { return }
        guard let plan = machine.plan else {
            throw CommandFailure(.failure, machine.drift.map(\.description).joined(separator: "\n"))
        }
        let asked =
            (try? SandboxRecord(readingFrom: StateDirectory(path: machine.directory)))?.machineSpecification
            .map(Asked.init) ?? Asked()
        let rows = ExplainedRow.rows(plan, asked: asked, actual: machine.machine, on: host)
        Output.line(try Rendering.text(rows, as: output == .json ? .json : .table))
        let drift = machine.drift.filter { $0.severity == .drift }.count
        if drift > 0 { Output.error("\(drift) of this is not as planned; slipway verify \(pod) says what") }
    }
}

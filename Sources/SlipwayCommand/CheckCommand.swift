internal import ArgumentParser
internal import CRIProtocol

/// `slipway check`.
struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check whether this node can run machines, and how well.",
        discussion: """
            Looks at the accelerator (by running a small program under it, once a boot), QEMU, libvirt, huge pages of \
            each node, and containerd's configuration, and says what to do about each finding. Ends with 0 when \
            machines can run, warnings or not, and with 1 when there is a problem.

            EXAMPLES
              slipway check
              slipway check -o json | jq '.[] | select(.verdict != "ok")'
            """)

    @OptionGroup var node: NodeOptions

    @Option(name: [.short, .long], help: "table or json.")
    var output: OutputFormat = .table

    @Option(help: ArgumentHelp("Slipway's configuration on the node.", valueName: "path"))
    var config: String?

    func run() async throws {
        var findings = NodeInspection.findings(config)
        do {
            findings += try await node.connected { try await RuntimeInspection.findings($0) }
        } catch {
            let failure = CommandFailure(error)
            findings.append(
                .problem(
                    "container runtime", failure?.description ?? "\(error)", "start containerd, or name its socket"))
        }
        Output.line(output == .json ? try Rendering.text(findings, as: .json) : NodeFinding.list(findings))
        let problems = findings.filter { $0.verdict == .problem }.count
        if problems > 0 { throw CommandFailure(.failure, "\(problems) problems: machines will not run on this node") }
    }
}

internal import ArgumentParser
internal import CRIProtocol
internal import FoundationEssentials

/// `slipway ps`.
struct PsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps",
        abstract: "List the pods of Slipway on this node.",
        discussion: """
            Shows pods whose runtime handler is slipway or begins with slipway-. CPU and MEMORY are the limits that \
            the pod's containers asked for.

            EXAMPLES
              slipway ps                     what runs
              slipway ps -a --all-runtimes   also what has ended, and ordinary pods
              slipway ps -o json | jq -r '.[].ip'
            """)

    @OptionGroup var node: NodeOptions

    @Flag(name: [.short, .long], help: "Also pods that are stopped.")
    var all = false

    @Flag(help: "Also pods of other runtimes.")
    var allRuntimes = false

    @Option(name: [.short, .long], help: "table, wide or json.")
    var output: OutputFormat = .table

    func run() async throws {
        let rows = try await node.connected { runtime in
            try await PodRow.all(runtime) { pod in (all || pod.isReady) && (allRuntimes || pod.isMachine) }
        }
        Output.line(try Rendering.text(rows, as: output))
    }
}

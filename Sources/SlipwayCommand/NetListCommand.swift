internal import ArgumentParser
internal import FoundationEssentials
internal import PodNetwork

/// `slipway net ls`.
struct NetListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List the NICs of machines.",
        discussion: """
            NIC is the number of the guest's root port, in the order in which the guest finds its NICs; LINK is the \
            link of the pod that it stands for. GUEST is what the guest calls it, where an agent in it has said so when \
            a NIC was plugged. DROPPED are the guest's frames that did not leave, since it did not speak in its own name \
            or the link was down.

            EXAMPLES
              slipway net ls                 every machine of the node
              slipway net ls router -o wide  also where the guest finds each NIC, its name there, and dropped frames
              slipway net ls router -o json | jq '.[].network.interfaces[] | select(.state.name == "failed")'
            """,
        aliases: ["list"])

    @Argument(help: "Name, namespace/name or beginning of a sandbox id. Default: every machine.")
    var pod: String?

    @Option(name: [.short, .long], help: "table, wide or json.")
    var output: OutputFormat = .table

    @OptionGroup var options: NetOptions

    /// An element of the JSON array.
    struct Entry: Encodable {
        var pod: String
        var sandbox: String
        var network: NetworkReport
    }

    func run() async throws {
        var entries: [Entry] = []
        for entry in try MachineSelection.find(pod, in: SandboxEntry.all(root: options.root)) {
            let status = output == .table ? try entry.status() : try await entry.countedStatus()
            entries.append(Entry(pod: entry.pod, sandbox: entry.sandbox, network: status))
        }
        guard output != .json else {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return Output.line(String(decoding: try encoder.encode(entries), as: UTF8.self))
        }
        guard !entries.isEmpty else { return Output.line("No machine runs.") }
        for (index, entry) in entries.enumerated() {
            if pod == nil { Output.line((index > 0 ? "\n" : "") + entry.pod) }
            let (rows, notes) = InterfaceRow.rows(entry.network)
            Output.line(rows.isEmpty ? "No NIC is known." : try Rendering.text(rows, as: output))
            for note in notes { Output.error(note) }
        }
    }
}

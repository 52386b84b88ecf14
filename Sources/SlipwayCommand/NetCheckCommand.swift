internal import ArgumentParser
internal import CNI
internal import LinuxSystem
internal import PodNetwork

/// `slipway net check`.
struct NetCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Ask CNI plugins whether what was attached by hand is as they made it.",
        discussion: """
            Calls the plugins' CHECK, which the specification has since 0.4.0. A line for each attachment; ends with 1 \
            when one is not as it was made.

            EXAMPLES
              slipway net check router
              slipway net check router net1
            """)

    @Argument(help: "Name, namespace/name or beginning of a sandbox id.")
    var pod: String

    @Argument(help: "The link's name in the pod. Default: everything that was attached by hand.")
    var interface: String?

    @OptionGroup var options: NetOptions

    func run() async throws {
        let entry = try SandboxEntry.find(pod, root: options.root)
        let namespace = try entry.requireNamespace()
        let interfaces = interface.map { [$0] } ?? entry.attachments.interfaces
        if interfaces.isEmpty { return Output.line("Nothing was attached by hand.") }
        let functions = try entry.status().interfaces.filter(\.isFunction).map(\.link)
        var failures: [CommandFailure] = []
        for interface in interfaces {
            if functions.contains(interface) {
                Output.line("\(interface): the guest drives its PCI function; its plugins would look for a link")
                continue
            }
            do {
                try await Thread.run("cni-check") { try entry.attachments.check(interface, namespace: namespace) }
                Output.line("\(interface): as it was made")
            } catch {
                failures.append(CommandFailure(error) ?? CommandFailure(.failure, "\(error)"))
            }
        }
        if let failure = CommandFailure(failures) { throw failure }
    }
}

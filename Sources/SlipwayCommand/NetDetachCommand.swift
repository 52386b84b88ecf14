internal import ArgumentParser
internal import CNI
internal import LinuxSystem
internal import PodNetwork

/// `slipway net detach`.
struct NetDetachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach",
        abstract: "Detach a machine from a network that was attached by hand.",
        discussion: """
            Calls the network's CNI plugins (DEL) in reverse order, with what they were given at ADD, and waits until \
            the guest's NIC is gone. When a plugin fails, the attachment stays for another try; this works after the \
            pod's end too.

            EXAMPLES
              slipway net detach router net1
            """)

    @Argument(help: "Name, namespace/name or beginning of a sandbox id.")
    var pod: String

    @Argument(help: "The link's name in the pod.")
    var interface: String

    @OptionGroup var waiting: NetWaiting
    @OptionGroup var options: NetOptions

    func run() async throws {
        let entry = try SandboxEntry.find(pod, root: options.root)
        try await Thread.run("cni-del") {
            try entry.attachments.detach(interface, namespace: entry.namespace)
            if entry.attachments.interfaces.isEmpty { try entry.removeIfEnded() }
        }
        Output.line("\(interface): detached")
        if waiting.doesNotWait || !entry.isRunning { return }
        let isGone = try await wait(for: entry, seconds: waiting.timeout) { nics in
            nics.contains { $0.link == interface } ? nil : true
        }
        guard isGone == true || !entry.isRunning else {
            throw CommandFailure(
                .timedOut,
                "\(interface): the guest still has it after \(waiting.timeout) s; slipway net ls \(pod) shows what "
                    + "becomes of it")
        }
    }
}

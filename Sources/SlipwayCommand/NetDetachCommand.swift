internal import ArgumentParser
internal import CNI
internal import LinuxSystem
internal import PodNetwork
internal import StateDirectory

/// `slipway net detach`.
struct NetDetachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach",
        abstract: "Detach a machine from a network that was attached by hand.",
        discussion: """
            Calls the network's CNI plugins (DEL) in reverse order, with what they were given at ADD, and waits until \
            the guest's NIC is gone. When a plugin fails, the attachment stays for another try; this works after the \
            pod's end too.

            A PCI function has to leave the guest first, as its plugins want the link that comes back with the host's \
            driver. A guest that does not let go in time keeps being asked: detach again then.

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
        let isThere = try await takeFunction(from: entry)
        guard isThere else { return }
        try await Thread.run("cni-del") {
            try entry.attachments.detach(interface, namespace: entry.namespace)
            try entry.directory.keep(interface)
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

    /// Has the guest let go of a function that it drives, and waits until the link is back.
    ///
    /// - Returns: false when it is not waited for.
    private func takeFunction(from entry: SandboxEntry) async throws -> Bool {
        func isDriven(_ nics: [InterfaceReport]) -> Bool { nics.contains { $0.link == interface && $0.isFunction } }
        guard entry.isRunning, isDriven(try entry.status().interfaces),
            try entry.attachments.read(interface) != nil
        else { return true }
        try entry.directory.release(interface)
        if waiting.doesNotWait {
            Output.line("\(interface): the guest is asked to let go of it; detach it again when it has")
            return false
        }
        let isBack = try await wait(for: entry, seconds: waiting.timeout) { isDriven($0) ? nil : true }
        guard isBack == true || !entry.isRunning else {
            throw CommandFailure(
                .timedOut,
                "\(interface): the guest has not let go of the PCI function after \(waiting.timeout) s, and keeps being "
                    + "asked; detach it again later, or end the pod")
        }
        return true
    }
}

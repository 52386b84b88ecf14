internal import ArgumentParser
internal import CRIProtocol
internal import LinuxSystem
internal import StateDirectory

/// `slipway console`.
struct ConsoleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "console",
        abstract: "Use a machine's serial console.",
        discussion: """
            Keys go to the machine as they are typed, Ctrl-C too. Ctrl-] leaves and lets the machine run. Several \
            consoles of one machine may be open at once; all see the same and all may type.

            EXAMPLES
              slipway console tiny
              echo uptime | slipway console tiny   types a line, then prints until Ctrl-C
            """)

    @OptionGroup var node: NodeOptions

    @Argument(help: "Name, namespace/name or beginning of a pod id.")
    var pod: String?

    @Option(help: ArgumentHelp("The console's socket, in place of a pod.", valueName: "path"))
    var socket: String?

    func validate() throws {
        guard (pod == nil) != (socket == nil) else { throw ValidationError("Give a pod, or --socket.") }
    }

    func run() async throws {
        let path: String
        if let socket {
            path = socket
        } else {
            path = try await node.connected { runtime in
                try Self.socket(of: PodSelection.find(pod ?? "", in: try await PodEntry.all(runtime)))
            }
        }
        try await ConsoleSession(path).run()
    }

    /// The console's socket of a pod that one of Slipway's handlers runs.
    static func socket(
        of pod: PodEntry,
        resolve: (String) -> String = { StateDirectory(namespace: "k8s.io", sandbox: $0).console }
    ) throws(CommandFailure) -> String {
        guard pod.isMachine else {
            throw CommandFailure(
                .failure,
                "pod \(pod.path) runs under \(pod.handler.isEmpty ? "the default runtime" : pod.handler), not as a machine,"
                    + " and has no console; slipway logs \(pod.name) shows its output")
        }
        guard pod.isReady else { throw CommandFailure(.failure, "pod \(pod.path) is stopped; it has no console") }
        return resolve(pod.id)
    }
}

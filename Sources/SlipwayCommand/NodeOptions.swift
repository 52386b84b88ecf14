internal import ArgumentParser
internal import CRIProtocol
internal import FoundationEssentials
internal import LinuxSystem
internal import PodManifest

/// Options of every verb that speaks with the container runtime.
struct NodeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The container runtime's CRI socket. Default: $CONTAINER_RUNTIME_ENDPOINT, or containerd's.",
            valueName: "unix:///path"))
    var runtimeEndpoint: String?

    @Option(help: ArgumentHelp("Where volumes of played pods are kept.", valueName: "path", visibility: .hidden))
    var podDirectory = NodeFacts.standardPodDirectory

    @Option(help: ArgumentHelp("Where logs of played pods are kept.", valueName: "path", visibility: .hidden))
    var logDirectory = NodeFacts.standardLogDirectory

    /// The socket's path, from the option, the environment or the default.
    var socket: String {
        get throws {
            let endpoint =
                runtimeEndpoint ?? ProcessInfo.processInfo.environment["CONTAINER_RUNTIME_ENDPOINT"]
                ?? "unix:///run/containerd/containerd.sock"
            let path = endpoint.hasPrefix("unix://") ? String(endpoint.dropFirst(7)) : endpoint
            guard path.hasPrefix("/") else {
                throw CommandFailure(
                    .usage,
                    "--runtime-endpoint: \"\(endpoint)\" is no endpoint; unix:///run/containerd/containerd.sock is")
            }
            return path
        }
    }

    /// Connects and runs `body`; a socket that nobody serves is a failure of its own kind.
    func connected<Result: Sendable>(_ body: (CRIClient) async throws -> Result) async throws -> Result {
        let path = try socket
        do {
            _ = try UnixSocket.connect(path)
        } catch {
            throw CommandFailure(
                .unreachable,
                "no container runtime answers at \(path): \(error); is containerd running, and is --runtime-endpoint right?"
            )
        }
        return try await CRIClient.connected(to: path, body)
    }
}

internal import CRIProtocol
internal import PodManifest

/// A pod on the node, as a listing shows it.
struct PodEntry: Equatable, Sendable {
    struct Container: Equatable, Sendable {
        var id: String
        var name: String
        var attempt: UInt32
        var state: CRIContainerState
        var createdAt: Int64
        var image: String
    }

    var id: String
    var name: String
    var namespace: String
    var uid: String
    var isReady: Bool
    var handler: String
    /// Nanoseconds since 1970.
    var createdAt: Int64
    var annotations: [String: String]
    /// Newest first.
    var containers: [Container]

    /// `namespace/name`.
    var path: String { "\(namespace)/\(name)" }

    /// Whether one of Slipway's handlers runs it.
    var isMachine: Bool { handler == "slipway" || handler.hasPrefix("slipway-") }

    /// Whether `slipway run` started it, rather than a kubelet.
    var isPlayed: Bool { annotations[KubernetesKeys.configSource] == KubernetesKeys.playedSource }

    /// Whether a kubelet started it, and would start it again.
    var isKubelets: Bool { !isPlayed && annotations[KubernetesKeys.configSource] != nil }
}

extension PodEntry {
    /// Everything on the node, newest first.
    static func all(_ runtime: some CRICalls) async throws(CRIError) -> [PodEntry] {
        let sandboxes = try await runtime.listPodSandboxes()
        let containers = Dictionary(grouping: try await runtime.listContainers(), by: \.podSandboxID)
        return sandboxes.map { PodEntry($0, containers[$0.id] ?? []) }.sorted { $0.createdAt > $1.createdAt }
    }

    init(_ sandbox: CRIPodSandbox, _ containers: [CRIContainer]) {
        self.init(
            id: sandbox.id, name: sandbox.metadata.name, namespace: sandbox.metadata.namespace,
            uid: sandbox.metadata.uid, isReady: sandbox.state == .sandboxReady, handler: sandbox.runtimeHandler,
            createdAt: sandbox.createdAt, annotations: sandbox.annotations,
            containers: containers.map { container in
                Container(
                    id: container.id, name: container.metadata.name, attempt: container.metadata.attempt,
                    state: container.state, createdAt: container.createdAt, image: container.image.image)
            }.sorted { $0.createdAt > $1.createdAt })
    }
}

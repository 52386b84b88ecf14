public import CRIProtocol

/// A Pod with everything resolved that its start needs: the messages for the runtime and the volumes to make.
///
/// Making one is pure; nothing on the node is touched.
public struct PlayablePod: Sendable {
    /// The manifest's Pod.
    public let pod: Pod
    /// `metadata.name`.
    public let name: String
    /// `metadata.namespace`, or `default`.
    public let namespace: String
    /// The uid that volumes, logs and cgroups are filed under.
    public let uid: String
    /// What the sandbox is made from.
    public let sandbox: CRIPodSandboxConfig
    /// What the containers mount.
    public let volumes: [PodVolume]
    /// The pod's own directory on the node.
    public let directory: String

    /// CPUs that the pod's only container gets by name.
    let grant: CPUGrant?

    private let objects: [DataObject]
    private let node: NodeFacts

    /// Resolves a Pod of a manifest.
    ///
    /// - Parameters:
    ///   - uid: used where the manifest gives none; has to be new at each start.
    ///   - grant: CPUs for the pod's only container; nil: those of the node.
    public init(
        _ pod: Pod, of manifest: Manifest, on node: NodeFacts, uid: String, grant: CPUGrant? = nil
    ) throws(ManifestError) {
        self.pod = pod
        (name, namespace) = try pod.metadata.checkedName()
        guard grant == nil || pod.spec.containers.count == 1 else {
            throw ManifestError(
                "spec.containers", "are \(pod.spec.containers.count); CPUs are given to a pod with one container"
            ).below("Pod \"\(name)\"")
        }
        self.grant = grant
        self.uid = pod.metadata.uid ?? uid
        try Names.require(label: self.uid, "metadata.uid")
        self.node = node
        let namespace = namespace
        objects = manifest.objects.filter { $0.namespace == namespace }
        let objects = objects
        directory = "\(node.podDirectory)/\(self.uid)"
        do {
            var volumes: [PodVolume] = []
            for (index, volume) in (pod.spec.volumes ?? []).enumerated() {
                volumes.append(
                    try PodVolume(
                        volume, of: pod, directory: directory,
                        objects: { kind, name in objects.first { $0.kind == kind && $0.name == name } },
                        field: "spec.volumes[\(index)]"))
            }
            self.volumes = volumes
        } catch {
            throw error.below("Pod \"\(name)\"")
        }
        sandbox = CRIPodSandboxConfig(pod, name: name, namespace: namespace, uid: self.uid, node: node)
    }

    /// The runtime handler's name; empty is containerd's default.
    public var handler: String { pod.spec.runtimeClassName ?? "" }

    /// Seconds from SIGTERM to SIGKILL.
    public var gracePeriod: Int64 { pod.spec.terminationGracePeriodSeconds ?? 30 }

    /// What a container is made from.
    ///
    /// - Parameter addresses: the sandbox's, for variables that ask for them.
    public func config(of container: Container, addresses: [String]) throws(ManifestError) -> CRIContainerConfig {
        let index = pod.spec.containers.firstIndex { $0.name == container.name } ?? 0
        do {
            return try CRIContainerConfig(
                container, of: self, on: node, addresses: addresses,
                objects: { kind, name in objects.first { $0.kind == kind && $0.name == name } },
                field: "spec.containers[\(index)]")
        } catch {
            throw error.below("Pod \"\(name)\"")
        }
    }

    /// Fields that variables may ask for; nil for others.
    func field(_ path: String, addresses: [String]) -> String? {
        switch path {
        case "metadata.name": return name
        case "metadata.namespace": return namespace
        case "metadata.uid": return uid
        case "spec.nodeName": return node.name
        case "spec.serviceAccountName": return "default"
        case "status.podIP": return addresses.first ?? ""
        case "status.podIPs": return addresses.joined(separator: ",")
        default:
            for (prefix, values) in [
                ("metadata.labels['", pod.metadata.labels), ("metadata.annotations['", pod.metadata.annotations),
            ] where path.hasPrefix(prefix) && path.hasSuffix("']") {
                return values?[String(path.dropFirst(prefix.count).dropLast(2))] ?? ""
            }
            return nil
        }
    }
}

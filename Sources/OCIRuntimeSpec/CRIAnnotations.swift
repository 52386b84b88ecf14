/// What containerd's CRI plugin writes into the annotations of every spec (containerd `pkg/cri/annotations`).
public struct CRIAnnotations: Equatable, Sendable {
    /// The role of the container in its pod.
    public enum ContainerType: Equatable, Sendable {
        /// The pause container, which stands for the pod.
        case sandbox
        /// An application container.
        case container
    }

    /// nil outside CRI (for example `ctr run`).
    public let type: ContainerType?
    /// The pod's sandbox.
    public let sandboxID: String?
    /// The pod's name.
    public let podName: String?
    /// The pod's namespace.
    public let podNamespace: String?
    /// The pod's uid.
    public let podUID: String?
    /// The container's name in the pod.
    public let containerName: String?
    /// The image's reference as the pod names it.
    public let imageName: String?

    /// Reads them.
    ///
    /// - Throws: ``SpecError`` for a container type that is neither `sandbox` nor `container`.
    public init(_ annotations: [String: String]) throws(SpecError) {
        let prefix = "io.kubernetes.cri."
        switch annotations[prefix + "container-type"] {
        case nil: type = nil
        case "sandbox": type = .sandbox
        case "container": type = .container
        case let other?:
            throw SpecError(
                "annotations.\(prefix)container-type", "is \"\(other)\"; \"sandbox\" or \"container\" is accepted")
        }
        sandboxID = annotations[prefix + "sandbox-id"]
        podName = annotations[prefix + "sandbox-name"]
        podNamespace = annotations[prefix + "sandbox-namespace"]
        podUID = annotations[prefix + "sandbox-uid"]
        containerName = annotations[prefix + "container-name"]
        imageName = annotations[prefix + "image-name"]
    }
}

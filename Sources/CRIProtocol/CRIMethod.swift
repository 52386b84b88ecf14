/// A unary call of the Container Runtime Interface; the raw value is its name on the wire.
public enum CRIMethod: String, CaseIterable, Sendable {
    case version = "Version"
    case status = "Status"
    case runPodSandbox = "RunPodSandbox"
    case stopPodSandbox = "StopPodSandbox"
    case removePodSandbox = "RemovePodSandbox"
    case podSandboxStatus = "PodSandboxStatus"
    case listPodSandbox = "ListPodSandbox"
    case createContainer = "CreateContainer"
    case startContainer = "StartContainer"
    case stopContainer = "StopContainer"
    case removeContainer = "RemoveContainer"
    case updateContainerResources = "UpdateContainerResources"
    case listContainers = "ListContainers"
    case containerStatus = "ContainerStatus"
    case execSync = "ExecSync"
    case exec = "Exec"
    case attach = "Attach"
    case portForward = "PortForward"
    case containerStats = "ContainerStats"
    case podSandboxStats = "PodSandboxStats"
    case listImages = "ListImages"
    case imageStatus = "ImageStatus"
    case pullImage = "PullImage"

    /// The full name of the gRPC service that has the method.
    public var service: String {
        switch self {
        case .listImages, .imageStatus, .pullImage: "runtime.v1.ImageService"
        default: "runtime.v1.RuntimeService"
        }
    }

    /// Whether a caller may give the call up before its answer.
    ///
    /// containerd ends what it is doing when its client hangs up, and does not always undo it: 1.6 leaves a container
    /// whose StartContainer was given up "in starting state" for good, so that neither it nor its pod can be removed.
    public var isInterruptible: Bool {
        switch self {
        case .runPodSandbox, .createContainer, .startContainer, .removeContainer, .stopPodSandbox, .removePodSandbox:
            false
        default: true
        }
    }
}

/// Labels and annotations that the kubelet sets on sandboxes and containers (kubernetes, pkg/kubelet/types and
/// pkg/kubelet/kuberuntime/labels.go), which other tools on a node read.
public enum KubernetesKeys {
    /// Label: the pod's name.
    public static let podName = "io.kubernetes.pod.name"
    /// Label: the pod's namespace.
    public static let podNamespace = "io.kubernetes.pod.namespace"
    /// Label: the pod's uid.
    public static let podUID = "io.kubernetes.pod.uid"
    /// Label: the container's name.
    public static let containerName = "io.kubernetes.container.name"
    /// Container annotation: seconds from SIGTERM to SIGKILL.
    public static let gracePeriod = "io.kubernetes.pod.terminationGracePeriod"
    /// Container annotation: how often it was started again.
    public static let restartCount = "io.kubernetes.container.restartCount"
    /// Sandbox annotation: where a pod came from.
    public static let configSource = "kubernetes.io/config.source"
    /// Value of ``configSource`` for pods that the slipway command plays.
    public static let playedSource = "slipway"
}

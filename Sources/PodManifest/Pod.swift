/// A `v1` Pod, as far as it is played on a node without a Kubernetes. Field names are the API's.
///
/// Optional members are nil when the manifest leaves them out; what that means is said at each.
public struct Pod: Codable, Equatable, Sendable {
    /// Name, namespace, labels, annotations.
    public var metadata: ObjectMeta
    /// What to run.
    public var spec: PodSpec
}

/// `metadata` of every kind.
public struct ObjectMeta: Codable, Equatable, Sendable {
    /// Required; a DNS name.
    public var name: String?
    /// nil is `default`.
    public var namespace: String?
    /// nil is a new random one at each start.
    public var uid: String?
    /// Passed on to the runtime.
    public var labels: [String: String]?
    /// Passed on to the runtime; `slipway.dev/…` are the machine's.
    public var annotations: [String: String]?
}

/// `spec` of a Pod.
public struct PodSpec: Codable, Equatable, Sendable {
    /// At least one.
    public var containers: [Container]
    /// Sources of the containers' mounts.
    public var volumes: [Volume]?
    /// The runtime handler of the same name; nil is containerd's default handler.
    public var runtimeClassName: String?
    /// RuntimeClass overhead, as Kubernetes' admission writes it into a pod.
    public var overhead: [String: Quantity]?
    /// nil is the pod's name.
    public var hostname: String?
    /// nil is Always.
    public var restartPolicy: RestartPolicy?
    /// Seconds from SIGTERM to SIGKILL; nil is 30.
    public var terminationGracePeriodSeconds: Int64?
    /// nil is ClusterFirst, which here means the node's resolver, there being no cluster.
    public var dnsPolicy: DNSPolicy?
    /// Added to what ``dnsPolicy`` gives.
    public var dnsConfig: DNSConfig?
    /// The node's network namespace in place of one of its own.
    public var hostNetwork: Bool?
    /// The node's process ids.
    public var hostPID: Bool?
    /// The node's IPC namespace.
    public var hostIPC: Bool?
    /// One process id namespace for all containers.
    public var shareProcessNamespace: Bool?
    /// Defaults for the containers, and sysctls.
    public var securityContext: PodSecurityContext?
}

/// When an ended container starts again.
public enum RestartPolicy: String, Codable, Sendable {
    case always = "Always"
    case onFailure = "OnFailure"
    case never = "Never"
}

/// Where a pod's resolv.conf comes from.
public enum DNSPolicy: String, Codable, Sendable {
    case clusterFirst = "ClusterFirst"
    case clusterFirstWithHostNet = "ClusterFirstWithHostNet"
    case node = "Default"
    case none = "None"
}

/// Lines added to a pod's resolv.conf.
public struct DNSConfig: Codable, Equatable, Sendable {
    /// One `name` or `name:value` of resolv.conf(5).
    public struct Option: Codable, Equatable, Sendable {
        /// The option's name.
        public var name: String
        /// Its value, if it takes one.
        public var value: String?
    }

    /// Addresses.
    public var nameservers: [String]?
    /// Domains.
    public var searches: [String]?
    /// Resolver options.
    public var options: [Option]?
}

/// `securityContext` of a Pod.
public struct PodSecurityContext: Codable, Equatable, Sendable {
    /// A kernel parameter of the pod's namespaces.
    public struct Sysctl: Codable, Equatable, Sendable {
        /// Dotted name.
        public var name: String
        /// Value as text.
        public var value: String
    }

    /// For containers that do not say their own.
    public var runAsUser: Int64?
    /// For containers that do not say their own.
    public var runAsGroup: Int64?
    /// Groups of every container's first process.
    public var supplementalGroups: [Int64]?
    /// Kernel parameters.
    public var sysctls: [Sysctl]?
}

public import CRIProtocol

/// What a pod's conversion has to know of the node. A value: ``read()`` fills it from the system.
public struct NodeFacts: Equatable, Sendable {
    /// Who makes cgroups on this node, which decides what a cgroup's parent looks like.
    public enum CgroupDriver: String, CaseIterable, Sendable {
        /// containerd writes into cgroupfs itself.
        case cgroupfs
        /// systemd, asked by containerd.
        case systemd
    }

    /// The node's host name.
    public var name: String
    /// Bytes of memory.
    public var memory: Int64
    /// Sizes that the kernel has, in bytes.
    public var hugePageSizes: [UInt64]
    /// The node's resolv.conf.
    public var resolver: CRIDNSConfig
    /// As containerd is configured.
    public var cgroupDriver: CgroupDriver
    /// Directory below which each pod gets one of its own for its volumes.
    public var podDirectory: String
    /// Directory below which each pod gets one of its own for its containers' logs.
    public var logDirectory: String

    /// The cgroup that pods are put into, in the driver's own form; nil: one for each pod, which goes with it.
    public var cgroupParent: String?

    /// Where the command keeps volumes: gone with a reboot, as the pods are.
    public static let standardPodDirectory = "/run/slipway-cli/pods"
    /// The kubelet's own place, so that log shippers find the logs of played pods too.
    public static let standardLogDirectory = "/var/log/pods"

    /// A node from parts.
    public init(
        name: String, memory: Int64, hugePageSizes: [UInt64], resolver: CRIDNSConfig,
        cgroupDriver: CgroupDriver = .cgroupfs, podDirectory: String = standardPodDirectory,
        logDirectory: String = standardLogDirectory
    ) {
        self.name = name
        self.memory = memory
        self.hugePageSizes = hugePageSizes
        self.resolver = resolver
        self.cgroupDriver = cgroupDriver
        self.podDirectory = podDirectory
        self.logDirectory = logDirectory
    }
}

extension CRIDNSConfig {
    /// Reads resolv.conf(5): `nameserver` lines add up, the last `search` or `domain` counts, `options` add up.
    public init(resolvConf text: String) {
        self.init()
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
            guard let keyword = words.first, !keyword.hasPrefix("#"), !keyword.hasPrefix(";") else { continue }
            switch keyword {
            case "nameserver": servers += words.dropFirst().prefix(1)
            case "search", "domain": searches = Array(words.dropFirst())
            case "options": options += words.dropFirst()
            default: break
            }
        }
    }
}

extension NodeFacts.CgroupDriver {
    /// `cgroup_parent` of a pod: a cgroup that is the pod's own, so that everything of it ends in one place and can be
    /// removed as one. systemd takes `-` in a slice's name as a level, hence `_` in the uid.
    public func parent(uid: String) -> String {
        switch self {
        case .cgroupfs: "/slipway/pod\(uid)"
        case .systemd: "slipway-pod\(String(uid.map { $0 == "-" ? "_" : $0 })).slice"
        }
    }

    /// Where that cgroup is below each hierarchy.
    public func path(uid: String) -> String {
        switch self {
        case .cgroupfs: parent(uid: uid)
        case .systemd: "/slipway.slice/\(parent(uid: uid))"
        }
    }
}

/// One volume of a Pod: a name and exactly one source.
public struct Volume: Codable, Equatable, Sendable {
    /// A DNS label.
    public var name: String
    /// Files from a ConfigMap in the same file.
    public var configMap: ConfigMapSource?
    /// Files from a Secret in the same file.
    public var secret: SecretSource?
    /// An empty directory that lives as long as the pod.
    public var emptyDir: EmptyDirectory?
    /// A path of the node.
    public var hostPath: HostPath?

    /// One key of a ConfigMap or Secret and the file that it becomes.
    public struct Item: Codable, Equatable, Sendable {
        /// The key.
        public var key: String
        /// Relative path below the mount.
        public var path: String
        /// Permission bits; nil is the volume's default.
        public var mode: FileMode?
    }

    /// `configMap` of a volume.
    public struct ConfigMapSource: Codable, Equatable, Sendable {
        /// The ConfigMap's name.
        public var name: String
        /// nil is every key under its own name.
        public var items: [Item]?
        /// Permission bits; nil is 0644.
        public var defaultMode: FileMode?
        /// Whether the ConfigMap may be missing.
        public var optional: Bool?
    }

    /// `secret` of a volume.
    public struct SecretSource: Codable, Equatable, Sendable {
        /// The Secret's name.
        public var secretName: String
        /// nil is every key under its own name.
        public var items: [Item]?
        /// Permission bits; nil is 0644.
        public var defaultMode: FileMode?
        /// Whether the Secret may be missing.
        public var optional: Bool?
    }

    /// `emptyDir` of a volume.
    public struct EmptyDirectory: Codable, Equatable, Sendable {
        /// nil or empty: a directory; `Memory`: tmpfs; `HugePages` or `HugePages-<size>`: hugetlbfs.
        public var medium: String?
        /// The most that tmpfs takes.
        public var sizeLimit: Quantity?
    }

    /// `hostPath` of a volume.
    public struct HostPath: Codable, Equatable, Sendable {
        /// Absolute path on the node.
        public var path: String
        /// What has to be there, or to be made.
        public var type: Kind?

        /// The API's words for ``HostPath/type``.
        public enum Kind: String, Codable, Sendable {
            case unchecked = ""
            case directoryOrCreate = "DirectoryOrCreate"
            case directory = "Directory"
            case fileOrCreate = "FileOrCreate"
            case file = "File"
            case socket = "Socket"
            case characterDevice = "CharDevice"
            case blockDevice = "BlockDevice"
        }
    }
}

/// Where a volume appears in a container.
public struct VolumeMount: Codable, Equatable, Sendable {
    /// The volume's name.
    public var name: String
    /// Absolute path in the container.
    public var mountPath: String
    /// A path within the volume; nil is its root.
    public var subPath: String?
    /// Whether it cannot be written; always so for ConfigMaps and Secrets.
    public var readOnly: Bool?
    /// nil is None.
    public var mountPropagation: Propagation?

    /// Whether later mounts cross between node and container.
    public enum Propagation: String, Codable, Sendable {
        case none = "None"
        case hostToContainer = "HostToContainer"
        case bidirectional = "Bidirectional"
    }
}

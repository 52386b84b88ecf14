/// The part of an OCI bundle's `config.json` that bears on a machine (opencontainers/runtime-spec 1.0, config.md and
/// config-linux.md). Keys that are not listed here are ignored; words of closed sets that are not known are refused.
public struct Spec: Codable, Equatable, Sendable {
    /// The process that a container would run. A machine takes its environment, terminal and OOM score from it.
    public var process: Process?
    /// Where the root file system is, relative to the bundle.
    public var root: Root?
    /// The sandbox's host name; containers carry it in the environment instead.
    public var hostname: String?
    /// Everything that is mounted into the container.
    public var mounts: [Mount]?
    /// Free-form annotations: containerd's own, and those that its configuration lets pass.
    public var annotations: [String: String]?
    /// The Linux part.
    public var linux: Linux?

    /// `process`.
    public struct Process: Codable, Equatable, Sendable {
        /// Whether a terminal was asked for.
        public var terminal: Bool?
        /// The command line; element 0 is the program.
        public var args: [String]?
        /// `KEY=value` entries.
        public var env: [String]?
        /// Working directory.
        public var cwd: String?
        /// OOM score adjustment, -1000 to 1000.
        public var oomScoreAdj: Int32?
    }

    /// `root`.
    public struct Root: Codable, Equatable, Sendable {
        /// Path, relative to the bundle unless absolute.
        public var path: String
        /// Whether the container was to see it read-only.
        public var readonly: Bool?
    }

    /// One entry of `mounts`.
    public struct Mount: Codable, Equatable, Sendable {
        /// Where the container sees it.
        public var destination: String
        /// File system type; `bind` or absent for bind mounts.
        public var type: String?
        /// The host's path for bind mounts.
        public var source: String?
        /// Mount options.
        public var options: [String]?
    }

    /// `linux`.
    public struct Linux: Codable, Equatable, Sendable {
        /// Namespaces to create or to join.
        public var namespaces: [Namespace]?
        /// The cgroup's path in cgroupfs or systemd form.
        public var cgroupsPath: String?
        /// Limits.
        public var resources: Resources?
        /// Device nodes.
        public var devices: [Device]?
    }

    /// One entry of `linux.namespaces`.
    public struct Namespace: Codable, Equatable, Sendable {
        /// The namespace's kind.
        public var type: Kind
        /// The file of the namespace to join; absent: a new one.
        public var path: String?

        /// The kinds that the specification lists.
        public enum Kind: String, Codable, Sendable, CaseIterable {
            // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
            case pid, network, mount, ipc, uts, user, cgroup, time
        }
    }

    /// `linux.resources`.
    public struct Resources: Codable, Equatable, Sendable {
        /// CPU time and placement.
        public var cpu: CPU?
        /// Memory.
        public var memory: Memory?
        /// Huge pages by size.
        public var hugepageLimits: [HugepageLimit]?
        /// Number of tasks.
        public var pids: Pids?
        /// cgroup v2 files and their values.
        public var unified: [String: String]?

        /// No limits.
        public init() {}
    }

    /// `linux.resources.cpu`.
    public struct CPU: Codable, Equatable, Sendable {
        /// Relative weight.
        public var shares: UInt64?
        /// Microseconds of CPU time in a period; 0 or less: no limit.
        public var quota: Int64?
        /// Period in microseconds.
        public var period: UInt64?
        /// CPUs, in the kernel's list format.
        public var cpus: String?
        /// Memory nodes, in the kernel's list format.
        public var mems: String?
    }

    /// `linux.resources.memory`.
    public struct Memory: Codable, Equatable, Sendable {
        /// Bytes; -1: no limit.
        public var limit: Int64?
        /// Bytes of memory and swap together; -1: no limit.
        public var swap: Int64?
    }

    /// One entry of `linux.resources.hugepageLimits`.
    public struct HugepageLimit: Codable, Equatable, Sendable {
        /// For example `2MB` or `1GB`.
        public var pageSize: String
        /// Bytes.
        public var limit: UInt64
    }

    /// `linux.resources.pids`.
    public struct Pids: Codable, Equatable, Sendable {
        /// Highest number of tasks; 0 or less: no limit.
        public var limit: Int64?
    }

    /// One entry of `linux.devices`.
    public struct Device: Codable, Equatable, Sendable {
        /// Path in the container.
        public var path: String
        /// `b`, `c`, `u` or `p`.
        public var type: Kind
        /// Major number.
        public var major: Int64?
        /// Minor number.
        public var minor: Int64?

        /// Kinds of device node.
        public enum Kind: String, Codable, Sendable, CaseIterable {
            /// Block device.
            case block = "b"
            /// Character device.
            case character = "c"
            /// Unbuffered character device.
            case unbuffered = "u"
            /// FIFO.
            case fifo = "p"
        }
    }
}

import FoundationEssentials
public import LinuxSystem

/// What exists on the node for one sandbox: enough for `delete` to remove all of it when the sandbox process is gone,
/// and for the CLI to list it. Written before a thing is made, so that a crash in between leaves nothing unknown.
public struct SandboxRecord: Codable, Equatable, Sendable {
    /// The layout's version.
    public var version = 1
    /// containerd's namespace.
    public var namespace: String
    /// The sandbox's id.
    public var id: String
    /// The containerd bundle of the sandbox.
    public var bundle: String
    /// The pod's name, empty outside Kubernetes.
    public var podName = ""
    /// The pod's namespace, empty outside Kubernetes.
    public var podNamespace = ""
    /// The pod's uid, empty outside Kubernetes.
    public var podUID = ""
    /// The pod's network namespace file; nil when the sandbox made a namespace of its own.
    public var networkNamespace: String?
    /// The sandbox process.
    public var process: ProcessIdentity?
    /// The cgroups made for the sandbox and its containers, as OCI cgroupsPath strings.
    public var cgroups: [String] = []
    /// The machine, when there is one.
    public var machine: Machine?

    /// A process that cannot be mistaken for a later one with the same number.
    public struct ProcessIdentity: Codable, Equatable, Sendable {
        /// Its number.
        public var pid: Int32
        /// Its start in clock ticks after boot.
        public var startTime: UInt64

        /// The identity of a running process.
        public init(pid: Int32) throws(SystemError) {
            self.pid = pid
            startTime = try Process.startTime(of: pid)
        }

        /// The process, if it still runs; nil when the number is free or belongs to another process by now.
        public var process: Process? {
            guard let process = try? Process(pid: pid), (try? Process.startTime(of: pid)) == startTime else {
                return nil
            }
            return process
        }
    }

    /// A machine's traces.
    public struct Machine: Codable, Equatable, Sendable {
        /// The container that it is.
        public var container: String
        /// The container's name in the pod.
        public var containerName: String
        /// QEMU, once it runs.
        public var process: ProcessIdentity?
        /// QEMU's user and group id.
        public var user: UInt32

        /// A machine that has no process yet.
        public init(container: String, containerName: String, user: UInt32) {
            self.container = container
            self.containerName = containerName
            self.user = user
        }
    }

    /// A record of a new sandbox.
    public init(namespace: String, id: String, bundle: String) {
        self.namespace = namespace
        self.id = id
        self.bundle = bundle
    }

    /// Reads a record.
    ///
    /// - Throws: `SystemError` when the file cannot be read, `DecodingError` when it is not a record.
    public init(readingFrom directory: StateDirectory) throws {
        self = try JSONDecoder().decode(SandboxRecord.self, from: Data(try File.read(directory.record)))
    }

    /// Replaces the record on disk.
    public func write(to directory: StateDirectory) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try File.replace(directory.record, with: Array(try encoder.encode(self)))
    }
}

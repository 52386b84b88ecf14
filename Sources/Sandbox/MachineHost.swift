public import ContainerIO
public import OCIRuntimeSpec

/// The node as a sandbox sees it: where machines are made and everything is put back.
public protocol MachineHost: Sendable {
    /// Prepares the node for a sandbox: its cgroup, its network namespace.
    func prepare(_ request: CreateRequest, spec: Spec) async throws
    /// Plans, checks and starts a machine, paused. On an error everything is as it was.
    func create(_ request: CreateRequest, spec: Spec, annotations: CRIAnnotations) async throws -> any Machine
    /// Removes what is left of a container whose machine has ended: mounts, links, cgroup. Idempotent.
    func remove(container: String) async
    /// Removes what is left of the sandbox. Idempotent.
    func close() async
    /// The class of an error that this host or one of its machines has thrown: it alone knows what it stands on.
    func classify(_ error: any Error) -> SandboxError
}

extension MachineHost {
    /// For a host that stands on nothing but what a sandbox stands on.
    public func classify(_ error: any Error) -> SandboxError { SandboxError(error) }
}

/// Task.Create, without the wire.
public struct CreateRequest: Equatable, Sendable {
    /// The container's id.
    public var id: String
    /// The bundle's directory.
    public var bundle: String
    /// The mounts that make up the root file system, in their order.
    public var rootfs: [RootfsMount]
    /// The streams.
    public var stdio: Stdio
    /// The configuration file that the runtime handler's options name.
    public var configPath: String?

    /// A request.
    public init(
        id: String, bundle: String, rootfs: [RootfsMount] = [], stdio: Stdio = Stdio(), configPath: String? = nil
    ) {
        self.id = id
        self.bundle = bundle
        self.rootfs = rootfs
        self.stdio = stdio
        self.configPath = configPath
    }
}

/// One mount of a root file system (`containerd.types.Mount`).
public struct RootfsMount: Equatable, Sendable {
    /// File system type, or `bind`.
    public var type: String
    /// Device or directory.
    public var source: String
    /// Where below the root file system; empty: the root itself.
    public var target: String
    /// Options as mount(8) spells them.
    public var options: [String]

    /// A mount.
    public init(type: String, source: String, target: String = "", options: [String] = []) {
        self.type = type
        self.source = source
        self.target = target
        self.options = options
    }
}

public import Cgroup
public import LinuxSystem

/// A machine whose QEMU process exists. It starts paused.
///
/// Calls may suspend for as long as libvirt and QEMU take; ``kill()`` never does.
public protocol Machine: Sendable {
    /// QEMU's process id.
    var pid: Int32 { get }
    /// The connection to the serial console; the first byte is the first that the machine prints.
    var serial: FileDescriptor { get }
    /// Lets the vCPUs run.
    func resume() async throws
    /// Stops the vCPUs.
    func pause() async throws
    /// Asks the guest to power off.
    ///
    /// - Parameter attempt: 0 for the first time; the way may change when the guest does not react.
    func requestShutdown(attempt: Int) async throws
    /// Ends QEMU with SIGKILL. Never blocks, never fails; an ended machine stays ended.
    func kill()
    /// Suspends until QEMU has ended. The host has let go of everything but what ``MachineHost/remove(container:)`` removes.
    func ended() async -> MachineExit
    /// The accounting of the machine's cgroup, now or, once it has ended, as it was at the end.
    func metrics() throws -> CgroupMetrics
    /// Changes limits of the running machine.
    func update(_ resources: CgroupResources) async throws
    /// Runs a command in the guest through its agent.
    ///
    /// - Throws: ``SandboxError`` with `unavailable` when no agent answers.
    func execute(_ command: GuestCommand) async throws -> GuestCommand.Result
}

/// How a machine ended.
public struct MachineExit: Equatable, Sendable {
    /// The container's exit status.
    public var status: UInt32
    /// Whether the kernel killed QEMU for memory.
    public var outOfMemory: Bool
    /// The sentence for the log.
    public var reason: String

    /// An exit.
    public init(status: UInt32, outOfMemory: Bool = false, reason: String) {
        self.status = status
        self.outOfMemory = outOfMemory
        self.reason = reason
    }
}

/// A command for the guest agent.
public struct GuestCommand: Equatable, Sendable {
    /// Program and arguments.
    public var arguments: [String]
    /// `KEY=value` entries.
    public var environment: [String]
    /// Everything that it reads from its stdin.
    public var input: [UInt8]

    /// A command.
    public init(_ arguments: [String], environment: [String] = [], input: [UInt8] = []) {
        self.arguments = arguments
        self.environment = environment
        self.input = input
    }

    /// What came of it.
    public struct Result: Equatable, Sendable {
        /// Exit status, 128 + signal when a signal ended it.
        public var status: UInt32
        /// What it wrote to stdout.
        public var output: [UInt8]
        /// What it wrote to stderr.
        public var error: [UInt8]

        /// A result.
        public init(status: UInt32, output: [UInt8] = [], error: [UInt8] = []) {
            self.status = status
            self.output = output
            self.error = error
        }
    }
}

public import Cgroup
public import LinuxSystem
public import Sandbox
import Synchronization

/// What a fake fails with when a test wants it to.
public struct FakeError: Error, Equatable {
    /// The call that failed.
    public var call: String

    /// The failure of a call.
    public init(call: String) { self.call = call }
}

/// A machine without a guest. Its calls pass gates, which are open unless a test closes them.
public final class FakeMachine: Machine {
    /// What the machine does when it is asked for something.
    public struct Behaviour: Sendable {
        /// Doors before calls, by the call's name in the journal.
        public var gates: [String: Gate] = [:]
        /// Calls that fail with ``FakeError``.
        public var failures: Set<String> = []
        /// What a command in the guest comes to.
        public var run: @Sendable (GuestCommand) throws -> GuestCommand.Result = { _ in .init(status: 0) }
        /// Whether somebody holds QEMU's end of the serial port after QEMU's end.
        public var serialOutlivesIt = false
        /// The accounting; nil: version 2, with the machine's pid as the number of its processes.
        public var metrics: CgroupMetrics?

        /// Does everything at once and well.
        public init() {}
    }

    private struct State {
        var behaviour: Behaviour
        var exit: MachineExit?
        var waiters: [CheckedContinuation<MachineExit, Never>] = []
    }

    /// A number without a process.
    public let pid: Int32
    /// The sandbox's end of the serial port.
    public let serial: FileDescriptor
    /// QEMU's end of the serial port.
    public let guest: FileDescriptor
    /// The calls.
    public let journal = Journal()
    private let state: Mutex<State>

    /// A machine that runs until a test ends it or the sandbox kills it.
    public init(pid: Int32, _ behaviour: Behaviour) throws {
        self.pid = pid
        (serial, guest) = try UnixSocket.pair()
        state = Mutex(State(behaviour: behaviour))
    }

    /// Ends it as QEMU's end would.
    public func end(_ exit: MachineExit) {
        let waiters = state.withLock { state -> [CheckedContinuation<MachineExit, Never>] in
            guard state.exit == nil else { return [] }
            state.exit = exit
            if !state.behaviour.serialOutlivesIt { guest.close() }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: exit) }
    }

    /// Ends it with an exit status.
    public func end(status: UInt32) { end(MachineExit(status: status, reason: "the test's")) }

    private func pass(_ call: String) async throws {
        journal.note(call)
        let behaviour = state.withLock { $0.behaviour }
        if let gate = behaviour.gates[call] { await gate.pass() }
        if behaviour.failures.contains(call) { throw FakeError(call: call) }
    }

    /// `resume` in the journal.
    public func resume() async throws { try await pass("resume") }
    /// `pause` in the journal.
    public func pause() async throws { try await pass("pause") }
    /// `shutdown` and the attempt's number in the journal.
    public func requestShutdown(attempt: Int) async throws { try await pass("shutdown \(attempt)") }

    /// `kill` in the journal; ends it with 137.
    public func kill() {
        journal.note("kill")
        end(MachineExit(status: 137, reason: "killed"))
    }

    /// Suspends until a test or ``kill()`` has ended it.
    public func ended() async -> MachineExit {
        await withCheckedContinuation { continuation in
            let exit = state.withLock { state in
                if state.exit == nil { state.waiters.append(continuation) }
                return state.exit
            }
            if let exit { continuation.resume(returning: exit) }
        }
    }

    /// The behaviour's.
    public func metrics() throws -> CgroupMetrics {
        state.withLock { $0.behaviour.metrics }
            ?? .v2(CgroupMetricsV2(files: ["pids.current": "\(pid)", "pids.max": "max"]))
    }

    /// `update` and the memory limit in the journal.
    public func update(_ resources: CgroupResources) async throws {
        try await pass("update \(resources.memoryLimit ?? 0)")
    }

    /// `execute` in the journal, and what the behaviour answers.
    public func execute(_ command: GuestCommand) async throws -> GuestCommand.Result {
        try await pass("execute")
        return try state.withLock { $0.behaviour }.run(command)
    }
}

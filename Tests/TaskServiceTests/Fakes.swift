import Cgroup
import ContainerIO
import Glibc
import LinuxSystem
import OCIRuntimeSpec
import Sandbox
import Synchronization
import TestSupport

/// A door that tests open.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    init(open: Bool = false) { state.withLock { $0.isOpen = open } }

    func open() {
        let waiters = state.withLock { state in
            state.isOpen = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiters.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }
}

/// What fakes were asked for, in order.
final class Journal: Sendable {
    private let lines = Mutex<[String]>([])

    func note(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
    func contains(_ line: String) -> Bool { all.contains(line) }
}

struct FakeError: Error, Equatable {
    var call: String
}

/// A machine without a guest. Its calls pass gates, which are open unless a test closes them.
final class FakeMachine: Machine {
    /// What the machine does when it is asked for something.
    struct Behaviour: Sendable {
        var gates: [String: Gate] = [:]
        var failures: Set<String> = []
        var metrics = CgroupMetrics.v2(CgroupMetricsV2(files: [:]))
        var run: @Sendable (GuestCommand) throws -> GuestCommand.Result = { _ in .init(status: 0) }
        /// Whether somebody holds QEMU's end of the serial port after QEMU's end.
        var serialOutlivesIt = false
    }

    private struct State {
        var behaviour: Behaviour
        var exit: MachineExit?
        var waiters: [CheckedContinuation<MachineExit, Never>] = []
    }

    let pid: Int32
    let serial: FileDescriptor
    /// QEMU's end of the serial port.
    let guest: FileDescriptor
    let journal = Journal()
    private let state: Mutex<State>

    init(pid: Int32, _ behaviour: Behaviour) throws {
        self.pid = pid
        (serial, guest) = try UnixSocket.pair()
        state = Mutex(State(behaviour: behaviour))
    }

    /// Ends it as QEMU's end would.
    func end(_ exit: MachineExit) {
        let waiters = state.withLock { state -> [CheckedContinuation<MachineExit, Never>] in
            guard state.exit == nil else { return [] }
            state.exit = exit
            if !state.behaviour.serialOutlivesIt { guest.close() }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: exit) }
    }

    func end(status: UInt32) { end(MachineExit(status: status, reason: "the test's")) }

    private func pass(_ call: String) async throws {
        journal.note(call)
        let behaviour = state.withLock { $0.behaviour }
        if let gate = behaviour.gates[call] { await gate.pass() }
        if behaviour.failures.contains(call) { throw FakeError(call: call) }
    }

    func resume() async throws { try await pass("resume") }
    func pause() async throws { try await pass("pause") }
    func requestShutdown(attempt: Int) async throws { try await pass("shutdown \(attempt)") }

    func kill() {
        journal.note("kill")
        end(MachineExit(status: 137, reason: "killed"))
    }

    func ended() async -> MachineExit {
        await withCheckedContinuation { continuation in
            let exit = state.withLock { state in
                if state.exit == nil { state.waiters.append(continuation) }
                return state.exit
            }
            if let exit { continuation.resume(returning: exit) }
        }
    }

    func metrics() throws -> CgroupMetrics { state.withLock { $0.behaviour.metrics } }

    func update(_ resources: CgroupResources) async throws { try await pass("update \(resources.memoryLimit ?? 0)") }

    func execute(_ command: GuestCommand) async throws -> GuestCommand.Result {
        try await pass("execute")
        return try state.withLock { $0.behaviour }.run(command)
    }
}

/// A node without machines.
final class FakeHost: MachineHost {
    private struct State {
        var machines: [FakeMachine] = []
        var behaviour = FakeMachine.Behaviour()
        var gates: [String: Gate] = [:]
        var failures: Set<String> = []
    }
    let journal = Journal()
    private let state = Mutex(State())

    /// The machines in the order of their creation.
    var machines: [FakeMachine] { state.withLock { $0.machines } }
    func behave(_ change: (inout FakeMachine.Behaviour) -> Void) { state.withLock { change(&$0.behaviour) } }
    func close(_ call: String) -> Gate {
        let gate = Gate()
        state.withLock { $0.gates[call] = gate }
        return gate
    }
    func fail(_ call: String, _ fails: Bool = true) {
        state.withLock { if fails { $0.failures.insert(call) } else { $0.failures.remove(call) } }
    }

    private func pass(_ call: String) async throws {
        journal.note(call)
        let (gate, fails) = state.withLock { ($0.gates[call], $0.failures.contains(call)) }
        if let gate { await gate.pass() }
        if fails { throw FakeError(call: call) }
    }

    func prepare(_ request: CreateRequest, spec: Spec) async throws { try await pass("prepare \(request.id)") }

    func create(_ request: CreateRequest, spec: Spec, annotations: CRIAnnotations) async throws -> any Machine {
        try await pass("create \(request.id)")
        return try state.withLock { state in
            let machine = try FakeMachine(pid: Int32(1000 + state.machines.count), state.behaviour)
            state.machines.append(machine)
            return machine
        }
    }

    func remove(container: String) async { try? await pass("remove \(container)") }
    func close() async { try? await pass("close") }
}

public import OCIRuntimeSpec
public import Sandbox
import Synchronization

/// A node without machines. Its calls pass gates as a ``FakeMachine``'s do.
public final class FakeHost: MachineHost {
    private struct State {
        var machines: [FakeMachine] = []
        var behaviour = FakeMachine.Behaviour()
        var gates: [String: Gate] = [:]
        var failures: [String: any Error] = [:]
    }

    /// The calls: `prepare ID`, `create ID`, `remove ID`, `close`.
    public let journal = Journal()
    private let state = Mutex(State())

    /// A node on which everything succeeds.
    public init() {}

    /// The machines in the order of their creation; their pids count from 1000.
    public var machines: [FakeMachine] { state.withLock { $0.machines } }

    /// Changes what machines that are made from now on do.
    public func behave(_ change: (inout FakeMachine.Behaviour) -> Void) {
        state.withLock { change(&$0.behaviour) }
    }

    /// Holds up a call until the returned door is opened.
    public func close(_ call: String) -> Gate {
        let gate = Gate()
        state.withLock { $0.gates[call] = gate }
        return gate
    }

    /// Lets a call fail with ``FakeError``, or succeed again.
    public func fail(_ call: String, _ fails: Bool = true) { fail(call, with: fails ? FakeError(call: call) : nil) }

    /// Lets a call fail with an error; nil: succeed again.
    public func fail(_ call: String, with error: (any Error)?) {
        state.withLock { $0.failures[call] = error }
    }

    private func pass(_ call: String) async throws {
        journal.note(call)
        let (gate, failure) = state.withLock { ($0.gates[call], $0.failures[call]) }
        if let gate { await gate.pass() }
        if let failure { throw failure }
    }

    /// Does nothing.
    public func prepare(_ request: CreateRequest, spec: Spec) async throws { try await pass("prepare \(request.id)") }

    /// Makes a ``FakeMachine``.
    public func create(
        _ request: CreateRequest, spec: Spec, annotations: CRIAnnotations
    ) async throws -> any Machine {
        try await pass("create \(request.id)")
        return try state.withLock { state in
            let machine = try FakeMachine(pid: Int32(1000 + state.machines.count), state.behaviour)
            state.machines.append(machine)
            return machine
        }
    }

    /// Does nothing.
    public func remove(container: String) async { try? await pass("remove \(container)") }
    /// Does nothing.
    public func close() async { try? await pass("close") }
}

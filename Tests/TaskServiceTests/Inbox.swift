import ContainerdAPI
import LinuxSystem
import SandboxFakes
import SwiftProtobuf
import Synchronization
import TTRPC

/// containerd's Events service: keeps what is forwarded to it.
final class Inbox: Sendable {
    private struct State {
        var envelopes: [Containerd_Envelope] = []
        var namespaces: Set<String> = []
        var refused: Set<String> = []
        var attempts: [String: Int] = [:]
        var gate: Gate?
        var server: Server?
    }

    let path: String
    private let state = Mutex(State())

    /// A service that does not listen yet.
    init(path: String) { self.path = path }

    deinit {
        if let server = state.withLock({ $0.server }) { Task { await server.shutdown(within: .zero) } }
    }

    /// Listens; again after ``stop()``, as a restarted containerd does.
    func start() throws {
        try File.remove(path)
        var service = Service(ServiceName.events)
        service.register(EventsMethod.forward.rawValue) {
            [weak self] (request: Events_ForwardRequest, call: Call) async throws -> Google_Protobuf_Empty in
            try await self?.take(request.envelope, call)
            return Google_Protobuf_Empty()
        }
        let server = Server(services: [service])
        try server.listen(on: UnixSocket.listen(path))
        state.withLock { $0.server = server }
    }

    /// Ends as containerd does: no socket listens, the connections are closed.
    func stop() async {
        let server = state.withLock { state in
            defer { state.server = nil }
            return state.server
        }
        await server?.shutdown(within: .zero)
    }

    /// Answers events of a topic with an error.
    func refuse(_ topic: String) { state.withLock { _ = $0.refused.insert(topic) } }

    /// Answers nothing until the gate is open.
    func hang() -> Gate {
        let gate = Gate()
        state.withLock { $0.gate = gate }
        return gate
    }

    private func take(_ envelope: Containerd_Envelope, _ call: Call) async throws {
        let (gate, isRefused) = state.withLock { state in
            state.attempts[envelope.topic, default: 0] += 1
            return (state.gate, state.refused.contains(envelope.topic))
        }
        if let gate { await gate.pass() }
        if isRefused { throw StatusError(.invalidArgument, "refused") }
        state.withLock { state in
            state.envelopes.append(envelope)
            state.namespaces.formUnion(call.metadata[namespaceMetadataKey] ?? [])
        }
    }

    var envelopes: [Containerd_Envelope] { state.withLock { $0.envelopes } }
    /// The namespaces in the calls' metadata.
    var namespaces: Set<String> { state.withLock { $0.namespaces } }
    func attempts(_ topic: String) -> Int { state.withLock { $0.attempts[topic] ?? 0 } }

    /// The events as short texts.
    var lines: [String] { envelopes.map(Self.line) }

    private static func line(_ envelope: Containerd_Envelope) -> String {
        func detail<Event: TaskEvent>(_ type: Event.Type, _ text: (Event) -> String) -> String {
            guard let event = try? envelope.event.message(as: type) else { return "\(envelope.topic) undecodable" }
            return "\(envelope.topic) \(text(event))"
        }
        return switch envelope.topic {
        case Event_TaskCreate.topic: detail(Event_TaskCreate.self) { $0.containerID }
        case Event_TaskStart.topic: detail(Event_TaskStart.self) { $0.containerID }
        case Event_TaskExit.topic:
            detail(Event_TaskExit.self) { "\($0.containerID) \($0.id) \($0.exitStatus)" }
        case Event_TaskDelete.topic:
            detail(Event_TaskDelete.self) { "\($0.containerID) \($0.id) \($0.exitStatus)" }
        case Event_TaskOOM.topic: detail(Event_TaskOOM.self) { $0.containerID }
        case Event_TaskExecAdded.topic: detail(Event_TaskExecAdded.self) { "\($0.containerID) \($0.execID)" }
        case Event_TaskExecStarted.topic: detail(Event_TaskExecStarted.self) { "\($0.containerID) \($0.execID)" }
        case Event_TaskPaused.topic: detail(Event_TaskPaused.self) { $0.containerID }
        case Event_TaskResumed.topic: detail(Event_TaskResumed.self) { $0.containerID }
        default: envelope.topic
        }
    }
}

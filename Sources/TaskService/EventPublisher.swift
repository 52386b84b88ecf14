import ContainerIO
import ContainerdAPI
import LinuxSystem
public import Sandbox
import SwiftProtobuf
import Synchronization
import TTRPC

/// Forwards events to containerd, in their order, with retries; containerd's own shim library is the model for the
/// numbers: 5 s a call, a queue of 2048, up to 5 retries 1, 2, 3, … s apart, then the event is dropped.
public final class EventPublisher: EventSink {
    private struct State {
        var queue: [SandboxEvent] = []
        var isRunning = false
        var idle: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter = 0
    }

    private static let queueLimit = 2048
    private static let retries = 5

    private let address: String
    private let namespace: String
    private let log: @Sendable (String) -> Void
    private let state = Mutex(State())
    private let connection = Mutex<Client?>(nil)

    /// A publisher.
    ///
    /// - Parameters:
    ///   - address: containerd's ttrpc socket (`TTRPC_ADDRESS`), a path with or without `unix://`; empty: none.
    ///   - namespace: containerd's namespace.
    public init(address: String, namespace: String, log: @escaping @Sendable (String) -> Void) {
        self.address = address.hasPrefix("unix://") ? String(address.dropFirst("unix://".count)) : address
        self.namespace = namespace
        self.log = log
    }

    /// Queues an event; the oldest goes when the queue is full.
    public func publish(_ event: SandboxEvent) {
        guard !address.isEmpty else { return }
        let starts = state.withLock { state in
            if state.queue.count == Self.queueLimit { state.queue.removeFirst() }
            state.queue.append(event)
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if starts { Task { await run() } }
    }

    /// Suspends until the queue is empty or the time is up.
    public func flush(milliseconds: Int64) async {
        // The waiter is known before its time begins to run: a timer that finds nobody would leave it waiting.
        var timer: Task<Void, any Error>?
        await withCheckedContinuation { continuation in
            let number = state.withLock { state -> Int? in
                guard state.isRunning else { return nil }
                state.nextWaiter += 1
                state.idle[state.nextWaiter] = continuation
                return state.nextWaiter
            }
            guard let number else { return continuation.resume() }
            timer = Task {
                try await Task.sleep(for: .milliseconds(milliseconds))
                state.withLock { $0.idle.removeValue(forKey: number) }?.resume()
            }
        }
        timer?.cancel()
    }

    private func run() async {
        while true {
            let (event, idle) = state.withLock { state -> (SandboxEvent?, [CheckedContinuation<Void, Never>]) in
                if !state.queue.isEmpty { return (state.queue.removeFirst(), []) }
                state.isRunning = false
                defer { state.idle = [:] }
                return (nil, Array(state.idle.values))
            }
            guard let event else {
                for waiter in idle { waiter.resume() }
                return
            }
            await deliver(event)
        }
    }

    private func deliver(_ event: SandboxEvent) async {
        let request: Events_ForwardRequest
        do {
            request = try Events_ForwardRequest.with { try $0.envelope = envelope(event) }
        } catch {
            return log("event \(event) cannot be encoded: \(error)")
        }
        for attempt in 0...Self.retries {
            if attempt > 1 { try? await Task.sleep(for: .seconds(attempt - 1)) }
            do {
                let client = try client()
                _ = try await client.call(
                    ServiceName.events, EventsMethod.forward.rawValue, request,
                    returning: Google_Protobuf_Empty.self, timeout: .seconds(5),
                    metadata: [namespaceMetadataKey: [namespace]])
                return
            } catch {
                connection.withLock { $0 = nil }
                if attempt == Self.retries { log("event \(request.envelope.topic) was not delivered: \(error)") }
            }
        }
    }

    private func client() throws -> Client {
        try connection.withLock { connection in
            if let client = connection, !client.isClosed { return client }
            let client = try Client(path: address)
            connection = client
            return client
        }
    }

    private func envelope(_ event: SandboxEvent) throws -> Containerd_Envelope {
        func pack(_ topic: String, _ event: some Message) throws -> Containerd_Envelope {
            try .with {
                $0.timestamp = Google_Protobuf_Timestamp(Timestamp.now)
                $0.namespace = namespace
                $0.topic = topic
                $0.event = try Google_Protobuf_Any(bare: event)
            }
        }
        func pack<Event: TaskEvent>(_ event: Event) throws -> Containerd_Envelope { try pack(Event.topic, event) }
        switch event {
        case .created(let request, let pid):
            return try pack(
                Event_TaskCreate.with {
                    $0.containerID = request.id
                    $0.bundle = request.bundle
                    $0.rootfs = request.rootfs.map { mount in
                        .with {
                            $0.type = mount.type
                            $0.source = mount.source
                            $0.target = mount.target
                            $0.options = mount.options
                        }
                    }
                    $0.io = .with {
                        $0.stdin = request.stdio.stdin
                        $0.stdout = request.stdio.stdout
                        $0.stderr = request.stdio.stderr
                        $0.terminal = request.stdio.terminal
                    }
                    $0.pid = pid
                })
        case .started(let id, let pid):
            return try pack(
                Event_TaskStart.with {
                    $0.containerID = id
                    $0.pid = pid
                })
        case .exited(let id, let process, let pid, let exit):
            return try pack(
                Event_TaskExit.with {
                    $0.containerID = id
                    $0.id = process
                    $0.pid = pid
                    $0.exitStatus = exit.status
                    $0.exitedAt = Google_Protobuf_Timestamp(exit.at)
                })
        case .deleted(let id, let process, let pid, let exit):
            return try pack(
                Event_TaskDelete.with {
                    $0.containerID = id
                    $0.id = process
                    $0.pid = pid
                    $0.exitStatus = exit.status
                    $0.exitedAt = Google_Protobuf_Timestamp(exit.at)
                })
        case .outOfMemory(let id): return try pack(Event_TaskOOM.with { $0.containerID = id })
        case .execAdded(let id, let exec):
            return try pack(
                Event_TaskExecAdded.with {
                    $0.containerID = id
                    $0.execID = exec
                })
        case .execStarted(let id, let exec, let pid):
            return try pack(
                Event_TaskExecStarted.with {
                    $0.containerID = id
                    $0.execID = exec
                    $0.pid = pid
                })
        case .paused(let id): return try pack(Event_TaskPaused.with { $0.containerID = id })
        case .resumed(let id): return try pack(Event_TaskResumed.with { $0.containerID = id })
        case .nic(let id, let link, let change):
            var fields = ["container_id": id, "link": link]
            let topic =
                switch change {
                case .plugged: NICTopic.plugged
                case .unplugged: NICTopic.unplugged
                case .failed: NICTopic.failed
                }
            if case .failed(let reason) = change { fields["reason"] = reason }
            return try pack(
                topic,
                Google_Protobuf_Struct.with {
                    $0.fields = fields.mapValues { Google_Protobuf_Value(stringValue: $0) }
                })
        }
    }
}

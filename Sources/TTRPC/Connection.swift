internal import Glibc
internal import LinuxSystem
internal import Synchronization

/// A server's end of one connection: a thread that reads, a task for each request, a writer for the replies.
final class Connection: Sendable {
    private struct State {
        var isReading = true
        var callsInFlight = 0
        var isDone: Bool { !isReading && callsInFlight == 0 }
    }

    private let services: [String: Service]
    private let callLimit: Int
    private let writer: FrameWriter
    private let state = Mutex(State())

    /// - Parameter onClose: called once when the connection is closed.
    init(
        _ socket: FileDescriptor, services: [String: Service], callLimit: Int, onClose: @escaping @Sendable () -> Void
    ) {
        self.services = services
        self.callLimit = callLimit
        writer = FrameWriter(socket, onClose: onClose)
    }

    /// Reads until the peer closes or the connection is closed here. Blocks.
    func read(from socket: FileDescriptor) {
        var intake = Intake()
        do throws(SystemError) {
            while let incoming = try Incoming.read(from: socket) {
                switch intake.admit(incoming) {
                case .run(let call, let stream): run(call, stream)
                case .refuse(let error, let stream): writer.send(Reply.failure(error).frame(stream: stream))
                case .ignore: break
                }
            }
            // POLLHUP: the peer is gone altogether. Without it, it only sends no more, or reading was stopped here, and
            // the replies in flight are still wanted.
            if try socket.wait(for: 0, milliseconds: 0) { writer.close() }
        } catch {
            writer.close()
        }
        update { $0.isReading = false }
    }

    /// Takes no more requests; closes when those in flight are answered.
    func finish() { writer.stopReading() }

    /// Closes now. Requests in flight go on, their replies are dropped.
    func close() { writer.close() }

    private func run(_ call: Call, _ stream: UInt32) {
        let admitted = state.withLock { state in
            guard state.callsInFlight < callLimit else { return false }
            state.callsInFlight += 1
            return true
        }
        guard admitted else {
            let error = StatusError(
                .resourceExhausted, "\(callLimit) calls are in flight on this connection, no more fit")
            writer.send(Reply.failure(error).frame(stream: stream))
            return
        }
        Task {
            let reply = await answer(call)
            writer.send(reply.frame(stream: stream))
            update { $0.callsInFlight -= 1 }
        }
    }

    private func update(_ change: (inout State) -> Void) {
        let isDone = state.withLock { state in
            change(&state)
            return state.isDone
        }
        if isDone { writer.closeWhenDrained() }
    }

    private func answer(_ call: Call) async -> Reply {
        guard let service = services[call.service] else {
            return .failure(
                StatusError(
                    .unimplemented,
                    "there is no service \"\(call.service)\" (called for its method \"\(call.method)\"); "
                        + "there is \(services.keys.sorted().joined(separator: ", "))"))
        }
        guard let handler = service.methods[call.method] else {
            return .failure(
                StatusError(.unimplemented, "the service \"\(call.service)\" has no method \"\(call.method)\""))
        }
        do {
            return .success(try await handler(call))
        } catch {
            return .failure(StatusError(error))
        }
    }
}

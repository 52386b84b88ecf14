internal import LinuxSystem
internal import Synchronization

/// A client's end of one connection: matches responses to requests by their stream id.
final class ClientConnection: Sendable {
    private struct State {
        var nextStream: UInt32? = 1
        var pending: [UInt32: PendingReply] = [:]
        var isClosed = false
    }

    private let writer: FrameWriter
    private let state = Mutex(State())

    init(_ socket: FileDescriptor) {
        writer = FrameWriter(socket)
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Sends a request under the next stream id.
    ///
    /// - Throws: ``StatusError`` with code 8 or 14.
    func send(_ envelope: [UInt8], name: String) throws(StatusError) -> (stream: UInt32, PendingReply) {
        let pending = PendingReply()
        let sent: Result<UInt32, StatusError> = state.withLock { state in
            guard !state.isClosed else { return .failure(Self.closed(name)) }
            guard let stream = state.nextStream else {
                return .failure(StatusError(.unavailable, "\(name): this connection has used up its stream ids"))
            }
            guard let frame = Frame(stream: stream, kind: .request, payload: envelope).bytes else {
                return .failure(
                    StatusError(
                        .resourceExhausted,
                        "\(name): the request of \(envelope.count) bytes is larger than a frame's limit of "
                            + "\(FrameHeader.maximumLength) bytes"))
            }
            // Ids have to rise on the wire, hence the sending under the lock; it does not block.
            guard writer.send(frame) else { return .failure(Self.closed(name)) }
            let (next, overflow) = stream.addingReportingOverflow(2)
            state.nextStream = overflow ? nil : next
            state.pending[stream] = pending
            return .success(stream)
        }
        return (try sent.get(), pending)
    }

    /// Ends a call, if it is still in flight.
    func complete(_ stream: UInt32, with reply: Reply) {
        state.withLock { $0.pending.removeValue(forKey: stream) }?.complete(with: reply)
    }

    /// Reads responses until the connection ends. Blocks.
    func read(from socket: FileDescriptor) {
        while let incoming = try? Incoming.read(from: socket) {
            switch incoming {
            case .frame(let frame) where frame.kind == .response:
                complete(frame.stream, with: Reply(envelope: frame.payload))
            case .oversized(let header) where header.kind == .response:
                let error = StatusError(
                    .resourceExhausted,
                    "the response of \(header.length) bytes is larger than the limit of \(FrameHeader.maximumLength) bytes"
                )
                complete(header.stream, with: .failure(error))
            default: break
            }
        }
        close()
    }

    /// Ends the connection and every call in flight.
    func close() {
        let pending = state.withLock { state in
            defer { state.pending = [:] }
            state.isClosed = true
            return state.pending
        }
        writer.close()
        for reply in pending.values { reply.complete(with: .failure(Self.closed("call"))) }
    }

    private static func closed(_ name: String) -> StatusError {
        StatusError(.unavailable, "\(name): the connection is closed")
    }
}

/// The reply to one call: given once, awaited once, in any order.
final class PendingReply: Sendable {
    private enum State {
        case open
        case awaited(CheckedContinuation<Reply, Never>)
        case given(Reply)
    }

    private let state = Mutex(State.open)

    /// Gives the reply. Later ones are dropped.
    func complete(with reply: Reply) {
        let continuation: CheckedContinuation<Reply, Never>? = state.withLock { state in
            switch state {
            case .given: return nil
            case .open:
                state = .given(reply)
                return nil
            case .awaited(let continuation):
                state = .given(reply)
                return continuation
            }
        }
        continuation?.resume(returning: reply)
    }

    /// The reply, when it is there. To be awaited by one task only.
    var reply: Reply {
        get async {
            await withCheckedContinuation { continuation in
                let given: Reply? = state.withLock { state in
                    if case .given(let reply) = state { return reply }
                    state = .awaited(continuation)
                    return nil
                }
                if let given { continuation.resume(returning: given) }
            }
        }
    }
}

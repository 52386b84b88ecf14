import Synchronization

/// Collects an exec's stdin until its end, because the guest agent takes it in one piece.
final class GatheredInput: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var ended = false
        var isTooMuch = false
        var waiter: CheckedContinuation<[UInt8], Never>?
    }

    private let state = Mutex(State())
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Adds a chunk; an empty one is the end.
    func receive(_ chunk: [UInt8]) {
        let (waiter, bytes) = state.withLock { state in
            if chunk.count > limit - state.bytes.count { state.isTooMuch = true }
            state.bytes += chunk.prefix(limit - state.bytes.count)
            if chunk.isEmpty { state.ended = true }
            defer { if state.ended { state.waiter = nil } }
            return (state.ended ? state.waiter : nil, state.bytes)
        }
        waiter?.resume(returning: bytes)
    }

    /// Suspends until the end.
    ///
    /// - Throws: ``SandboxError`` when there was more than the limit.
    func all() async throws -> [UInt8] {
        let bytes = await withCheckedContinuation { continuation in
            let bytes = state.withLock { state -> [UInt8]? in
                if state.ended { return state.bytes }
                state.waiter = continuation
                return nil
            }
            if let bytes { continuation.resume(returning: bytes) }
        }
        if state.withLock({ $0.isTooMuch }) {
            throw SandboxError(
                .invalidArgument, "stdin: is more than \(limit >> 10) KiB; the guest agent takes no more at once")
        }
        return bytes
    }
}

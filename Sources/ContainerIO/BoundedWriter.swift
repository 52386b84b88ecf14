import Glibc
public import LinuxSystem
import Synchronization

/// Writes to a descriptor whose reader may be slow, absent or gone, without ever holding up the one who writes.
///
/// Bytes wait in a buffer of bounded size; when it is full the oldest go, and a line says how many once there is room
/// again. A thread of its own does the writing.
public final class BoundedWriter: Sendable {
    private struct State {
        var buffer: [UInt8] = []
        var dropped = 0
        var finishing = false
        var ended = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())
    private let descriptor: FileDescriptor
    private let wake: FileDescriptor
    private let limit: Int

    /// Takes over a descriptor and starts the thread.
    ///
    /// - Parameters:
    ///   - descriptor: is made non-blocking, and closed at the end.
    ///   - limit: bytes that wait at most.
    public init(_ descriptor: FileDescriptor, limit: Int = 1 << 20) throws(SystemError) {
        self.descriptor = descriptor
        self.limit = limit
        try descriptor.setNonBlocking()
        wake = try FileDescriptor.event()
        try Thread.start("console-out") { [self] in run() }
    }

    /// Adds bytes. Never blocks.
    public func write(_ bytes: [UInt8]) {
        state.withLock { state in
            guard !state.finishing, !state.ended else { return }
            state.buffer += bytes
            if state.buffer.count > limit {
                let excess = state.buffer.count - limit
                state.buffer.removeFirst(excess)
                state.dropped += excess
            }
        }
        wake.signalEvent()
    }

    /// Writes what is left, then closes the descriptor. Whatever the reader has not taken after `milliseconds` is lost.
    public func finish(milliseconds: Int64 = 10_000) async {
        let deadline = Clock.milliseconds + milliseconds
        await withCheckedContinuation { continuation in
            let ended = state.withLock { state in
                state.finishing = true
                if !state.ended { state.waiters.append(continuation) }
                return state.ended
            }
            if ended { continuation.resume() }
            finishBy.store(deadline, ordering: .releasing)
            wake.signalEvent()
        }
    }

    private let finishBy = Atomic<Int64>(Int64.max)

    private enum Next {
        case wait
        case write([UInt8])
        case end
    }

    private func run() {
        // What is being written is out of the buffer, so that nothing can be dropped from its middle.
        var chunk: ArraySlice<UInt8> = []
        loop: while true {
            if chunk.isEmpty {
                switch next() {
                case .end: break loop
                case .wait: wait(forOutput: false)
                case .write(let bytes): chunk = bytes[...]
                }
            } else {
                do {
                    chunk = chunk.dropFirst(try descriptor.writeSome(chunk))
                } catch {
                    // The reader's end is closed for good, or the file system is full: nobody will get the rest.
                    break loop
                }
                if !chunk.isEmpty { wait(forOutput: true) }
            }
            if Clock.milliseconds > finishBy.load(ordering: .acquiring) { break }
        }
        descriptor.close()
        let waiters = state.withLock { state in
            state.ended = true
            state.buffer = []
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    private func next() -> Next {
        state.withLock { state in
            if state.buffer.isEmpty { return state.finishing ? .end : .wait }
            var chunk = Array(state.buffer.prefix(65536))
            state.buffer.removeFirst(chunk.count)
            if state.dropped > 0 {
                let notice = "\r\n[slipway: \(state.dropped) bytes were dropped here, nobody was reading]\r\n"
                chunk = Array(notice.utf8) + chunk
                state.dropped = 0
            }
            return .write(chunk)
        }
    }

    private func wait(forOutput: Bool) {
        var entries = [pollfd(fd: wake.raw, events: Int16(POLLIN), revents: 0)]
        if forOutput { entries.append(pollfd(fd: descriptor.raw, events: Int16(POLLOUT), revents: 0)) }
        let finish = finishBy.load(ordering: .acquiring)
        let left = finish == Int64.max ? -1 : Int32(clamping: max(0, finish - Clock.milliseconds) + 1)
        _ = poll(&entries, nfds_t(entries.count), left)
        if entries[0].revents != 0 { wake.clearEvent() }
    }
}

internal import Glibc
internal import LinuxSystem
internal import Synchronization

/// The sending half of a connection. Frames stay whole and in the order of ``send(_:)``.
///
/// Sending never blocks, since it happens on the threads of the cooperative pool: what the kernel does not take at once
/// is sent by a thread that lives until the peer has read it. A peer that lets more than ``backlogLimit`` bytes
/// wait is cut off.
final class FrameWriter: Sendable {
    /// Most bytes that wait for a peer that does not read.
    static let backlogLimit = 16 << 20

    private struct State {
        // nil once closed. The descriptor itself is closed when the reader, too, has let go of it, so that no thread can
        // meet its number in another meaning.
        var socket: FileDescriptor?
        var backlog: [[UInt8]] = []
        var backlogSize = 0
        var draining = false
        var closesWhenDrained = false
    }

    private let state: Mutex<State>
    private let onClose: @Sendable () -> Void

    /// - Parameter onClose: called once, on any thread and without a lock held, when the connection is closed.
    init(_ socket: FileDescriptor, onClose: @escaping @Sendable () -> Void = {}) {
        state = Mutex(State(socket: socket))
        self.onClose = onClose
    }

    /// Sends bytes that are one frame; false when the connection is closed, or closed because of this.
    @discardableResult
    func send(_ frame: [UInt8]) -> Bool {
        let taken: Bool? = state.withLock { state in
            guard let socket = state.socket else { return nil }
            return enqueue(frame, to: socket, &state)
        }
        if taken == false { close() }
        return taken ?? false
    }

    /// Ends the connection in both directions; a thread that blocks reading from it sees the end.
    func close() {
        let open = state.withLock { state in
            guard let socket = state.socket else { return false }
            _ = shutdown(socket.raw, Int32(SHUT_RDWR))
            state.socket = nil
            state.backlog = []
            state.backlogSize = 0
            return true
        }
        if open { onClose() }
    }

    /// ``close()`` after the last byte of what was given to ``send(_:)`` is out.
    func closeWhenDrained() {
        let drained = state.withLock { state in
            state.closesWhenDrained = true
            return !state.draining
        }
        if drained { close() }
    }

    /// Lets the reading thread see the end, while replies can still be sent.
    func stopReading() {
        state.withLock { state in
            if let socket = state.socket { _ = shutdown(socket.raw, Int32(SHUT_RD)) }
        }
    }

    private func enqueue(_ frame: [UInt8], to socket: FileDescriptor, _ state: inout State) -> Bool {
        var rest = frame[...]
        if !state.draining {
            guard let count = Self.send(rest, to: socket, Int32(MSG_DONTWAIT)) else { return false }
            rest = rest.dropFirst(count)
            if rest.isEmpty { return true }
        }
        state.backlog.append(Array(rest))
        state.backlogSize += rest.count
        guard state.backlogSize <= Self.backlogLimit else { return false }
        if state.draining { return true }
        do {
            try Thread.start("ttrpc-write") { [self] in drain(to: socket) }
        } catch {
            return false
        }
        state.draining = true
        return true
    }

    private func drain(to socket: FileDescriptor) {
        while let frames = nextBacklog() {
            for frame in frames {
                var rest = frame[...]
                while !rest.isEmpty {
                    guard let count = Self.send(rest, to: socket, 0) else { return close() }
                    rest = rest.dropFirst(count)
                }
            }
        }
        if state.withLock({ $0.closesWhenDrained && !$0.draining }) { close() }
    }

    private func nextBacklog() -> [[UInt8]]? {
        state.withLock { state in
            let frames = state.backlog
            if frames.isEmpty { state.draining = false }
            state.backlog = []
            state.backlogSize = 0
            return frames.isEmpty ? nil : frames
        }
    }

    /// Bytes taken, 0 when the socket is full; nil when the connection is gone. MSG_NOSIGNAL: a peer that has closed
    /// must not end the process by SIGPIPE.
    private static func send(_ bytes: ArraySlice<UInt8>, to socket: FileDescriptor, _ flags: Int32) -> Int? {
        while true {
            let count = bytes.withUnsafeBytes {
                Glibc.send(socket.raw, $0.baseAddress, $0.count, flags | Int32(MSG_NOSIGNAL))
            }
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case EAGAIN: return 0
            default: return nil
            }
        }
    }
}

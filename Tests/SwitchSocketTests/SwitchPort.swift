import Glibc
import LinuxSystem
import Synchronization

/// A port of a switch that says one thing to whoever is at the other end, on a thread of its own.
final class SwitchPort: Sendable {
    enum Answer: Sendable {
        case bytes([UInt8])
        /// Byte by byte, ten a second.
        case slowly([UInt8])
        case silence
        case hangUp
    }

    private struct State {
        var asked: [[UInt8]] = []
        var connections = 0
    }

    /// VIRTIO_NET_F_MRG_RXBUF and VHOST_USER_F_PROTOCOL_FEATURES, for example.
    static let features: [UInt8] = [0, 0x80, 0, 0x40, 0, 0, 0, 0]
    static let good = Answer.bytes([1, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0] + features)

    private let state = Mutex(State())
    private let listener: FileDescriptor?
    private let stop: FileDescriptor

    /// - Parameter connects: it connects, once, as soon as there is a socket; otherwise it listens.
    init(_ path: String, connects: Bool = false, mode: UInt32 = 0o777, _ answer: Answer = good) throws {
        listener = connects ? nil : try UnixSocket.listen(path, mode: mode)
        stop = try FileDescriptor.event()
        try Thread.start("switch port") { [self] in
            if let listener {
                while isWanted(listener), let connection = try? UnixSocket.accept(listener) {
                    converse(connection, answer)
                }
            } else {
                while !isStopped {
                    guard let connection = try? UnixSocket.connect(path) else {
                        sched_yield()
                        continue
                    }
                    return converse(connection, answer)
                }
            }
        }
    }

    /// What it was asked, connection by connection.
    var asked: [[UInt8]] { state.withLock { $0.asked } }
    /// How many are open.
    var connections: Int { state.withLock { $0.connections } }

    func end() { stop.signalEvent() }

    private func converse(_ connection: FileDescriptor, _ answer: Answer) {
        state.withLock { $0.connections += 1 }
        defer {
            state.withLock { $0.connections -= 1 }
            connection.close()
        }
        if case .hangUp = answer { return }
        guard isWanted(connection), let question = try? connection.read(upTo: 64), !question.isEmpty else { return }
        state.withLock { $0.asked.append(question) }
        switch answer {
        case .bytes(let bytes): say(bytes, to: connection)
        case .slowly(let bytes):
            for byte in bytes {
                say([byte], to: connection)
                if (try? stop.wait(for: Int16(POLLIN), milliseconds: 100)) == true { return }
            }
        case .silence, .hangUp: break
        }
        // Until the other end closes.
        while isWanted(connection), let more = try? connection.read(upTo: 64), !more.isEmpty {}
    }

    private func say(_ bytes: [UInt8], to connection: FileDescriptor) {
        _ = send(connection.raw, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    private var isStopped: Bool { (try? stop.wait(for: Int16(POLLIN), milliseconds: 0)) != false }

    /// Waits for a descriptor, or for the end.
    private func isWanted(_ descriptor: FileDescriptor) -> Bool {
        var entries = [descriptor, stop].map { pollfd(fd: $0.raw, events: Int16(POLLIN), revents: 0) }
        while poll(&entries, 2, -1) < 0 && errno == EINTR {}
        return entries[1].revents == 0
    }
}

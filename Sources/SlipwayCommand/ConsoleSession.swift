internal import CLinux
internal import Glibc
internal import LinuxSystem

/// Joins this terminal to a console's socket, both ways, until Ctrl-], the machine's end or a signal.
struct ConsoleSession {
    private let path: String

    /// Ctrl-], as telnet(1) and virsh(1) have it.
    static let escape: UInt8 = 0x1d

    init(_ path: String) {
        self.path = path
    }

    /// How a session ended.
    enum End: Equatable {
        case left
        case closedByMachine
    }

    func run() async throws {
        let socket: FileDescriptor
        do {
            socket = try UnixSocket.connect(path)
        } catch {
            throw CommandFailure(
                .notFound, "no console answers at \(path): \(error); does the machine run?")
        }
        let isTerminal = Output.isTerminal(0)
        if isTerminal { Output.error("Connected. Ctrl-] leaves.") }
        let terminal = try isTerminal ? RawTerminal() : nil
        defer { terminal?.restore() }
        let end = try pump(socket, hasTerminal: isTerminal)
        terminal?.restore()
        if isTerminal { Output.error(end == .left ? "\nLeft; the machine goes on." : "\nThe console was closed.") }
    }

    /// Moves bytes until an end. Blocks; looks for the task's cancellation four times a second.
    private func pump(_ socket: FileDescriptor, hasTerminal: Bool) throws -> End {
        // Standard input stays open until the process ends.
        let input = FileDescriptor(owning: 0)
        defer { _ = input.release() }
        var isReading = true
        while true {
            try Task.checkCancellation()
            var entries = [
                pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0),
                pollfd(fd: isReading ? 0 : -1, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&entries, 2, 250) >= 0 || errno == EINTR else { throw SystemError.last("poll") }
            if entries[0].revents != 0 {
                let bytes = try socket.read(upTo: 65536)
                if bytes.isEmpty || !Output.write(bytes) { return .closedByMachine }
            }
            if entries[1].revents != 0 {
                let typed = try input.read(upTo: 4096)
                // The end of a piped input ends typing, not the session.
                if typed.isEmpty { isReading = false }
                if hasTerminal, let end = typed.firstIndex(of: Self.escape) {
                    try socket.write(typed[..<end])
                    return .left
                }
                try socket.write(typed)
            }
        }
    }
}

/// The terminal at standard input without line editing, echo and signals, until ``restore()``.
final class RawTerminal {
    private var saved: [UInt8]?

    init() throws(SystemError) {
        var bytes = [UInt8](repeating: 0, count: MemoryLayout<termios>.size)
        try check(slipway_terminal_raw(0, &bytes, bytes.count), "tcsetattr")
        saved = bytes
    }

    /// Sets it back. Further calls do nothing.
    func restore() {
        guard let bytes = saved else { return }
        saved = nil
        _ = slipway_terminal_restore(0, bytes, bytes.count)
    }

    deinit { restore() }
}

import Glibc
public import LinuxSystem
import Synchronization

/// A machine's serial console: one stream from QEMU to many listeners, and from many typists to QEMU.
public final class Console: Sendable {
    private struct State {
        var outputs: [Output] = []
        var clients: [Int: Client] = [:]
        var nextClient = 0
        var backlog: [UInt8] = []
        var ended = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private struct Client {
        let socket: FileDescriptor
        let writer: BoundedWriter
    }

    /// Bytes that a new client is shown of what was printed before it came.
    public static let backlogSize = 65536
    /// Clients of the console socket at once.
    public static let maximumClients = 32

    /// Bytes in one read from which on the port is in a hurry.
    private static let burst = 64

    private let serial: FileDescriptor
    private let state = Mutex(State())
    private let typing = Mutex(())

    /// Takes over the connection to QEMU's serial port and starts to read it.
    public init(serial: FileDescriptor, outputs: [Output]) throws(SystemError) {
        self.serial = serial
        state.withLock { $0.outputs = outputs }
        try Thread.start("console") { [self] in read() }
    }

    private func read() {
        while let bytes = try? serial.read(upTo: 16384), !bytes.isEmpty {
            let (outputs, clients) = state.withLock { state in
                state.backlog += bytes
                if state.backlog.count > Self.backlogSize {
                    state.backlog.removeFirst(state.backlog.count - Self.backlogSize)
                }
                return (state.outputs, Array(state.clients.values))
            }
            for output in outputs { output.write(bytes) }
            for client in clients { client.writer.write(bytes) }
            // A serial port sends each byte by itself. Whoever does not wait for the next one is not woken by it, and
            // neither are the readers after it; QEMU's socket holds what 1 ms brings.
            if bytes.count < Self.burst { usleep(1000) }
        }
        let (waiters, clients) = state.withLock { state in
            state.ended = true
            defer {
                state.waiters = []
                state.clients = [:]
            }
            return (state.waiters, Array(state.clients.values))
        }
        for waiter in waiters { waiter.resume() }
        // The thread that serves a client waits on its socket and has to be woken.
        Task {
            for client in clients {
                await client.writer.finish(milliseconds: 1000)
                _ = shutdown(client.socket.raw, Int32(SHUT_RDWR))
            }
        }
    }

    /// Types into the serial port. Blocks while QEMU takes nothing; call it on a thread that may.
    public func type(_ bytes: [UInt8]) {
        typing.withLock { _ in try? serial.write(bytes) }
    }

    /// Suspends until QEMU has closed the port and everything it sent has been handed on.
    public func end() async {
        await withCheckedContinuation { continuation in
            let ended = state.withLock { state in
                if !state.ended { state.waiters.append(continuation) }
                return state.ended
            }
            if ended { continuation.resume() }
        }
    }

    /// Ends the connection to QEMU, whatever QEMU does.
    public func disconnect() { _ = shutdown(serial.raw, Int32(SHUT_RDWR)) }

    /// Serves one client of the console socket until it hangs up: first what was printed lately, then what is printed;
    /// what it sends is typed.
    func serve(_ socket: FileDescriptor) {
        guard let copy = try? socket.duplicate(), let writer = try? BoundedWriter(copy, limit: 1 << 18) else { return }
        let number = state.withLock { state -> Int? in
            guard !state.ended, state.clients.count < Self.maximumClients else { return nil }
            state.nextClient += 1
            writer.write(state.backlog)
            state.clients[state.nextClient] = Client(socket: socket, writer: writer)
            return state.nextClient
        }
        // The copy shares O_NONBLOCK with the original, so reading has to wait for input first.
        while number != nil, (try? socket.wait(for: Int16(POLLIN))) == true, let bytes = try? socket.read(upTo: 4096),
            !bytes.isEmpty
        {
            type(bytes)
        }
        if let number { state.withLock { _ = $0.clients.removeValue(forKey: number) } }
        Task { await writer.finish(milliseconds: 100) }
    }
}

/// The Unix socket at which a console is reached by the CLI.
public final class ConsoleListener: Sendable {
    private let listener: FileDescriptor
    private let path: String
    private let console = Mutex<Console?>(nil)

    /// Listens, for root only.
    public init(path: String) throws(SystemError) {
        try File.remove(path)
        self.path = path
        listener = try UnixSocket.listen(path)
        try Thread.start("console-accept") { [self] in
            while let client = try? UnixSocket.accept(listener) {
                guard let console = console.withLock({ $0 }) else { continue }
                try? Thread.start("console-client") { console.serve(client) }
            }
        }
    }

    /// The console that new clients get; nil: they are hung up on.
    public func serve(_ console: Console?) { self.console.withLock { $0 = console } }

    /// Stops listening and removes the socket.
    public func close() {
        _ = shutdown(listener.raw, Int32(SHUT_RDWR))
        try? File.remove(path)
    }
}

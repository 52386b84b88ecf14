internal import Glibc
public import LinuxSystem
internal import Synchronization

/// A ttrpc server on Unix sockets: a blocking thread a listener and a connection, a task a request.
///
/// Peers are let in only if their effective user is root or the user that this process had when the server was made
/// (SO_PEERCRED). A request that cannot be served is answered and does not disturb the others: unknown services and
/// methods and streaming calls with code 12, frames above 4 MiB and calls beyond the limit with code 8, malformed
/// envelopes and stream ids out of order with code 3. Frames of unknown kinds are ignored.
///
/// A peer that goes loses its replies, nothing else: its requests run to their end.
public final class Server: Sendable {
    private struct State {
        var listeners: [FileDescriptor] = []
        var connections: [ObjectIdentifier: Connection] = [:]
        var isStopping = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let services: [String: Service]
    private let callLimit: Int
    private let users: Set<UInt32>
    private let log: @Sendable (String) -> Void
    private let state = Mutex(State())

    /// Makes a server that does not listen yet.
    ///
    /// - Parameters:
    ///   - services: of two with the same name the later one counts.
    ///   - callLimit: requests that may be in flight on one connection.
    ///   - log: gets a sentence, on any thread, for each refused peer and for each failure to take a connection.
    public init(services: [Service], callLimit: Int = 1024, log: @escaping @Sendable (String) -> Void = { _ in }) {
        self.services = Dictionary(services.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        self.callLimit = callLimit
        self.log = log
        users = [0, geteuid()]
    }

    /// Accepts connections on a listening socket until ``shutdown(within:)``, which closes it; the socket's file stays
    /// with the caller. Several sockets may be given. The server lives as long as it listens.
    ///
    /// - Throws: `SystemError` when no thread can be started.
    public func listen(on listener: FileDescriptor) throws(SystemError) {
        let isStopping = state.withLock { state in
            if !state.isStopping { state.listeners.append(listener) }
            return state.isStopping
        }
        if isStopping { return listener.close() }
        try Thread.start("ttrpc-accept") { [self] in accept(on: listener) }
    }

    /// Stops accepting connections and requests, waits for the replies in flight, and closes every connection when they
    /// are out or when `grace` is up. Requests that are not done by then go on without anyone to answer.
    ///
    /// A handler that awaits this waits for itself: start a task from it.
    public func shutdown(within grace: Duration) async {
        let (listeners, connections) = state.withLock { state in
            defer { state.listeners = [] }
            state.isStopping = true
            return (state.listeners, Array(state.connections.values))
        }
        // Wakes the thread in accept(2), which a close would not.
        for listener in listeners { _ = Glibc.shutdown(listener.raw, Int32(SHUT_RD)) }
        for connection in connections { connection.finish() }
        let timer = Task {
            try await Task.sleep(for: grace)
            for connection in state.withLock({ Array($0.connections.values) }) { connection.close() }
        }
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                if !state.connections.isEmpty { state.waiters.append(continuation) }
                return state.connections.isEmpty
            }
            if isIdle { continuation.resume() }
        }
        timer.cancel()
    }

    private func accept(on listener: FileDescriptor) {
        while true {
            do throws(SystemError) {
                let socket = try UnixSocket.accept(listener)
                if isStopping { return }
                try admit(socket)
            } catch {
                if isStopping { return }
                log("a connection could not be taken: \(error)")
                if [EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP].contains(error.code) { return }
                // Out of descriptors, memory or threads: that may pass, and must not become a busy loop.
                usleep(100_000)
            }
        }
    }

    private var isStopping: Bool { state.withLock { $0.isStopping } }

    private func admit(_ socket: FileDescriptor) throws(SystemError) {
        let user = try UnixSocket.peerUser(socket)
        guard users.contains(user) else {
            return log("a connection of user \(user) was refused: only \(users.sorted()) may connect")
        }
        let token = Token()
        let connection = Connection(socket, services: services, callLimit: callLimit) { [weak self] in
            self?.remove(ObjectIdentifier(token))
        }
        let isStopping = state.withLock { state in
            if !state.isStopping { state.connections[ObjectIdentifier(token)] = connection }
            return state.isStopping
        }
        if isStopping { return connection.close() }
        do {
            try Thread.start("ttrpc-read") { connection.read(from: socket) }
        } catch {
            connection.close()
            throw error
        }
    }

    /// Names a connection before it exists.
    private final class Token: Sendable {}

    private func remove(_ connection: ObjectIdentifier) {
        let waiters = state.withLock { state in
            state.connections[connection] = nil
            guard state.isStopping, state.connections.isEmpty else { return [] as [CheckedContinuation<Void, Never>] }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}

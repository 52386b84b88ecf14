import Glibc
import LinuxSystem
import Synchronization

@testable import TTRPC

/// A directory with a listening socket; removed with the value's scope.
func withServer<Result>(
    _ services: [Service], callLimit: Int = 1024, grace: Duration = .seconds(5),
    _ body: (_ path: String, _ server: Server) async throws -> Result
) async throws -> Result {
    try await withSocketDirectory { directory in
        let path = "\(directory)/s"
        let server = Server(services: services, callLimit: callLimit)
        try server.listen(on: UnixSocket.listen(path))
        do {
            let result = try await body(path, server)
            await server.shutdown(within: grace)
            return result
        } catch {
            await server.shutdown(within: .zero)
            throw error
        }
    }
}

func withSocketDirectory<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    var template = Array("/tmp/slipway-ttrpc-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw SystemError.last("mkdtemp") }
    let directory = String(cString: made)
    defer { try? File.removeTree(directory) }
    return try await body(directory)
}

/// Opens once; waits are by suspension.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    func open() {
        let waiters = state.withLock { state in
            defer { state.waiters = [] }
            state.isOpen = true
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiters.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }
}

/// `test.Echo`: Echo answers its payload, Metadata its first "k", Timeout its timeout's nanoseconds, Fail and Throw fail,
/// Large answers too much, Wait answers when the gate opens and says on `arrived` that it waits.
struct EchoService {
    struct Oops: Error, CustomStringConvertible { let description = "oops" }

    static let name = "test.Echo"
    let gate = Gate()
    let arrivals: AsyncStream<Void>
    private let arrived: AsyncStream<Void>.Continuation

    init() { (arrivals, arrived) = AsyncStream.makeStream() }

    /// Suspends until `count` more Wait calls have arrived.
    func waitForArrivals(_ count: Int) async {
        var left = count
        if left == 0 { return }
        for await _ in arrivals {
            left -= 1
            if left == 0 { return }
        }
    }

    var service: Service {
        var service = Service(Self.name)
        let (gate, arrived) = (gate, arrived)
        service.register("Echo") { $0.payload }
        service.register("Metadata") { call in Array((call.metadata["k"] ?? []).joined(separator: ",").utf8) }
        service.register("Timeout") { call in Array("\(call.timeout?.description ?? "none")".utf8) }
        service.register("Fail") { _ in throw StatusError(.notFound, "not found") }
        service.register("Throw") { _ in throw Oops() }
        service.register("Large") { _ in [UInt8](repeating: 7, count: 5 << 20) }
        service.register("Wait") { call in
            arrived.yield()
            await gate.wait()
            return call.payload
        }
        return service
    }
}

/// A peer that speaks bytes. Every blocking step runs on a thread of its own, never on the cooperative pool.
struct RawPeer: Sendable {
    let socket: FileDescriptor

    init(path: String) throws { socket = try UnixSocket.connect(path) }
    init(socket: FileDescriptor) { self.socket = socket }

    func write(_ bytes: [UInt8]) async throws {
        try await Thread.run("test-write") { try socket.write(bytes) }
    }

    /// The next frame; nil at the end.
    func read() async throws -> Frame? {
        let incoming = try await Thread.run("test-read") { try Incoming.read(from: socket) }
        guard case .frame(let frame)? = incoming else { return nil }
        return frame
    }

    func readReply() async throws -> (stream: UInt32, reply: Reply)? {
        try await read().map { ($0.stream, Reply(envelope: $0.payload)) }
    }

    /// Sends bytes and reads one reply.
    func exchange(_ bytes: [UInt8]) async throws -> (stream: UInt32, reply: Reply)? {
        try await write(bytes)
        return try await readReply()
    }
}

/// A whole request frame.
func request(
    _ stream: UInt32, _ method: String = "Echo", service: String = EchoService.name, payload: [UInt8] = [1, 2, 3],
    flags: FrameHeader.Flags = []
) throws -> [UInt8] {
    let envelope = try Call(service: service, method: method, payload: payload).envelope()
    return try frame(Frame(stream: stream, kind: .request, flags: flags, payload: envelope))
}

func frame(_ frame: Frame) throws -> [UInt8] {
    guard let bytes = frame.bytes else { throw SystemError("frame", code: EMSGSIZE) }
    return bytes
}

extension Reply {
    var code: StatusCode {
        switch self {
        case .success: .ok
        case .failure(let error): error.code
        }
    }
    var message: String {
        switch self {
        case .success: ""
        case .failure(let error): error.message
        }
    }
}

/// The code that a call fails with.
func code(_ body: () async throws -> Void) async -> StatusCode? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? StatusError)?.code
    }
}

public import LinuxSystem
public import SwiftProtobuf

/// A connection to a ttrpc server, for any number of concurrent unary calls. A closed connection stays closed: make a
/// new client.
///
/// Safe to use from anywhere. A thread reads the responses; it ends with the client.
public final class Client: Sendable {
    private let connection: ClientConnection

    /// Connects to a Unix socket. Blocks while the server's backlog is full.
    ///
    /// - Throws: `SystemError`, with ENOENT or ECONNREFUSED when nobody listens.
    public convenience init(path: String) throws(SystemError) {
        try self.init(socket: try UnixSocket.connect(path))
    }

    /// Takes a connected socket.
    ///
    /// - Throws: `SystemError` when no thread can be started.
    public init(socket: FileDescriptor) throws(SystemError) {
        let connection = ClientConnection(socket)
        self.connection = connection
        try Thread.start("ttrpc-client") { connection.read(from: socket) }
    }

    deinit { connection.close() }

    /// Whether the connection has ended; every call fails with code 14 then.
    public var isClosed: Bool { connection.isClosed }

    /// Ends the connection; calls in flight fail with code 14.
    public func close() { connection.close() }

    /// Calls a method with bytes and returns the response's bytes.
    ///
    /// - Parameter timeout: sent to the server and kept here; nil waits for ever.
    /// - Throws: ``StatusError``: the server's status, or 4 when the time is up, 1 when the task is cancelled, 8 when the
    ///   request or the response is too large for a frame, 14 when the connection has ended.
    public func call(
        _ service: String, _ method: String, payload: [UInt8], timeout: Duration? = nil, metadata: Metadata = [:]
    ) async throws(StatusError) -> [UInt8] {
        let name = "\(service)/\(method)"
        let call = Call(service: service, method: method, payload: payload, timeout: timeout, metadata: metadata)
        let (stream, pending) = try connection.send(try call.envelope(), name: name)
        let timer = timeout.map { timeout in
            Task { [connection] in
                try await Task.sleep(for: timeout)
                let error = StatusError(.deadlineExceeded, "\(name): no response within \(timeout)")
                connection.complete(stream, with: .failure(error))
            }
        }
        defer { timer?.cancel() }
        let reply = await withTaskCancellationHandler {
            await pending.reply
        } onCancel: {
            connection.complete(stream, with: .failure(StatusError(.canceled, "\(name): the caller has given up")))
        }
        switch reply {
        case .success(let bytes): return bytes
        case .failure(let error): throw error
        }
    }

    /// Calls a method with a message and returns the response message.
    ///
    /// - Throws: ``StatusError`` like ``call(_:_:payload:timeout:metadata:)``, 3 when the request cannot be serialized
    ///   and 13 when the response is not such a message.
    public func call<Response: Message>(
        _ service: String, _ method: String, _ request: some Message, returning: Response.Type,
        timeout: Duration? = nil, metadata: Metadata = [:]
    ) async throws(StatusError) -> Response {
        let payload: [UInt8]
        do {
            payload = try request.serializedBytes()
        } catch {
            throw StatusError(.invalidArgument, "\(service)/\(method): the request cannot be serialized (\(error))")
        }
        let bytes = try await call(service, method, payload: payload, timeout: timeout, metadata: metadata)
        do {
            return try Response(serializedBytes: bytes)
        } catch {
            throw StatusError(
                .internal,
                "\(service)/\(method): the \(bytes.count) bytes of the response are not a "
                    + "\(Response.protoMessageName) (\(error))")
        }
    }
}

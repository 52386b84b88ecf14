internal import GRPCCore
internal import GRPCNIOTransportCore
internal import GRPCNIOTransportHTTP2Posix
public import SwiftProtobuf

/// A connection to a container runtime's CRI socket: real gRPC, one HTTP/2 connection for all calls.
///
/// It lives inside ``connected(to:_:)``; calls may run at the same time.
public struct CRIClient: CRICalls {
    private let client: GRPCClient<HTTP2ClientTransport.Posix>

    /// Room for the answer to a listing on a full node with verbose annotations (the kubelet's own limit).
    private static let messageLimit = 16 << 20

    /// Connects, runs `body`, and closes the connection when it returns or throws.
    ///
    /// A socket that nobody serves shows at the first call, as `unavailable`.
    ///
    /// - Parameter socket: the absolute path of the runtime's Unix socket.
    public static func connected<Result: Sendable>(
        to socket: String, _ body: (CRIClient) async throws -> Result
    ) async throws -> Result {
        let transport = try HTTP2ClientTransport.Posix(
            // gRPC's Go servers refuse a socket's path as :authority.
            target: .unixDomainSocket(path: socket, authority: "localhost"),
            transportSecurity: .plaintext
        )
        let client = GRPCClient(transport: transport)
        // A task of its own: the connection has to outlive a cancellation, so that what was begun can be taken back.
        let connections = Task.detached { try await client.runConnections() }
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await body(CRIClient(client: client)))
        } catch {
            result = .failure(error)
        }
        client.beginGracefulShutdown()
        _ = await connections.result
        return try result.get()
    }

    /// Makes one call; see ``CRICalls``. A call that must not be given up goes on when the task is cancelled.
    public func call<Response: Message>(
        _ method: CRIMethod, _ request: some Message, _ response: Response.Type, timeout: Duration?
    ) async throws(CRIError) -> Response {
        do {
            if method.isInterruptible { return try await unary(method, request, timeout) }
            return try await Task { try await unary(method, request, timeout) }.value
        } catch {
            if error is CancellationError || (method.isInterruptible && Task.isCancelled) {
                throw CRIError(method, .cancelled, "interrupted")
            }
            throw (error as? RPCError).map { CRIError(method, $0) } ?? CRIError(method, .unknown, "\(error)")
        }
    }

    private func unary<Response: Message>(
        _ method: CRIMethod, _ request: some Message, _ timeout: Duration?
    ) async throws -> Response {
        var options = CallOptions.defaults
        options.timeout = timeout
        options.waitForReady = false
        options.maxRequestMessageBytes = Self.messageLimit
        options.maxResponseMessageBytes = Self.messageLimit
        return try await client.unary(
            request: ClientRequest(message: request),
            descriptor: MethodDescriptor(fullyQualifiedService: method.service, method: method.rawValue),
            serializer: MessageEncoder(),
            deserializer: MessageDecoder<Response>(),
            options: options
        ) { response in try response.message }
    }
}

extension CRIError {
    fileprivate init(_ method: CRIMethod, _ error: RPCError) {
        var message = error.message
        // The transport's own errors say the reason only in their cause: "connection refused".
        var cause = error.cause
        while let reason = cause {
            let rpc = reason as? RPCError
            message += ": \(rpc?.message ?? "\(reason)")"
            cause = rpc?.cause
        }
        self.init(method, Code(rawValue: error.code.rawValue) ?? .unknown, message)
    }
}

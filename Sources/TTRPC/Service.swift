public import SwiftProtobuf

/// Names and values that travel with a call beside its request. Names are lower case; one may have several values.
public typealias Metadata = [String: [String]]

/// A request as a handler sees it.
public struct Call: Equatable, Sendable {
    /// Full name of the service, for example `containerd.task.v2.Task`.
    public let service: String
    /// Name of the method.
    public let method: String
    /// The request message's bytes.
    public let payload: [UInt8]
    /// The time that the caller waits, counted from its sending; nil for no limit. Nothing is cancelled when it is up:
    /// the caller ignores a late reply.
    public let timeout: Duration?
    /// What came with the request.
    public let metadata: Metadata

    /// Makes a call.
    public init(
        service: String, method: String, payload: [UInt8], timeout: Duration? = nil, metadata: Metadata = [:]
    ) {
        self.service = service
        self.method = method
        self.payload = payload
        self.timeout = timeout
        self.metadata = metadata
    }

    /// The request as a message.
    ///
    /// - Throws: ``StatusError`` with code 3 when the bytes are not such a message.
    public func request<Request: Message>(as type: Request.Type) throws(StatusError) -> Request {
        do {
            return try Request(serializedBytes: payload)
        } catch {
            throw StatusError(
                .invalidArgument,
                "\(service)/\(method): the payload of \(payload.count) bytes is not a \(Request.protoMessageName) (\(error))"
            )
        }
    }
}

/// A named set of methods.
public struct Service: Sendable {
    /// Answers a call with the response message's bytes.
    ///
    /// Runs as a task of its own, concurrently with the other calls, and may take as long as it wants; it is not
    /// cancelled when the caller goes. What it throws becomes the status: a ``StatusError`` as it is, anything else as
    /// code 2 with its description.
    public typealias Handler = @Sendable (Call) async throws -> [UInt8]

    /// The full name.
    public let name: String
    /// The handlers by method.
    public private(set) var methods: [String: Handler] = [:]

    /// A service without methods.
    public init(_ name: String) {
        self.name = name
    }

    /// The same methods under another name.
    public func renamed(_ name: String) -> Service {
        var other = Service(name)
        other.methods = methods
        return other
    }

    /// Adds or replaces a method that works on bytes.
    public mutating func register(_ method: String, handler: @escaping Handler) {
        methods[method] = handler
    }

    /// Adds or replaces a method that works on messages; a malformed request is answered with code 3.
    public mutating func register<Request: Message, Response: Message>(
        _ method: String, _ handler: @escaping @Sendable (Request, Call) async throws -> Response
    ) {
        methods[method] = { call in
            try await handler(call.request(as: Request.self), call).serializedBytes()
        }
    }
}

/// What a call of the Container Runtime Interface ended with instead of an answer.
public struct CRIError: Error, Equatable, Sendable, CustomStringConvertible {
    /// gRPC's status codes by number.
    public enum Code: Int, CaseIterable, Sendable {
        case cancelled = 1
        case unknown = 2
        case invalidArgument = 3
        case deadlineExceeded = 4
        case notFound = 5
        case alreadyExists = 6
        case permissionDenied = 7
        case resourceExhausted = 8
        case failedPrecondition = 9
        case aborted = 10
        case outOfRange = 11
        case unimplemented = 12
        case internalError = 13
        case unavailable = 14
        case dataLoss = 15
        case unauthenticated = 16
    }

    /// The call.
    public let method: CRIMethod
    /// The status.
    public let code: Code
    /// The runtime's own words, unshortened.
    public let message: String

    /// Makes an error from what the runtime said.
    public init(_ method: CRIMethod, _ code: Code, _ message: String) {
        self.method = method
        self.code = code
        self.message = message
    }

    /// `RunPodSandbox failed: <the runtime's words>`, as one sentence.
    public var description: String {
        let words = message.isEmpty ? "the runtime gave no reason (status \(code))" : message
        return "\(method.rawValue) failed: \(words)"
    }
}

/// The status codes of google.rpc.Code, with the class of error that containerd makes of each.
///
/// Only 5, 6, 9, 12 and 14 change what containerd does; the others reach the user as text.
public enum StatusCode: Int32, CaseIterable, Sendable {
    /// Success; never the code of an error.
    case ok = 0
    /// The caller gave up.
    case canceled = 1
    /// Anything without a better code.
    case unknown = 2
    /// The request is malformed or contradicts itself.
    case invalidArgument = 3
    /// The time given was up first.
    case deadlineExceeded = 4
    /// No such container, process or object; containerd takes it as "already gone".
    case notFound = 5
    /// The id is taken.
    case alreadyExists = 6
    /// Refused by a rule (containerd 2.0 and later; unknown before).
    case permissionDenied = 7
    /// A limit is reached (2.0 and later; unknown before).
    case resourceExhausted = 8
    /// Not possible in the present state.
    case failedPrecondition = 9
    /// Given up because of a conflict (2.0 and later; unknown before).
    case aborted = 10
    /// Beyond what there is (2.0 and later; unknown before).
    case outOfRange = 11
    /// No such service or method; containerd then tries the older one.
    case unimplemented = 12
    /// An invariant is broken (2.0 and later; unknown before).
    case `internal` = 13
    /// The other side is not there.
    case unavailable = 14
    /// Data is lost (2.0 and later; unknown before).
    case dataLoss = 15
    /// The caller is not known (2.0 and later; unknown before).
    case unauthenticated = 16
}

/// A call that failed: what a handler throws to choose the status, and what a client's call throws.
public struct StatusError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The class of the failure.
    public let code: StatusCode
    /// A sentence for the user.
    public let message: String

    /// Makes an error.
    public init(_ code: StatusCode, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The status for any error: itself if it is one, otherwise code 2 with its description.
    public init(_ error: any Error) {
        self = (error as? StatusError) ?? StatusError(.unknown, String(describing: error))
    }

    /// The message.
    public var description: String { message }
}

public import Sandbox
public import TTRPC

extension StatusError {
    /// The one place where an error becomes a status for containerd. Only NotFound, AlreadyExists, FailedPrecondition,
    /// Unimplemented and Unavailable change what containerd does; the sentence is what people read.
    public init(_ error: SandboxError) {
        let code: StatusCode =
            switch error.code {
            case .notFound: .notFound
            case .alreadyExists: .alreadyExists
            case .failedPrecondition: .failedPrecondition
            case .invalidArgument: .invalidArgument
            case .resourceExhausted: .resourceExhausted
            case .unimplemented: .unimplemented
            case .unavailable: .unavailable
            case .internalError: .internal
            }
        self.init(code, error.message)
    }
}

import Cgroup
import Configuration
import ContainerIO
import LinuxSystem
import MachinePlanning
import OCIRuntimeSpec
import Sandbox
public import TTRPC

extension StatusError {
    /// The one place where an error of any module becomes a status for containerd. Only NotFound, AlreadyExists,
    /// FailedPrecondition, Unimplemented and Unavailable change what containerd does; the sentence is what people read.
    public init(mapping error: any Error) {
        switch error {
        case let error as StatusError: self = error
        case let error as SandboxError: self.init(Self.code(error.code), error.message)
        case let error as PlanRefusal: self.init(.invalidArgument, error.description)
        case let error as SpecError: self.init(.invalidArgument, error.description)
        case let error as Endpoint.Unknown: self.init(.invalidArgument, error.description)
        case let error as ConfigurationError: self.init(.failedPrecondition, error.description)
        case CgroupError.gone: self.init(.notFound, "\(error)")
        case let error as CgroupError: self.init(.internal, error.description)
        case let error as SystemError: self.init(.internal, error.description)
        default: self.init(.unknown, String(describing: error))
        }
    }

    private static func code(_ code: SandboxError.Code) -> StatusCode {
        switch code {
        case .notFound: .notFound
        case .alreadyExists: .alreadyExists
        case .failedPrecondition: .failedPrecondition
        case .invalidArgument: .invalidArgument
        case .resourceExhausted: .resourceExhausted
        case .unimplemented: .unimplemented
        case .unavailable: .unavailable
        case .internalError: .internal
        }
    }
}

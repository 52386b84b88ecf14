import Cgroup
import ContainerIO
import Glibc
import LinuxSystem
import OCIRuntimeSpec

/// An operation on a sandbox or a container that cannot be done.
public struct SandboxError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The classes of error that containerd tells apart (facts of the runtime v2 contract; google.rpc.Code).
    public enum Code: Sendable, CaseIterable {
        /// No such container or exec.
        case notFound
        /// The id is taken.
        case alreadyExists
        /// The state does not allow it.
        case failedPrecondition
        /// The request, the pod's spec or its image cannot be used.
        case invalidArgument
        /// Something of which the node has only so many is used up.
        case resourceExhausted
        /// What was asked for does not exist for machines.
        case unimplemented
        /// The guest does not answer.
        case unavailable
        /// The node failed.
        case internalError
    }

    /// The class.
    public let code: Code
    /// The sentence for people.
    public let message: String

    /// An error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The class of an error of the modules that a sandbox stands on, with its sentence; a ``SandboxError`` stays as it
    /// is, and what nobody knows is the node's failure.
    public init(_ error: any Error) {
        switch error {
        case let error as SandboxError: self = error
        case let error as SpecError: self.init(.invalidArgument, error.description)
        case let error as Endpoint.Unknown: self.init(.invalidArgument, error.description)
        case let error as SystemError: self.init(Self.code(of: error), error.description)
        case let error as CgroupError: self.init(Self.code(of: error), error.description)
        default: self.init(.internalError, String(describing: error))
        }
    }

    private static func code(of error: SystemError) -> Code {
        switch error.code {
        case ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM, EAGAIN: .resourceExhausted
        default: .internalError
        }
    }

    private static func code(of error: CgroupError) -> Code {
        switch error {
        case .gone: .notFound
        case .invalidPath, .invalidResource: .invalidArgument
        case .controllerMissing, .occupied: .failedPrecondition
        case .refused(_, _, let cause), .system(let cause): code(of: cause)
        case .noHierarchy, .populated, .notSettled, .threadsAreVersion1Only: .internalError
        }
    }

    /// The sentence.
    public var description: String { message }

    static func noContainer(_ id: String) -> SandboxError {
        SandboxError(.notFound, "container \(id): no such container in this sandbox")
    }

    static func wrongState(_ id: String, _ operation: String, _ state: String, accepted: String) -> SandboxError {
        SandboxError(
            .failedPrecondition, "container \(id): cannot \(operation) while \(state); accepted while \(accepted)")
    }
}

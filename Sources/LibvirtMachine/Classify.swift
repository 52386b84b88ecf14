import Configuration
import DiskImage
import GuestConfiguration
import HostTopology
import Libvirt
import LinuxSystem
import MachinePlanning
import PodNetwork
import Sandbox
import StateDirectory
import SwitchSocket

extension SandboxError {
    /// The class of whatever can go wrong while a machine is made or asked for something, with its sentence.
    init(ofMachine error: any Error) {
        let code: Code? =
            switch error {
            case let error as PlanRefusal: error.kind == .exhausted ? .resourceExhausted : .invalidArgument
            case let error as DiskImageError: Self.code(of: error)
            case let error as GuestConfigurationError: Self.code(of: error)
            case is NetworkRefusal, is SwitchRefusal, is ConfigurationError: .failedPrecondition
            case is UserClaim.Exhausted, is PlacementClaim.Conflict: .resourceExhausted
            case is ExclusiveLock.Busy: .unavailable
            case is CPUSet.Malformed, is AnnotationRefusal: .invalidArgument
            case let error as LibvirtError: Self.code(of: error)
            default: nil
            }
        self = code.map { SandboxError($0, String(describing: error)) } ?? SandboxError(error)
    }

    private static func code(of error: DiskImageError) -> Code {
        switch error {
        case .system(let cause): SandboxError(cause).code
        case .none, .several, .missing, .notRegular, .refused, .tooManyEntries, .severalKernels, .kernel:
            .invalidArgument
        }
    }

    private static func code(of error: GuestConfigurationError) -> Code {
        switch error {
        case .nul, .environment, .seedFile: .invalidArgument
        case .noImageProgram, .noRoom: .failedPrecondition
        case .imageProgram, .otherImage: .internalError
        case .system(let cause): SandboxError(cause).code
        }
    }

    private static func code(of error: LibvirtError) -> Code {
        if error.isAgentUnavailable { return .unavailable }
        // Between QEMU's end and libvirt's noticing it, the domain "is not running" or "has no matching uuid".
        if error.isNoDomain { return .notFound }
        return .internalError
    }
}

internal import CNI
internal import CRIProtocol
internal import Glibc
internal import HostTopology
internal import LinuxSystem
internal import MachinePlanning
internal import PodManifest

/// The command's exit codes.
public enum ExitStatus: Int32, CaseIterable, Sendable {
    /// Done.
    case ok = 0
    /// Not done, for a reason that has no code of its own.
    case failure = 1
    /// The command line or the manifest cannot be used as it is.
    case usage = 2
    /// The container runtime does not answer at its socket.
    case unreachable = 3
    /// No such pod, container or log.
    case notFound = 4
    /// The container runtime, or Slipway's shim through it, refused.
    case refused = 5
    /// What was waited for did not come in time.
    case timedOut = 6
    /// Ended by SIGINT or SIGTERM.
    case interrupted = 130

    /// One line for the help text.
    var explanation: String {
        switch self {
        case .ok: "done"
        case .failure: "not done, for a reason not listed here"
        case .usage: "the command line or the manifest cannot be used as it is"
        case .unreachable: "the container runtime does not answer at its socket; verify: a machine is not as planned"
        case .notFound: "no such pod, container or log"
        case .refused: "the container runtime, or Slipway's shim, refused and said why"
        case .timedOut: "what was waited for did not come in time"
        case .interrupted: "interrupted"
        }
    }

    /// The table of all codes for the help text.
    static let table =
        "EXIT CODES\n"
        + allCases.map { status in
            let number = "\(status.rawValue)"
            return String(repeating: " ", count: 5 - number.count) + "\(number)  \(status.explanation)"
        }.joined(separator: "\n")
}

/// How a verb ends when it does not succeed.
public struct CommandFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The process's exit code.
    public let status: ExitStatus
    /// One or more sentences for standard error; empty when everything is already said.
    public let description: String

    /// Makes a failure.
    public init(_ status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }

    /// The one table from what modules throw to what the command ends with.
    /// nil for what is not theirs.
    init?(_ error: any Error) {
        switch error {
        case let error as CommandFailure: self = error
        case let error as CRIError where error.code == .cancelled: self.init(.interrupted, "")
        case let error as CRIError:
            self.init(ExitStatus(error.code), error.description + (Self.hint(error).map { "\n\($0)" } ?? ""))
        case let error as ManifestError: self.init(.usage, error.description)
        case let error as PlanRefusal: self.init(.refused, error.description)
        case let error as HostTopologyError: self.init(.failure, error.description)
        case let error as CNIError: self.init(ExitStatus(error), error.description)
        case let error as SystemError: self.init(error.code == ENOENT ? .notFound : .failure, error.description)
        case is CancellationError: self.init(.interrupted, "")
        default: return nil
        }
    }

    /// What would help, where the runtime's own words do not say it.
    private static func hint(_ error: CRIError) -> String? {
        if error.message.contains("no command specified") {
            return "The image has no entrypoint, and containerd wants a command even for a machine, which does not run"
                + " it: give the container one, as command: [\"-\"]."
        }
        return nil
    }

    /// Several failures as one: all sentences, and the code of the first.
    init?(_ failures: [CommandFailure]) {
        guard let first = failures.first else { return nil }
        self.init(first.status, failures.map(\.description).joined(separator: "\n"))
    }
}

extension ExitStatus {
    init(_ error: CNIError) {
        switch error {
        case .configuration, .argument, .cannotCheck: self = .usage
        case .noNetwork: self = .notFound
        case .system(let error) where error.code == ENOENT: self = .notFound
        case .notAdded, .notDeleted, .notAsMade, .unreadable, .attachment, .system: self = .failure
        }
    }

    init(_ code: CRIError.Code) {
        switch code {
        case .unavailable: self = .unreachable
        case .notFound: self = .notFound
        case .deadlineExceeded: self = .timedOut
        case .cancelled: self = .interrupted
        default: self = .refused
        }
    }
}

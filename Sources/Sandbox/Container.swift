import Cgroup
import ContainerIO

/// A container of a sandbox. Only the sandbox's actor touches it.
final class Container {
    /// What stands behind a container.
    enum Kind {
        /// The pod itself: no machine, the sandbox process stands for it.
        case pause
        /// A machine.
        case machine(any Machine)
    }

    /// Where a container is in its life.
    enum State {
        case created
        /// Start is under way; an exit that comes in between waits here, so that it is reported after the start.
        case starting(early: MachineExit?)
        case running
        case paused
        case stopped(Exit)

        var name: String {
            switch self {
            case .created: "created"
            case .starting: "starting"
            case .running: "running"
            case .paused: "paused"
            case .stopped: "stopped"
            }
        }
    }

    let request: CreateRequest
    let kind: Kind
    let pid: UInt32
    var state = State.created
    var execs: [String: Exec] = [:]
    var waiters: [CheckedContinuation<Exit, Never>] = []
    var console: Console?
    var outputs: [Output] = []
    var input: Input?
    /// Repeats the power button until the machine has ended.
    var shutdown: Task<Void, Never>?
    /// Flushes the outputs after the end.
    var flush: Task<Void, Never>?

    init(_ request: CreateRequest, kind: Kind, pid: UInt32) {
        self.request = request
        self.kind = kind
        self.pid = pid
    }

    var id: String { request.id }

    var machine: (any Machine)? {
        if case .machine(let machine) = kind { return machine }
        return nil
    }

    var exit: Exit? {
        if case .stopped(let exit) = state { return exit }
        return nil
    }
}

/// A command in the guest, asked for by Task.Exec.
final class Exec {
    enum State {
        case created
        case running
        case stopped(Exit)

        var name: String {
            switch self {
            case .created: "created"
            case .running: "running"
            case .stopped: "stopped"
            }
        }
    }

    let id: String
    let stdio: Stdio
    let arguments: [String]
    let environment: [String]
    var state = State.created
    var waiters: [CheckedContinuation<Exit, Never>] = []
    /// Its client has said that there is no more to read, which may be before it is started.
    var isInputClosed = false
    var input: Input?
    var gathered: GatheredInput?
    var outputs: [Output] = []
    var task: Task<Void, Never>?

    init(id: String, stdio: Stdio, arguments: [String], environment: [String]) {
        self.id = id
        self.stdio = stdio
        self.arguments = arguments
        self.environment = environment
    }

    var exit: Exit? {
        if case .stopped(let exit) = state { return exit }
        return nil
    }
}

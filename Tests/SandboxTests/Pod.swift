import ContainerIO
import Glibc
import Sandbox
import SandboxFakes
import TestSupport

/// Keeps the events as short texts.
final class FakeEvents: EventSink {
    let journal = Journal()
    /// Delivery; closed when containerd does not answer.
    let delivery: Gate

    init(delivery: Gate = Gate(open: true)) { self.delivery = delivery }

    func publish(_ event: SandboxEvent) {
        let line =
            switch event {
            case .created(let request, let pid): "created \(request.id) \(pid)"
            case .started(let id, let pid): "started \(id) \(pid)"
            case .exited(let id, let process, let pid, let exit): "exited \(id)/\(process) \(pid) \(exit.status)"
            case .deleted(let id, let process, let pid, let exit): "deleted \(id)/\(process) \(pid) \(exit.status)"
            case .outOfMemory(let id): "oom \(id)"
            case .execAdded(let id, let exec): "exec-added \(id)/\(exec)"
            case .execStarted(let id, let exec, let pid): "exec-started \(id)/\(exec) \(pid)"
            case .paused(let id): "paused \(id)"
            case .resumed(let id): "resumed \(id)"
            case .nic(let id, let link, let change): "nic \(id)/\(link) \(change)"
            }
        journal.note(line)
    }

    func flush(milliseconds: Int64) async { await delivery.pass() }

    var all: [String] { journal.all }
}

/// A sandbox on a node of fakes.
struct Pod {
    let directory: TemporaryDirectory
    let host = FakeHost()
    let events: FakeEvents
    let sandbox: Sandbox
    let ended = Flag()
    /// The pid that stands for the pod.
    static let pid = UInt32(getpid())

    init(delivery: Gate = Gate(open: true)) throws {
        _ = signal(SIGPIPE, SIG_IGN)
        directory = try TemporaryDirectory()
        events = FakeEvents(delivery: delivery)
        sandbox = Sandbox(namespace: "k8s.io", id: "pod", host: host, events: events, console: nil) {
            [ended] in ended.raise()
        }
    }

    /// A bundle with a `config.json`.
    func bundle(_ id: String, config: String) throws -> String {
        try directory.write("\(id)/config.json", config)
        return directory(id)
    }

    /// Creates the sandbox's own container, `pod`, or another one.
    @discardableResult
    func create(_ id: String, stdio: Stdio = Stdio()) async throws -> UInt32 {
        let type = id == "pod" ? "sandbox" : "container"
        let config = #"{"annotations": {"io.kubernetes.cri.container-type": "\#(type)"}}"#
        return try await sandbox.create(CreateRequest(id: id, bundle: bundle(id, config: config), stdio: stdio))
    }

    /// A pod whose machine `vm` runs.
    static func running(stdio: Stdio = Stdio(), delivery: Gate = Gate(open: true)) async throws -> (Pod, FakeMachine) {
        let pod = try Pod(delivery: delivery)
        try await pod.create("pod")
        _ = try await pod.sandbox.start("pod")
        try await pod.create("vm", stdio: stdio)
        _ = try await pod.sandbox.start("vm")
        guard let machine = pod.host.machines.first else { throw FakeError(call: "create") }
        return (pod, machine)
    }

    /// The class of the error that an operation ends in; nil: it succeeds.
    func code(_ operation: (Sandbox) async throws -> Void) async -> SandboxError.Code? {
        do {
            try await operation(sandbox)
            return nil
        } catch let error as SandboxError {
            return error.code
        } catch {
            return .internalError
        }
    }
}

public import Cgroup
public import ContainerIO
import Glibc
import LinuxSystem
import OCIRuntimeSpec

/// One pod's sandbox: its containers, their states, and who waits for them.
///
/// Nothing in here waits for a guest while it holds up another call: whatever may take long is awaited, and State,
/// Wait, Stats, Kill and Connect answer from what the actor knows.
public actor Sandbox {
    let namespace: String
    private let id: String
    private let host: any MachineHost
    let events: any EventSink
    private let consoleListener: ConsoleListener?
    private let log: @Sendable (String) -> Void
    private let onEnd: @Sendable () -> Void

    var containers: [String: Container] = [:]
    private var creating: [String: [CheckedContinuation<Void, Never>]] = [:]
    /// The container whose machine is being made.
    private var making: String?
    private var sandboxDeleted = false
    private var ended = false

    /// How long the power button's presses are apart.
    public static let powerButtonInterval = Duration.seconds(1)

    /// A sandbox without containers.
    ///
    /// - Parameters:
    ///   - namespace: containerd's namespace.
    ///   - id: the sandbox's id.
    ///   - console: where clients of the machine's console come in.
    ///   - onEnd: called once, when the last container is gone and the process may exit.
    public init(
        namespace: String, id: String, host: any MachineHost, events: any EventSink, console: ConsoleListener?,
        log: @escaping @Sendable (String) -> Void = { _ in }, onEnd: @escaping @Sendable () -> Void
    ) {
        self.log = log
        self.namespace = namespace
        self.id = id
        self.host = host
        self.events = events
        consoleListener = console
        self.onEnd = onEnd
    }

    // MARK: Create and Start

    /// Task.Create: plans, checks and starts the machine paused.
    ///
    /// - Returns: the process id that stands for the container.
    public func create(_ request: CreateRequest) async throws -> UInt32 {
        guard containers[request.id] == nil, creating[request.id] == nil else {
            throw SandboxError(.alreadyExists, "container \(request.id): exists already in this sandbox")
        }
        guard !ended else { throw SandboxError(.unavailable, "sandbox \(id): is shutting down") }
        creating[request.id] = []
        defer { for waiter in creating.removeValue(forKey: request.id) ?? [] { waiter.resume() } }

        let spec = try Self.readSpec(request.bundle)
        let annotations = try CRIAnnotations(spec.annotations ?? [:])
        let container: Container
        if annotations.type == .sandbox {
            try await host.prepare(request, spec: spec)
            container = Container(request, kind: .pause, pid: UInt32(getpid()))
        } else {
            if let other = making ?? containers.values.first(where: { $0.machine != nil && $0.exit == nil })?.id {
                throw SandboxError(
                    .failedPrecondition,
                    "container \(request.id): the pod has a machine already (container \(other)); a pod has one machine"
                )
            }
            making = request.id
            defer { making = nil }
            if annotations.type == nil { try await host.prepare(request, spec: spec) }
            try refuseStoppedPod()
            container = try await makeMachine(request, spec, annotations)
        }
        containers[request.id] = container
        events.publish(.created(request, pid: container.pid))
        if let machine = container.machine {
            Task { await machineEnded(container, machine.ended()) }
        }
        return container.pid
    }

    private func makeMachine(
        _ request: CreateRequest, _ spec: Spec, _ annotations: CRIAnnotations
    ) async throws -> Container {
        let outputs = try await openOutputs(request)
        do {
            let machine = try await host.create(request, spec: spec, annotations: annotations)
            do {
                guard !ended else { throw SandboxError(.unavailable, "sandbox \(id): is shutting down") }
                try refuseStoppedPod()
                let container = Container(request, kind: .machine(machine), pid: UInt32(machine.pid))
                try connect(container, machine, outputs)
                return container
            } catch {
                machine.kill()
                _ = await machine.ended()
                await host.remove(container: request.id)
                throw error
            }
        } catch {
            for output in outputs { await output.finish(milliseconds: 0) }
            throw error
        }
    }

    /// The pod may be stopped while its machine is made; its network is then gone.
    private func refuseStoppedPod() throws {
        guard containers[id]?.exit == nil else {
            throw SandboxError(.failedPrecondition, "sandbox \(id): has been stopped; the pod has to be started anew")
        }
    }

    private static func readSpec(_ bundle: String) throws -> Spec {
        let path = "\(bundle)/config.json"
        do {
            return try Spec.decode(File.read(path, limit: Spec.maximumSize))
        } catch let error as SystemError {
            throw SandboxError(.invalidArgument, "\(error)")
        }
    }

    private func openOutputs(_ request: CreateRequest) async throws -> [Output] {
        let endpoint = try Endpoint(request.stdio.stdout)
        if !request.stdio.terminal { _ = try Endpoint(request.stdio.stderr) }
        let owner = (id: request.id, namespace: namespace)
        // A logging program may take its time to become ready.
        return [try await Thread.run("open-output") { try Output(endpoint, owner: owner) }]
    }

    private func connect(_ container: Container, _ machine: any Machine, _ outputs: [Output]) throws {
        let console = try Console(serial: machine.serial, outputs: outputs)
        container.console = console
        container.outputs = outputs
        if case .fifo(let path) = try Endpoint(container.request.stdio.stdin) {
            container.input = try Input(path) { bytes in
                // A serial line has no end; containerd's end of input is nothing to the guest.
                if !bytes.isEmpty { console.type(bytes) }
            }
        }
        consoleListener?.serve(console)
    }

    /// Task.Start of a container, or of an exec when `exec` is not empty.
    public func start(_ id: String, exec: String = "") async throws -> UInt32 {
        let container = try find(id)
        if !exec.isEmpty { return try startExec(container, exec) }
        guard case .created = container.state else {
            throw SandboxError.wrongState(id, "start", container.state.name, accepted: "created")
        }
        if let machine = container.machine {
            container.state = .starting(early: nil)
            do {
                try await machine.resume()
            } catch {
                // A Delete may have ended it meanwhile.
                guard case .starting(let early) = container.state else { throw error }
                container.state = .created
                if let early { end(container, early) }
                throw error
            }
            guard case .starting = container.state else {
                throw SandboxError.wrongState(id, "start", container.state.name, accepted: "created")
            }
        }
        let early: MachineExit? = if case .starting(let early) = container.state { early } else { nil }
        container.state = .running
        events.publish(.started(id: id, pid: container.pid))
        if let early { end(container, early) }
        return container.pid
    }

    // MARK: The end of a machine

    private func machineEnded(_ container: Container, _ exit: MachineExit) async {
        guard containers[container.id] === container else { return }
        if exit.outOfMemory {
            events.publish(.outOfMemory(id: container.id))
            // containerd before 2.3 learns of it from the event alone, which has to be there before Wait returns.
            await events.flush(milliseconds: 1000)
        }
        switch container.state {
        case .starting: container.state = .starting(early: exit)
        case .stopped: break
        default: end(container, exit)
        }
    }

    private func end(_ container: Container, _ machineExit: MachineExit) {
        guard container.exit == nil else { return }
        for exec in container.execs.values where exec.exit == nil {
            endExec(container, exec, status: 137)
        }
        container.shutdown?.cancel()
        let exit = Exit(status: machineExit.status)
        container.state = .stopped(exit)
        log("container \(container.id.prefix(13)) ended with \(exit.status): \(machineExit.reason)")
        events.publish(.exited(id: container.id, process: container.id, pid: container.pid, exit))
        for waiter in container.waiters { waiter.resume(returning: exit) }
        container.waiters = []

        container.input?.close()
        if container.machine != nil { consoleListener?.serve(nil) }
        let (console, outputs) = (container.console, container.outputs)
        container.flush = Task {
            // What the machine printed is in the socket and its end behind it, unless somebody else holds QEMU's end.
            let patience = Task {
                try await Task.sleep(for: .seconds(2))
                console?.disconnect()
            }
            await console?.end()
            patience.cancel()
            for output in outputs { await output.finish(milliseconds: 5000) }
        }
    }

    // MARK: Questions

    /// Task.Connect: the pid that stands for a container; for unknown ones the sandbox's own, and no error
    /// (containerd asks with ids that it half knows after a restart).
    public func pid(of id: String) -> UInt32 { containers[id]?.pid ?? UInt32(getpid()) }

    /// Task.Pids.
    public func pids(of id: String) throws -> [(pid: UInt32, exec: String?)] {
        let container = try find(id)
        let execs = container.execs.values.filter { if case .running = $0.state { true } else { false } }
        return [(container.pid, nil)] + execs.map { (container.pid, $0.id) }
    }

    /// What Task.State tells.
    public struct Status: Sendable {
        // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
        public enum State: Sendable { case created, running, stopped, paused }
        /// Where the process is in its life.
        public var state: State
        /// The container's bundle.
        public var bundle: String
        /// The pid that stands for it.
        public var pid: UInt32
        /// The streams as they were given.
        public var stdio: Stdio
        /// How it ended.
        public var exit: Exit?
    }

    /// Task.State.
    public func status(_ id: String, exec: String = "") throws -> Status {
        let container = try find(id)
        if !exec.isEmpty {
            let exec = try find(exec, in: container)
            let state: Status.State =
                switch exec.state {
                case .created: .created
                case .running: .running
                case .stopped: .stopped
                }
            return Status(
                state: state, bundle: container.request.bundle, pid: container.pid, stdio: exec.stdio, exit: exec.exit)
        }
        let state: Status.State =
            switch container.state {
            case .created: .created
            case .starting, .running: .running
            case .paused: .paused
            case .stopped: .stopped
            }
        return Status(
            state: state, bundle: container.request.bundle, pid: container.pid, stdio: container.request.stdio,
            exit: container.exit)
    }

    /// Task.Wait: suspends until the end; at once when it has come.
    public func wait(_ id: String, exec: String = "") async throws -> Exit {
        let container = try find(id)
        if exec.isEmpty {
            if let exit = container.exit { return exit }
            return await withCheckedContinuation { container.waiters.append($0) }
        }
        let exec = try find(exec, in: container)
        if let exit = exec.exit { return exit }
        return await withCheckedContinuation { exec.waiters.append($0) }
    }

    /// Task.Stats.
    public func metrics(_ id: String) throws -> CgroupMetrics {
        let container = try find(id)
        guard let machine = container.machine else {
            throw SandboxError(.notFound, "container \(id): stands for the pod and has no accounting of its own")
        }
        return try machine.metrics()
    }

    // MARK: Verbs

    /// Task.Kill.
    ///
    /// SIGKILL ends a machine. Every other signal that would end a process presses its power button, as an image may name
    /// any as its stop signal; 0 asks whether it is there.
    public func kill(_ id: String, exec: String = "", signal: UInt32, all: Bool = false) throws {
        let container = try find(id)
        if !exec.isEmpty { return try killExec(container, exec, signal) }
        guard container.exit == nil else {
            throw SandboxError(.notFound, "container \(id): its process has ended already")
        }
        switch Int32(truncatingIfNeeded: signal) {
        case 0: break
        case SIGKILL:
            if let machine = container.machine {
                machine.kill()
            } else {
                endPause(container, status: 137)
            }
        case SIGCHLD, SIGCONT, SIGURG: break
        case 1...64:
            if let machine = container.machine {
                requestShutdown(container, machine)
            } else {
                endPause(container, status: 128 + signal)
            }
        default:
            throw SandboxError(
                .invalidArgument,
                "container \(id): there is no signal \(signal); 9 ends a machine, others up to 64 press its power button"
            )
        }
    }

    private func endPause(_ container: Container, status: UInt32) {
        for other in containers.values where other.exit == nil { other.machine?.kill() }
        end(container, MachineExit(status: status, reason: "the pod was stopped"))
    }

    private func requestShutdown(_ container: Container, _ machine: any Machine) {
        guard container.shutdown == nil else { return }
        if case .created = container.state { return machine.kill() }
        container.shutdown = Task {
            // A guest that is still in its boot loader loses the button's first presses.
            var attempt = 0
            while !Task.isCancelled {
                try? await machine.requestShutdown(attempt: attempt)
                attempt += 1
                try? await Task.sleep(for: Self.powerButtonInterval)
            }
        }
    }

    /// Task.Pause.
    public func pause(_ id: String) async throws {
        let (container, machine) = try findMachine(id, "pause")
        guard case .running = container.state else {
            throw SandboxError.wrongState(id, "pause", container.state.name, accepted: "running")
        }
        try await machine.pause()
        guard case .running = container.state else { return }
        container.state = .paused
        events.publish(.paused(id: id))
    }

    /// Task.Resume.
    public func resume(_ id: String) async throws {
        let (container, machine) = try findMachine(id, "resume")
        guard case .paused = container.state else {
            throw SandboxError.wrongState(id, "resume", container.state.name, accepted: "paused")
        }
        try await machine.resume()
        guard case .paused = container.state else { return }
        container.state = .running
        events.publish(.resumed(id: id))
    }

    /// Task.Update.
    public func update(_ id: String, _ resources: CgroupResources) async throws {
        let container = try find(id)
        guard let machine = container.machine else { return }
        guard container.exit == nil else { throw SandboxError(.notFound, "container \(id): has ended already") }
        try await machine.update(resources)
    }

    /// Task.CloseIO.
    public func closeInput(_ id: String, exec: String = "") throws {
        let container = try find(id)
        if exec.isEmpty {
            container.input?.closeWriter()
        } else {
            let exec = try find(exec, in: container)
            exec.isInputClosed = true
            exec.input?.closeWriter()
        }
    }

    /// Task.ResizePty: a serial line has no size that could be set.
    public func resize(_ id: String, exec: String = "") throws {
        let container = try find(id)
        if !exec.isEmpty { _ = try find(exec, in: container) }
    }

    // MARK: Delete and Shutdown

    /// Task.Delete of a container, or of an exec when `exec` is not empty.
    public func delete(_ id: String, exec: String = "") async throws -> (pid: UInt32, exit: Exit) {
        if creating[id] != nil { await withCheckedContinuation { creating[id, default: []].append($0) } }
        let container = try find(id)
        if !exec.isEmpty { return try deleteExec(container, exec) }
        if case .created = container.state {
            if let machine = container.machine {
                machine.kill()
                _ = await machine.ended()
                end(container, MachineExit(status: 137, reason: "deleted before it was started"))
            } else {
                end(container, MachineExit(status: 137, reason: "deleted before it was started"))
            }
        }
        guard let exit = container.exit else {
            throw SandboxError.wrongState(id, "delete", container.state.name, accepted: "created or stopped")
        }
        await container.flush?.value
        await host.remove(container: id)
        guard containers.removeValue(forKey: id) != nil else { throw SandboxError.noContainer(id) }
        events.publish(.deleted(id: id, process: "", pid: container.pid, exit))
        if id == self.id { sandboxDeleted = true }
        endLater()
        return (container.pid, exit)
    }

    /// Task.Shutdown: ends the sandbox unless it still has containers.
    ///
    /// - Parameter now: even then.
    public func shutdown(now: Bool) async {
        guard now || containers.isEmpty && creating.isEmpty else { return }
        await finish()
    }

    /// Ends a sandbox in which nothing was ever created: whoever had it started has gone.
    public func endUnlessUsed() async {
        if containers.isEmpty && creating.isEmpty && !sandboxDeleted { await finish() }
    }

    /// A sandbox whose own container is gone gets no Shutdown from some versions of containerd.
    private func endLater() {
        guard sandboxDeleted, containers.isEmpty, creating.isEmpty else { return }
        Task {
            try? await Task.sleep(for: .seconds(5))
            if containers.isEmpty && creating.isEmpty { await finish() }
        }
    }

    private func finish() async {
        guard !ended else { return }
        ended = true
        for id in creating.keys { await withCheckedContinuation { creating[id, default: []].append($0) } }
        for container in containers.values {
            guard let machine = container.machine, container.exit == nil else { continue }
            machine.kill()
            _ = await machine.ended()
        }
        for (id, container) in containers {
            await container.flush?.value
            await host.remove(container: id)
        }
        await events.flush(milliseconds: 3000)
        consoleListener?.close()
        await host.close()
        onEnd()
    }

    // MARK: Errors

    /// The class of an error that any of the functions here has thrown.
    public nonisolated func classify(_ error: any Error) -> SandboxError { host.classify(error) }

    // MARK: Finding

    func find(_ id: String) throws -> Container {
        guard let container = containers[id] else { throw SandboxError.noContainer(id) }
        return container
    }

    func find(_ execID: String, in container: Container) throws -> Exec {
        guard let exec = container.execs[execID] else {
            throw SandboxError(.notFound, "exec \(execID): no such exec in container \(container.id)")
        }
        return exec
    }

    func findMachine(_ id: String, _ operation: String) throws -> (Container, any Machine) {
        let container = try find(id)
        guard let machine = container.machine else {
            throw SandboxError(
                .failedPrecondition, "container \(id): stands for the pod; there is nothing to \(operation)")
        }
        return (container, machine)
    }
}

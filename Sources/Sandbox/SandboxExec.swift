public import ContainerIO

/// Commands in the guest, through its agent.
extension Sandbox {
    /// Task.Exec: adds a command for the guest; ``start(_:exec:)`` runs it.
    public func exec(
        _ id: String, exec execID: String, stdio: Stdio, arguments: [String], environment: [String]
    ) throws {
        let (container, _) = try findMachine(id, "run a command in")
        guard case .running = container.state else {
            throw SandboxError.wrongState(id, "run a command", container.state.name, accepted: "running")
        }
        guard container.execs[execID] == nil else {
            throw SandboxError(.alreadyExists, "exec \(execID): exists already in container \(id)")
        }
        guard !stdio.terminal else {
            throw SandboxError(
                .unimplemented,
                "exec \(execID): the guest agent has no terminals; run the command without one (kubectl exec without -t), "
                    + "or use the console (kubectl attach -it, slipway console)")
        }
        guard !arguments.isEmpty else { throw SandboxError(.invalidArgument, "exec \(execID): args: is empty") }
        for uri in [stdio.stdin, stdio.stdout, stdio.stderr] { _ = try Endpoint(uri) }
        container.execs[execID] = Exec(id: execID, stdio: stdio, arguments: arguments, environment: environment)
        events.publish(.execAdded(id: id, exec: execID))
    }

    func startExec(_ container: Container, _ execID: String) throws -> UInt32 {
        let exec = try find(execID, in: container)
        guard case .created = exec.state else {
            throw SandboxError.wrongState(container.id, "start exec \(execID)", exec.state.name, accepted: "created")
        }
        guard let machine = container.machine, case .running = container.state else {
            throw SandboxError.wrongState(container.id, "run a command", container.state.name, accepted: "running")
        }
        let owner = (id: container.id, namespace: namespace)
        var opened: [Output] = []
        let gathered = GatheredInput(limit: 1 << 20)
        do {
            for uri in [exec.stdio.stdout, exec.stdio.stderr] {
                opened.append(try Output(Endpoint(uri), owner: owner, limit: .max))
            }
            if case .fifo(let path) = try Endpoint(exec.stdio.stdin) {
                exec.input = try Input(path) { gathered.receive($0) }
                if exec.isInputClosed { exec.input?.closeWriter() }
            } else {
                gathered.receive([])
            }
        } catch {
            Self.close(opened, milliseconds: 0)
            throw error
        }
        let (output, errors) = (opened[0], opened[1])
        exec.outputs = opened
        exec.gathered = gathered
        exec.state = .running
        events.publish(.execStarted(id: container.id, exec: execID, pid: container.pid))
        let (arguments, environment) = (exec.arguments, exec.environment)
        exec.task = Task {
            var status: UInt32
            do {
                let input = try await gathered.all()
                try Task.checkCancellation()
                let result = try await machine.execute(
                    GuestCommand(arguments, environment: environment, input: input))
                output.write(result.output)
                errors.write(result.error)
                status = result.status
            } catch {
                let sentence = "slipway: \(error)\n"
                // 126: found but could not be run (POSIX shell, "Exit Status for Commands").
                status = 126
                errors.write(Array(sentence.utf8))
            }
            await output.finish(milliseconds: 5000)
            await errors.finish(milliseconds: 5000)
            endExec(container, exec, status: status)
        }
        return container.pid
    }

    /// An exec that never ran ends without an event; those who wait for it are answered all the same.
    func endExec(_ container: Container, _ exec: Exec, status: UInt32) {
        guard exec.exit == nil else { return }
        let exit = Exit(status: status)
        if case .running = exec.state {
            events.publish(.exited(id: container.id, process: exec.id, pid: container.pid, exit))
        }
        exec.state = .stopped(exit)
        exec.task?.cancel()
        exec.input?.close()
        exec.gathered?.receive([])
        // The guest's command may go on for ever; the readers see the end now.
        Self.close(exec.outputs, milliseconds: 5000)
        for waiter in exec.waiters { waiter.resume(returning: exit) }
        exec.waiters = []
    }

    static func close(_ outputs: [Output], milliseconds: Int64) {
        Task { for output in outputs { await output.finish(milliseconds: milliseconds) } }
    }

    func killExec(_ container: Container, _ execID: String, _ signal: UInt32) throws {
        let exec = try find(execID, in: container)
        switch exec.state {
        case .created:
            throw SandboxError.wrongState(container.id, "kill exec \(execID)", "created", accepted: "running")
        case .stopped:
            throw SandboxError(.notFound, "exec \(execID): has ended already")
        case .running:
            if signal != 0 { endExec(container, exec, status: 128 + (signal & 0x7f)) }
        }
    }

    func deleteExec(_ container: Container, _ execID: String) throws -> (pid: UInt32, exit: Exit) {
        let exec = try find(execID, in: container)
        if case .running = exec.state {
            throw SandboxError.wrongState(
                container.id, "delete exec \(execID)", "running", accepted: "created or stopped")
        }
        endExec(container, exec, status: 0)
        container.execs[execID] = nil
        let exit = exec.exit ?? Exit(status: 0)
        events.publish(.deleted(id: container.id, process: execID, pid: container.pid, exit))
        return (container.pid, exit)
    }
}

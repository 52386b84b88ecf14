import ContainerIO
import Glibc
import LinuxSystem
import Sandbox
import SandboxFakes
import TestSupport
import Testing

extension Pod {
    /// Adds an exec and starts it.
    fileprivate func run(_ id: String, _ arguments: [String] = ["/bin/true"], stdio: Stdio = Stdio()) async throws {
        try await sandbox.exec("vm", exec: id, stdio: stdio, arguments: arguments, environment: ["A=b"])
        #expect(try await sandbox.start("vm", exec: id) == 1000)
    }
}

@Suite(.timeLimit(.minutes(1))) struct ExecTests {
    /// A pod with a running machine that answers commands like this.
    private func pod(
        gate: Gate? = nil,
        _ run: @escaping @Sendable (GuestCommand) throws -> GuestCommand.Result = { _ in .init(status: 0) }
    ) async throws -> (Pod, FakeMachine) {
        let pod = try Pod()
        pod.host.behave { behaviour in
            behaviour.run = run
            behaviour.gates["execute"] = gate
        }
        try await pod.create("vm")
        _ = try await pod.sandbox.start("vm")
        return (pod, try #require(pod.host.machines.first))
    }

    private func reader(_ path: String) throws -> FileDescriptor { try .open(path, O_RDONLY | O_NONBLOCK) }

    /// Everything up to the end of the stream.
    private func text(_ reader: FileDescriptor) async -> String? {
        var text: [UInt8] = []
        let ended = await eventually {
            guard let bytes = try? reader.read(upTo: 4096) else { return false }
            text += bytes
            return bytes.isEmpty
        }
        return ended ? String(decoding: text, as: UTF8.self) : nil
    }

    @Test func statusOutputAndEvents() async throws {
        let (pod, _) = try await pod { command in
            #expect(command == GuestCommand(["/bin/sh", "-c", "x"], environment: ["A=b"]))
            return .init(status: 42, output: Array("out\n".utf8), error: Array("err\n".utf8))
        }
        let (out, err) = (try pod.directory.fifo("out"), try pod.directory.fifo("err"))
        let readers = (try reader(out), try reader(err))
        let stdio = Stdio(stdout: out, stderr: err)
        try await pod.sandbox.exec(
            "vm", exec: "e", stdio: stdio, arguments: ["/bin/sh", "-c", "x"], environment: ["A=b"])
        let status = try await pod.sandbox.status("vm", exec: "e")
        #expect(status.state == .created && status.stdio == stdio && status.pid == 1000)
        #expect(try await pod.sandbox.start("vm", exec: "e") == 1000)
        #expect(try await pod.sandbox.wait("vm", exec: "e").status == 42)
        #expect(await text(readers.0) == "out\n")
        #expect(await text(readers.1) == "err\n")
        #expect(try await pod.sandbox.status("vm", exec: "e").exit?.status == 42)
        #expect(try await pod.sandbox.wait("vm", exec: "e").status == 42)
        #expect(try await pod.sandbox.delete("vm", exec: "e").exit.status == 42)
        #expect(await pod.code { _ = try await $0.delete("vm", exec: "e") } == .notFound)
        #expect(await pod.code { _ = try await $0.wait("vm", exec: "e") } == .notFound)
        #expect(
            pod.events.all.suffix(4) == [
                "exec-added vm/e", "exec-started vm/e 1000", "exited vm/e 1000 42", "deleted vm/e 1000 42",
            ])
    }

    @Test func stdinIsGatheredUntilItsEnd() async throws {
        let (pod, machine) = try await pod { .init(status: 0, output: $0.input) }
        let (stdin, stdout) = (try pod.directory.fifo("in"), try pod.directory.fifo("out"))
        let output = try reader(stdout)
        try await pod.run("e", ["/bin/cat"], stdio: Stdio(stdin: stdin, stdout: stdout))
        let writer = try FileDescriptor.open(stdin, O_WRONLY)
        try writer.write(Array("one ".utf8))
        try writer.write(Array("two".utf8))
        writer.close()
        // Only CloseIO makes it the end.
        #expect(!machine.journal.contains("execute"))
        try await pod.sandbox.closeInput("vm", exec: "e")
        #expect(try await pod.sandbox.wait("vm", exec: "e").status == 0)
        #expect(await text(output) == "one two")
        try await pod.sandbox.closeInput("vm", exec: "e")
    }

    /// A client whose stdin is empty says so before the command is started.
    @Test(.timeLimit(.minutes(1))) func stdinThatEndsBeforeTheStart() async throws {
        let (pod, _) = try await pod { .init(status: 3, output: $0.input) }
        let stdin = try pod.directory.fifo("in")
        try await pod.sandbox.exec(
            "vm", exec: "e", stdio: Stdio(stdin: stdin), arguments: ["/bin/hostname"], environment: [])
        try await pod.sandbox.closeInput("vm", exec: "e")
        _ = try await pod.sandbox.start("vm", exec: "e")
        #expect(try await pod.sandbox.wait("vm", exec: "e").status == 3)
    }

    @Test func aGuestThatDoesNotAnswer() async throws {
        let (pod, _) = try await pod { _ in throw SandboxError(.unavailable, "no guest agent answers") }
        let path = try pod.directory.fifo("err")
        let errors = try reader(path)
        try await pod.run("e", stdio: Stdio(stderr: path))
        #expect(try await pod.sandbox.wait("vm", exec: "e").status == 126)
        #expect(await text(errors) == "slipway: no guest agent answers\n")
    }

    // MARK: Refusals

    @Test func refusals() async throws {
        let (pod, _) = try await pod()
        func code(_ stdio: Stdio = Stdio(), _ arguments: [String] = ["a"]) async -> SandboxError.Code? {
            await pod.code { try await $0.exec("vm", exec: "e", stdio: stdio, arguments: arguments, environment: []) }
        }
        #expect(await code(Stdio(terminal: true)) == .unimplemented)
        #expect(await code(Stdio(), []) == .invalidArgument)
        await #expect(throws: Endpoint.Unknown.self) {
            try await pod.sandbox.exec("vm", exec: "e", stdio: Stdio(stdin: "x:"), arguments: ["a"], environment: [])
        }
        #expect(await code() == nil)
        #expect(await code() == .alreadyExists)
        #expect(await pod.code { try await $0.kill("vm", exec: "e", signal: 9) } == .failedPrecondition)
        #expect(await pod.code { try await $0.kill("vm", exec: "x", signal: 9) } == .notFound)
        #expect(await pod.code { _ = try await $0.start("vm", exec: "x") } == .notFound)
        _ = try await pod.sandbox.start("vm", exec: "e")
        #expect(await pod.code { _ = try await $0.start("vm", exec: "e") } == .failedPrecondition)
        try await pod.sandbox.resize("vm", exec: "e")
        #expect(await pod.code { try await $0.resize("vm", exec: "x") } == .notFound)
    }

    @Test func outputsThatCannotBeOpened() async throws {
        let (pod, machine) = try await pod()
        let path = try pod.directory.fifo("out")
        let output = try reader(path)
        try await pod.sandbox.exec(
            "vm", exec: "e", stdio: Stdio(stdout: path, stderr: pod.directory("no/err")), arguments: ["a"],
            environment: [])
        await #expect(throws: SystemError("open", pod.directory("no/err"), code: ENOENT)) {
            try await pod.sandbox.start("vm", exec: "e")
        }
        #expect(await text(output) == "")
        #expect(try await pod.sandbox.status("vm", exec: "e").state == .created)
        #expect(!machine.journal.contains("execute"))
        _ = try await pod.sandbox.delete("vm", exec: "e")
    }

    // MARK: Ends

    @Test func aKilledExecEndsAtOnceWhateverTheGuestDoes() async throws {
        let gate = Gate()
        let (pod, machine) = try await pod(gate: gate) { _ in .init(status: 0, output: Array("late".utf8)) }
        let path = try pod.directory.fifo("out")
        let output = try reader(path)
        try await pod.run("e", stdio: Stdio(stdout: path))
        #expect(await eventually { machine.journal.contains("execute") })
        #expect(await pod.code { _ = try await $0.delete("vm", exec: "e") } == .failedPrecondition)
        try await pod.sandbox.kill("vm", exec: "e", signal: 0)
        #expect(try await pod.sandbox.status("vm", exec: "e").state == .running)
        try await pod.sandbox.kill("vm", exec: "e", signal: 9)
        #expect(try await pod.sandbox.wait("vm", exec: "e").status == 137)
        #expect(await pod.code { try await $0.kill("vm", exec: "e", signal: 9) } == .notFound)
        // containerd waits for the end of the streams before it deletes.
        #expect(await text(output) == "")
        _ = try await pod.sandbox.delete("vm", exec: "e")

        // The same id again: the first one's end is not taken for it.
        try await pod.sandbox.exec("vm", exec: "e", stdio: Stdio(), arguments: ["a"], environment: [])
        gate.open()
        for _ in 0..<100 { #expect(try await pod.sandbox.status("vm", exec: "e").state == .created) }
        #expect(try await pod.sandbox.start("vm", exec: "e") == 1000)
        #expect(try await pod.sandbox.wait("vm", exec: "e").status == 0)
        #expect(pod.events.all.count { $0.hasPrefix("exited vm/e") } == 2)
    }

    @Test func anExecThatIsKilledWhileItsInputIsOpenNeverRuns() async throws {
        let (pod, machine) = try await pod()
        let (stdin, stdout) = (try pod.directory.fifo("in"), try pod.directory.fifo("out"))
        let output = try reader(stdout)
        try await pod.run("e", stdio: Stdio(stdin: stdin, stdout: stdout))
        try await pod.sandbox.kill("vm", exec: "e", signal: 15)
        #expect(try await pod.sandbox.wait("vm", exec: "e").status == 143)
        #expect(await text(output) == "")
        #expect(!machine.journal.contains("execute"))
    }

    @Test func execsEndBeforeTheirContainer() async throws {
        let gate = Gate()
        let (pod, machine) = try await pod(gate: gate)
        try await pod.run("a")
        try await pod.run("b")
        try await pod.sandbox.exec("vm", exec: "never", stdio: Stdio(), arguments: ["a"], environment: [])
        let sandbox = pod.sandbox
        async let never = sandbox.wait("vm", exec: "never")
        async let running = sandbox.wait("vm", exec: "a")
        machine.end(status: 0)
        #expect(try await sandbox.wait("vm").status == 0)
        #expect(try await running.status == 137)
        // Who waits for one that will never start is answered.
        _ = try await never
        let exits = pod.events.all.filter { $0.hasPrefix("exited") }
        #expect(Set(exits.dropLast()) == ["exited vm/a 1000 137", "exited vm/b 1000 137"])
        #expect(exits.last == "exited vm/vm 1000 0")
        #expect(await pod.code { _ = try await $0.start("vm", exec: "never") } == .failedPrecondition)
        gate.open()
    }

    /// A guest that crashes under a command: nobody waits for its agent, and the streams end for late readers too.
    @Test func anExecEndsWithItsMachineThoughTheAgentNeverAnswers() async throws {
        let gate = Gate()
        defer { gate.open() }
        let (pod, machine) = try await pod(gate: gate)
        let (out, err) = (try pod.directory.fifo("out"), try pod.directory.fifo("err"))
        try await pod.run("e", stdio: Stdio(stdout: out, stderr: err))
        #expect(await eventually { machine.journal.contains("execute") })
        machine.end(status: 70)
        #expect(try await pod.sandbox.wait("vm", exec: "e").status == 137)
        #expect(try await pod.sandbox.wait("vm").status == 70)
        for path in [out, err] {
            // Blocks until there is a writer, as containerd's open(2) does.
            let bytes = try await Thread.run("late-reader") {
                try FileDescriptor.open(path, O_RDONLY).readToEnd(limit: 100)
            }
            #expect(bytes.isEmpty)
        }
        #expect(try await pod.sandbox.delete("vm", exec: "e").exit.status == 137)
        #expect(try await pod.sandbox.delete("vm").exit.status == 70)
    }

    /// The agent's connection breaks a moment before QEMU's end is known.
    @Test func anExecWhoseAgentVanishesEndsBeforeItsMachine() async throws {
        let (pod, machine) = try await pod { _ in throw SandboxError(.unavailable, "the agent has vanished") }
        let path = try pod.directory.fifo("err")
        let errors = try reader(path)
        try await pod.run("e", stdio: Stdio(stderr: path))
        #expect(try await pod.sandbox.wait("vm", exec: "e").status == 126)
        machine.end(status: 70)
        #expect(try await pod.sandbox.wait("vm").status == 70)
        #expect(await text(errors) == "slipway: the agent has vanished\n")
        #expect(pod.events.all.filter { $0.hasPrefix("exited") } == ["exited vm/e 1000 126", "exited vm/vm 1000 70"])
    }

    @Test func whoWaitsForAnExecThatIsDeletedUnstartedIsAnswered() async throws {
        let (pod, _) = try await pod()
        try await pod.sandbox.exec("vm", exec: "e", stdio: Stdio(), arguments: ["a"], environment: [])
        let sandbox = pod.sandbox
        let waiting = Flag()
        let wait = Task {
            waiting.raise()
            return try await sandbox.wait("vm", exec: "e")
        }
        #expect(await eventually { waiting.isRaised })
        for _ in 0..<100 { _ = try await sandbox.status("vm", exec: "e") }
        _ = try await sandbox.delete("vm", exec: "e")
        _ = await wait.result
        #expect(!pod.events.all.contains { $0.hasPrefix("exited vm/e") })
    }

    @Test func manyAtOnce() async throws {
        let (pod, _) = try await pod { .init(status: UInt32($0.arguments.count)) }
        let sandbox = pod.sandbox
        try await withThrowingTaskGroup(of: UInt32.self) { group in
            for number in 1...50 {
                group.addTask {
                    let arguments = [String](repeating: "x", count: number)
                    try await sandbox.exec(
                        "vm", exec: "e\(number)", stdio: Stdio(), arguments: arguments, environment: [])
                    _ = try await sandbox.start("vm", exec: "e\(number)")
                    return try await sandbox.wait("vm", exec: "e\(number)").status
                }
            }
            let statuses = try await group.reduce(into: Set<UInt32>()) { $0.insert($1) }
            #expect(statuses == Set(1...50))
        }
    }
}

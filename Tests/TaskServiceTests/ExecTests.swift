import ContainerIO
import ContainerdAPI
import Glibc
import LinuxSystem
import Sandbox
import SandboxFakes
import SwiftProtobuf
import TTRPC
import TestSupport
import Testing

/// kubectl exec and probes, as containerd's CRI plays them.
@Suite(.timeLimit(.minutes(1))) struct ExecTests {
    private func running(
        gate: Gate? = nil, _ run: @escaping @Sendable (GuestCommand) throws -> GuestCommand.Result
    ) async throws -> Containerd {
        let containerd = try Containerd()
        containerd.host.behave { behaviour in
            behaviour.run = run
            behaviour.gates["execute"] = gate
        }
        try await containerd.create("vm")
        try await containerd.start("vm")
        return containerd
    }

    /// Everything up to the end of the stream, which containerd waits for before it deletes the exec.
    private func text(_ reader: FileDescriptor) async -> String? {
        var text: [UInt8] = []
        let ended = await eventually {
            guard let bytes = try? reader.read(upTo: 4096) else { return false }
            text += bytes
            return bytes.isEmpty
        }
        return ended ? String(decoding: text, as: UTF8.self) : nil
    }

    @Test(arguments: [0, 1, 42, 255] as [UInt32])
    func execSync(status: UInt32) async throws {
        let containerd = try await running { command in
            .init(status: status, output: Array("\(command.arguments) \(command.environment)".utf8), error: [33])
        }
        let (out, err) = (try containerd.directory.fifo("out"), try containerd.directory.fifo("err"))
        let readers = (
            try FileDescriptor.open(out, O_RDONLY | O_NONBLOCK), try FileDescriptor.open(err, O_RDONLY | O_NONBLOCK)
        )
        #expect(try await containerd.state("vm").status == .running)
        let process =
            #"{"args": ["/bin/sh", "-c", "exit"], "env": ["A=b"], "cwd": "/", "user": {"uid": 0}, "rlimits": null}"#
        try await containerd.exec("vm", exec: "e", stdio: Stdio(stdout: out, stderr: err), process: process)
        #expect(try await containerd.state("vm", exec: "e").status == .created)
        // Wait may overtake Start.
        let waiting = Task { try await containerd.wait("vm", exec: "e") }
        #expect(try await containerd.start("vm", exec: "e") > 0)
        let started = try await containerd.state("vm", exec: "e")
        #expect(started.execID == "e" && started.pid > 0 && started.stdout == out && started.stderr == err)
        #expect(try await waiting.value.exitStatus == status)
        #expect(await text(readers.0) == #"["/bin/sh", "-c", "exit"] ["A=b"]"#)
        #expect(await text(readers.1) == "!")
        #expect(try await containerd.state("vm", exec: "e").exitStatus == status)
        #expect(await code { try await containerd.kill("vm", exec: "e", 9) } == .notFound)
        #expect(try await containerd.state("vm", exec: "e").status == .stopped)
        #expect(try await containerd.delete("vm", exec: "e").exitStatus == status)
        #expect(await code { try await containerd.delete("vm", exec: "e") } == .notFound)
        #expect(try await containerd.state("vm").status == .running)
    }

    @Test func inputUpToItsEnd() async throws {
        let containerd = try await running { .init(status: 0, output: $0.input) }
        let (stdin, stdout) = (try containerd.directory.fifo("in"), try containerd.directory.fifo("out"))
        let reader = try FileDescriptor.open(stdout, O_RDONLY | O_NONBLOCK)
        try await containerd.exec("vm", exec: "e", stdio: Stdio(stdin: stdin, stdout: stdout))
        try await containerd.start("vm", exec: "e")
        let writer = try FileDescriptor.open(stdin, O_WRONLY)
        try writer.write(Array("hello\n".utf8))
        try await containerd.closeInput("vm", exec: "e")
        writer.close()
        #expect(await text(reader) == "hello\n")
        #expect(try await containerd.wait("vm", exec: "e").exitStatus == 0)
    }

    @Test func theTimeoutIsAKill() async throws {
        let gate = Gate()
        defer { gate.open() }
        let containerd = try await running(gate: gate) { _ in .init(status: 0) }
        let path = try containerd.directory.fifo("out")
        let reader = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
        try await containerd.exec("vm", exec: "e", stdio: Stdio(stdout: path))
        let waiting = Task { try await containerd.wait("vm", exec: "e") }
        try await containerd.start("vm", exec: "e")
        try await containerd.kill("vm", exec: "e", 9)
        #expect(try await waiting.value.exitStatus == 137)
        #expect(await text(reader) == "")
        #expect(try await containerd.delete("vm", exec: "e").exitStatus == 137)
    }

    @Test func aGuestWithoutAnAgent() async throws {
        let containerd = try await running { _ in throw SandboxError(.unavailable, "no guest agent answers") }
        let path = try containerd.directory.fifo("err")
        let reader = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
        try await containerd.exec("vm", exec: "e", stdio: Stdio(stderr: path))
        try await containerd.start("vm", exec: "e")
        #expect(try await containerd.wait("vm", exec: "e").exitStatus == 126)
        #expect(await text(reader) == "slipway: no guest agent answers\n")
    }

    @Test func pidsNameTheExecs() async throws {
        let gate = Gate()
        defer { gate.open() }
        let containerd = try await running(gate: gate) { _ in .init(status: 0) }
        try await containerd.exec("vm", exec: "e")
        #expect(try await containerd.pids("vm").count == 1)
        try await containerd.start("vm", exec: "e")
        let processes = try await containerd.pids("vm")
        #expect(processes.count == 2 && !processes[0].hasInfo)
        #expect(processes[1].info.typeURL == "containerd.runc.v1.ProcessDetails")
        #expect(try processes[1].info.message(as: Runc_ProcessDetails.self)?.execID == "e")
    }

    /// containerd's order of events: what runs in a container ends before it.
    @Test func execsEndBeforeTheMachine() async throws {
        let gate = Gate()
        defer { gate.open() }
        let containerd = try await running(gate: gate) { _ in .init(status: 0) }
        for id in ["e1", "e2"] {
            try await containerd.exec("vm", exec: id)
            try await containerd.start("vm", exec: id)
        }
        let waiting = Task { try await containerd.wait("vm", exec: "e1").exitStatus }
        try await containerd.kill("vm", 9)
        #expect(try await waiting.value == 137)
        #expect(try await containerd.wait("vm").exitStatus == 137)
        #expect(await eventually { containerd.inbox.lines.last == "/tasks/exit vm vm 137" })
        let exits = containerd.inbox.lines.filter { $0.hasPrefix("/tasks/exit") }
        #expect(Set(exits.dropLast()) == ["/tasks/exit vm e1 137", "/tasks/exit vm e2 137"])
    }
}

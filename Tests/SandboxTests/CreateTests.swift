import Cgroup
import ContainerIO
import Glibc
import LinuxSystem
import OCIRuntimeSpec
import Sandbox
import SandboxFakes
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct CreateTests {
    @Test(arguments: [
        ("", ""), ("{", ""), (#"{"annotations": {"a": "b""#, ""), ("[]", ""), ("null", ""), ("\u{0}\u{1}", ""),
        (#"{"linux": {"namespaces": [{"type": "network"}, {"type": "netwrok"}]}}"#, "linux.namespaces[1].type"),
        (#"{"process": {"args": "sh"}}"#, "process.args"),
        (#"{"mounts": [{"type": "bind"}]}"#, "mounts[0].destination"),
        (
            #"{"annotations": {"io.kubernetes.cri.container-type": "pod"}}"#,
            "annotations.io.kubernetes.cri.container-type"
        ),
    ])
    func aBadConfigurationIsRefusedByItsField(config: String, field: String) async throws {
        let pod = try Pod()
        let request = CreateRequest(id: "vm", bundle: try pod.bundle("vm", config: config))
        do {
            _ = try await pod.sandbox.create(request)
            Issue.record("accepted")
        } catch let error as SpecError {
            #expect(error.field == field)
            #expect(error.description.hasPrefix("config.json: "))
        }
        // Nothing is left, and the id is free again.
        #expect(pod.events.all == [] && pod.host.journal.all == [])
        #expect(await pod.code { _ = try await $0.delete("vm") } == .notFound)
        #expect(try await pod.create("vm") == 1000)
    }

    @Test func aMissingConfiguration() async throws {
        let pod = try Pod()
        let error = await #expect(throws: SandboxError.self) {
            try await pod.sandbox.create(CreateRequest(id: "vm", bundle: pod.directory("none")))
        }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message == "open \(pod.directory("none"))/config.json: No such file or directory")
    }

    @Test func aConfigurationWithoutEnd() async throws {
        let pod = try Pod()
        try File.makeDirectory(pod.directory("vm"))
        try #require(symlink("/dev/zero", pod.directory("vm/config.json")) == 0)
        #expect(
            await pod.code { _ = try await $0.create(CreateRequest(id: "vm", bundle: pod.directory("vm"))) }
                == .invalidArgument)
    }

    /// `ctr run` has no pause container: the container is the pod.
    @Test func outsideKubernetes() async throws {
        let pod = try Pod()
        let bundle = try pod.bundle("pod", config: "{}")
        #expect(try await pod.sandbox.create(CreateRequest(id: "pod", bundle: bundle)) == 1000)
        #expect(pod.host.journal.all == ["prepare pod", "create pod"])
        _ = try await pod.sandbox.start("pod")
        try await pod.sandbox.kill("pod", signal: 9)
        _ = try await pod.sandbox.wait("pod")
        _ = try await pod.sandbox.delete("pod")
        await pod.sandbox.shutdown(now: false)
        #expect(pod.ended.isRaised)
    }

    @Test func streamsThatAreNotKnownAreRefusedBeforeAMachineIsMade() async throws {
        let pod = try Pod()
        for stdio in [Stdio(stdout: "http://x"), Stdio(stderr: "http://x")] {
            await #expect(throws: Endpoint.Unknown.self) { try await pod.create("vm", stdio: stdio) }
        }
        #expect(pod.host.journal.all == [])
    }

    @Test func whatWasMadeIsRemovedWhenTheInputCannotBeOpened() async throws {
        let pod = try Pod()
        await #expect(throws: SystemError("open", pod.directory("no"), code: ENOENT)) {
            try await pod.create("vm", stdio: Stdio(stdin: pod.directory("no")))
        }
        #expect(pod.host.journal.all == ["create vm", "remove vm"])
        #expect(pod.host.machines.first?.journal.all == ["kill"])
        #expect(await pod.code { _ = try await $0.status("vm") } == .notFound)
    }

    /// containerd's reader of the FIFO would wait for ever.
    @Test func aCreationThatFailsEndsTheOutput() async throws {
        let pod = try Pod()
        pod.host.fail("create vm")
        let path = try pod.directory.fifo("stdout")
        let reader = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
        await #expect(throws: FakeError(call: "create vm")) { try await pod.create("vm", stdio: Stdio(stdout: path)) }
        #expect(await eventually { (try? reader.read(upTo: 1)) == [] })
        #expect(pod.events.all == [])
    }

    // MARK: Streams

    @Test func theConsoleIsStdoutAndStdin() async throws {
        let directory = try TemporaryDirectory()
        let (stdin, stdout) = (try directory.fifo("stdin"), try directory.fifo("stdout"))
        let reader = try FileDescriptor.open(stdout, O_RDONLY | O_NONBLOCK)
        let stdio = Stdio(stdin: stdin, stdout: stdout, stderr: directory("stderr-unused"), terminal: true)
        let (pod, machine) = try await Pod.running(stdio: stdio)
        #expect(try await pod.sandbox.status("vm").stdio == stdio)

        let writer = try FileDescriptor.open(stdin, O_WRONLY | O_NONBLOCK)
        try writer.write(Array("typed\r".utf8))
        #expect(try machine.guest.read(exactly: 6) == Array("typed\r".utf8))
        try machine.guest.write(Array("printed\r\n".utf8))
        #expect(try reader.wait(for: Int16(POLLIN), milliseconds: 10_000))
        #expect(try reader.read(upTo: 100) == Array("printed\r\n".utf8))

        // What is printed last is delivered, and the end of the stream comes before Delete is called.
        try machine.guest.write(Array("bye\r\n".utf8))
        machine.end(status: 0)
        _ = try await pod.sandbox.wait("vm")
        var text: [UInt8] = []
        #expect(
            await eventually {
                guard let bytes = try? reader.read(upTo: 100) else { return false }
                text += bytes
                return bytes.isEmpty
            })
        #expect(text == Array("bye\r\n".utf8))
        try await pod.sandbox.closeInput("vm")
        _ = try await pod.sandbox.delete("vm")
        #expect(!File.exists(directory("stderr-unused")))
    }

    @Test func metricsAndUpdate() async throws {
        let (pod, machine) = try await Pod.running()
        #expect(try await pod.sandbox.metrics("vm") == machine.metrics())
        var resources = CgroupResources()
        resources.memoryLimit = 1 << 30
        try await pod.sandbox.update("vm", resources)
        #expect(machine.journal.contains("update 1073741824"))
    }
}

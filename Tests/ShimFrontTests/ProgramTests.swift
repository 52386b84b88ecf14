import ContainerdAPI
import Glibc
import LinuxSystem
import ShimFront
import StateDirectory
import SwiftProtobuf
import TestSupport
import Testing
import Version

/// The built program, with a sandbox program beside it, on a node whose `/run/slipway` is the test's.
private struct Program {
    let node: Node
    private let path: String

    init() throws {
        node = try Node()
        path = node.directory("bin/containerd-shim-slipway-v2")
        let copied = try Spawn("/bin/cp", ["\(Self.directory)/containerd-shim-slipway-v2", path]).run()
        try #require(copied.status == .exited(0), "\(copied.output)")
        try #require(chmod(path, 0o755) == 0)
        try File.makeDirectory(node.root, mode: 0o711)
    }

    /// The built programs: `SLIPWAY_BIN`, or the directory of the test bundle.
    static var directory: String {
        if let given = getenv("SLIPWAY_BIN") { return String(cString: given) }
        let tests = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
        return tests.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    }

    /// Runs it in a bundle as containerd does: stdout and stderr in one pipe, read to its end. A descendant that kept
    /// the pipe open would make that end never come.
    func run(
        _ words: [String], in bundle: String = "/", environment: [String] = [], input: [UInt8] = []
    ) throws -> (status: LinuxSystem.Process.Status, output: [UInt8]) {
        let (reader, writer) = try FileDescriptor.pipe()
        try File.replace(node.directory("stdin"), with: input)
        let stdin = try FileDescriptor.open(node.directory("stdin"), O_RDONLY)
        let script = #"mkdir -p /run/slipway && mount --bind "$0" /run/slipway && exec "$@""#
        var spawn = Spawn("/bin/sh", ["-c", script, node.root, path] + words)
        spawn.environment += environment
        spawn.newMountNamespace = true
        spawn.workingDirectory = bundle
        spawn.descriptors = [0: stdin, 1: writer, 2: writer]
        let process = try spawn.start()
        writer.close()
        var output: [UInt8] = []
        while true {
            guard try reader.wait(for: Int16(POLLIN), milliseconds: 10_000) else {
                throw SystemError("wait for the end of the output", code: ETIMEDOUT)
            }
            let more = try reader.read(upTo: 65536)
            if more.isEmpty { break }
            output += more
        }
        return (try process.wait(), output)
    }

    func run(
        _ action: String, _ id: String, environment: [String] = [], input: [UInt8] = []
    ) throws -> (status: LinuxSystem.Process.Status, output: [UInt8]) {
        try run(
            ["-namespace", "k8s.io", "-id", id, "-address", "/a", "-publish-binary", "/p", action],
            in: node.directory("bundles/\(id)"), environment: environment, input: input)
    }

    /// What the program says of itself lies below `/run/slipway`, which in this process's eyes is the test's directory.
    func state(_ id: String) -> StateDirectory {
        let seen = StateDirectory(namespace: "k8s.io", sandbox: id).path
        return StateDirectory(path: node.root + seen.dropFirst(StateDirectory.defaultRoot.count))
    }

    /// Ends the sandbox's process, which is nobody's child here.
    func kill(_ id: String) async throws {
        try await Node.isRunning(state(id))
        let process = try #require(try SandboxRecord(readingFrom: state(id)).process?.process)
        try process.signal(SIGKILL)
        #expect(try process.waitForEnd(milliseconds: 5000))
    }
}

@Suite(.timeLimit(.minutes(1))) struct ProgramTests {
    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func questions() throws {
        let program = try Program()
        let version = try program.run(["-v"])
        #expect(version.status == .exited(0) && text(version.output) == "\(Version.runtimeName) \(Version.text)\n")
        let info = try program.run(["-info"])
        #expect(info.status == .exited(0))
        #expect(try Containerd_RuntimeInfo(serializedBytes: info.output).name == Version.runtimeName)
        #expect(program.node.leftovers == [])
    }

    @Test func aPodFromItsStartToItsDelete() async throws {
        let program = try Program()
        try program.node.sandboxBundle("pod")
        try program.node.containerBundle("vm", of: "pod")
        let address = "unix://\(StateDirectory(namespace: "k8s.io", sandbox: "pod").socket)"

        let plain = try program.run("start", "pod")
        #expect(plain.status == .exited(0) && text(plain.output) == address)
        _ = try UnixSocket.connect(program.state("pod").socket)
        #expect(try File.text(program.node.directory("bundles/pod/address")) == address)

        let json = try program.run("start", "vm", environment: ["MAX_SHIM_VERSION=2"], input: [0xff, 0x00])
        #expect(json.status == .exited(0))
        #expect(text(json.output) == #"{"version":2,"address":"\#(address)","protocol":"ttrpc"}"#)

        let parameters = Containerd_BootstrapParams.with {
            $0.instanceID = "vm"
            $0.namespace = "k8s.io"
        }
        let message = try program.run(
            "start", "vm", environment: ["MAX_SHIM_VERSION=2"], input: parameters.serializedBytes())
        let result = try Containerd_BootstrapResult(serializedBytes: message.output)
        #expect(result.version == 3 && result.address == address && result.protocol == "ttrpc")

        let kept = try program.run("delete", "vm")
        #expect(kept.status == .exited(0) && File.exists(program.state("pod").record))
        try await program.kill("pod")
        for _ in 0..<2 {
            let deleted = try program.run("delete", "pod")
            #expect(deleted.status == .exited(0))
            let response = try Task_DeleteResponse(serializedBytes: deleted.output)
            #expect(response.exitStatus == 137 && response.hasExitedAt)
            #expect(program.node.leftovers == [])
        }
    }

    /// Above 10 MiB, which nobody sends.
    @Test func endlessInputFailsNothing() async throws {
        let program = try Program()
        try program.node.sandboxBundle("pod")
        let reply = try program.run("start", "pod", input: Array(repeating: 10, count: 11 << 20))
        #expect(reply.status == .exited(0) && text(reply.output).hasPrefix("unix:///run/slipway/"))
        try await program.kill("pod")
    }

    @Test func failuresAreASentenceAndStatus1() throws {
        let program = try Program()
        let words = try program.run(["-id", "pod", "begin"])
        #expect(words.status == .exited(1) && text(words.output) == "\"begin\" is no action; start and delete are\n")
        try program.node.bundle("pod", nil)
        let start = try program.run("start", "pod")
        #expect(start.status == .exited(1))
        let bundle = program.node.directory("bundles/pod")
        #expect(text(start.output) == "open \(bundle)/config.json: No such file or directory\n")
        #expect(program.node.leftovers == [])
    }

    /// The front's own descriptors do not reach the sandbox, whatever containerd leaves open.
    @Test func theSandboxHoldsTheSocketAlone() async throws {
        let program = try Program()
        try program.node.sandboxBundle("pod")
        _ = try program.run("start", "pod")
        try await Node.isRunning(program.state("pod"))
        let pid = try #require(try SandboxRecord(readingFrom: program.state("pod")).process?.pid)
        #expect(try File.list("/proc/\(pid)/fd") == ["0", "1", "2", "3"])
        try await program.kill("pod")
    }
}

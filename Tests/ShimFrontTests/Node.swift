import ContainerdAPI
import Glibc
import LinuxSystem
import ShimFront
import StateDirectory
import SwiftProtobuf
import TestSupport

/// A node of a test's own: a directory of sandboxes, bundles, and a sandbox program that tells the record of itself and
/// then does nothing but hold what the front gave it. Everything goes with it.
final class Node: Sendable {
    let directory: TemporaryDirectory
    /// The sandbox program; it leaves its arguments in the file ``words``.
    let program: String
    /// The directory of all sandboxes.
    let root: String

    init() throws {
        directory = try TemporaryDirectory()
        root = directory("root")
        program = try directory.write(
            "bin/slipway-sandbox",
            """
            #!/bin/sh
            echo "$@" > \(directory("words"))
            state=$2 pid=$$
            set -- $(cat /proc/$pid/stat)
            sed -i "1a \\"process\\": {\\"pid\\": $pid, \\"startTime\\": ${22}}," "$state/sandbox.json"
            exec sleep 1000
            """)
        guard chmod(program, 0o755) == 0 else { throw SystemError.last("chmod", program) }
    }

    deinit {
        for state in StateDirectory.all(root: root) { try? end(state) }
    }

    /// What the sandbox program was started with.
    var words: String? { try? File.text(directory("words")) }

    /// A bundle; without a configuration it has no file.
    @discardableResult
    func bundle(_ id: String, _ configuration: String?) throws -> String {
        try File.makeDirectory(directory("bundles/\(id)"))
        if let configuration { try directory.write("bundles/\(id)/config.json", configuration) }
        return directory("bundles/\(id)")
    }

    /// The bundle of a sandbox's own container.
    @discardableResult
    func sandboxBundle(_ id: String, networkNamespace: String? = nil) throws -> String {
        let path = networkNamespace.map { #", "path": "\#($0)""# } ?? ""
        return try bundle(
            id,
            """
            {"annotations": {
              "io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-id": "\(id)"},
             "linux": {"namespaces": [{"type": "pid"}, {"type": "network"\(path)}]}}
            """)
    }

    /// The bundle of an application's container in a sandbox.
    @discardableResult
    func containerBundle(_ id: String, of sandbox: String) throws -> String {
        try bundle(
            id,
            """
            {"annotations": {
              "io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "\(sandbox)"}}
            """)
    }

    /// A call of the front as containerd makes it, in this process.
    func front(
        _ action: String, _ id: String, environment: [String: String] = [:], standardInput: [UInt8] = [],
        namespace: String = "k8s.io"
    ) throws -> ShimFront {
        ShimFront(
            arguments: try ShimArguments([
                "-namespace", namespace, "-address", "/run/containerd/containerd.sock", "-publish-binary",
                "/usr/bin/containerd", "-id", id, "-bundle", directory("bundles/\(id)"), action,
            ]), environment: environment, standardInput: standardInput, workingDirectory: directory("bundles/\(id)"),
            sandboxProgram: program, root: root)
    }

    /// Starts a sandbox, or names the one of a container. The sandbox's process runs.
    @discardableResult
    func reply(
        _ id: String, environment: [String: String] = [:], standardInput: [UInt8] = [], namespace: String = "k8s.io"
    ) async throws -> [UInt8] {
        let front = try front(
            "start", id, environment: environment, standardInput: standardInput, namespace: namespace)
        let reply = try front.run()
        for state in StateDirectory.all(root: root) { try await Self.isRunning(state) }
        return reply
    }

    /// The same with the reply as text.
    @discardableResult
    func start(
        _ id: String, environment: [String: String] = [:], standardInput: [UInt8] = [], namespace: String = "k8s.io"
    ) async throws -> String {
        let bytes = try await reply(
            id, environment: environment, standardInput: standardInput, namespace: namespace)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Waits until the process of a sandbox is in its record, and is what it is to be.
    static func isRunning(_ state: StateDirectory) async throws {
        let runs = await eventually {
            guard let record = try? SandboxRecord(readingFrom: state), let pid = record.process?.pid else {
                return false
            }
            return (try? File.text("/proc/\(pid)/comm")) == "sleep\n"
        }
        guard runs else { throw SystemError("wait for the process of", state.path, code: ETIMEDOUT) }
    }

    /// Runs `delete` and decodes what it prints; the milliseconds that it took come along.
    @discardableResult
    func delete(_ id: String, namespace: String = "k8s.io") async throws
        -> (response: Task_DeleteResponse, milliseconds: Int64)
    {
        let front = try front("delete", id, namespace: namespace)
        return try await Thread.run("delete") {
            let start = Clock.milliseconds
            let bytes = try front.run()
            return (try Task_DeleteResponse(serializedBytes: bytes), Clock.milliseconds - start)
        }
    }

    func state(_ id: String) -> StateDirectory { StateDirectory(root: root, namespace: "k8s.io", sandbox: id) }

    func record(_ id: String) throws -> SandboxRecord { try SandboxRecord(readingFrom: state(id)) }

    func changeRecord(_ id: String, _ change: (inout SandboxRecord) throws -> Void) throws {
        var record = try record(id)
        try change(&record)
        try record.write(to: state(id))
    }

    /// The sandbox's process.
    func process(_ id: String) throws -> LinuxSystem.Process {
        guard let process = try record(id).process?.process else {
            throw SystemError("find the process of", id, code: ESRCH)
        }
        return process
    }

    /// kill -9 of the sandbox's process, reaped as containerd or init does. Returns once nobody holds its socket: a
    /// process that another test is about to start may, for a moment.
    func kill(_ id: String) async throws {
        try end(state(id))
        let path = state(id).socket
        _ = await eventually { (try? File.text("/proc/net/unix", limit: 16 << 20))?.contains(path) == false }
    }

    private func end(_ state: StateDirectory) throws {
        guard let process = try SandboxRecord(readingFrom: state).process?.process else { return }
        try process.signal(SIGKILL)
        _ = try process.wait()
    }

    /// Whether anything of the sandboxes is there: state directories and claimed users.
    var leftovers: [String] {
        let states = ((try? File.list(root)) ?? []).filter { $0 != ".users" }
        return states + ((try? File.list("\(root)/.users")) ?? []).filter { $0 != ".lock" }
    }
}

/// A process of a test's own that does nothing; it ends with this.
final class Idle: Sendable {
    let process: LinuxSystem.Process

    init(_ prepare: (inout Spawn) -> Void = { _ in }) throws {
        var spawn = Spawn("/bin/sleep", ["1000"])
        prepare(&spawn)
        process = try spawn.start()
    }

    deinit {
        try? process.signal(SIGKILL)
        _ = try? process.wait()
    }

    var hasEnded: Bool { (try? process.waitForEnd(milliseconds: 0)) ?? true }
}

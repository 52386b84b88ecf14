import Glibc
import LinuxSystem
import StateDirectory
import TestSupport
import Testing

@testable import ShimFront

@Suite(.timeLimit(.minutes(1))) struct StartTests {
    private let node: Node

    init() throws { node = try Node() }

    @Test func theSocketListensBeforeStartReturns() async throws {
        try node.sandboxBundle("pod")
        let reply = try await node.start("pod")
        #expect(reply == "unix://\(node.state("pod").socket)")
        // Nobody accepts yet: what connects waits in the backlog.
        _ = try UnixSocket.connect(node.state("pod").socket)
        var information = stat()
        #expect(stat(node.state("pod").socket, &information) == 0 && information.st_mode & 0o777 == 0o600)
    }

    /// containerd 1.6 and 1.7 find the sandbox by this file after their restart.
    @Test func theAddressIsInTheBundle() async throws {
        try node.sandboxBundle("pod")
        try node.containerBundle("vm", of: "pod")
        let address = try await node.start("pod")
        #expect(try File.text(node.directory("bundles/pod/address")) == address)
        #expect(try await node.start("vm") == address)
        #expect(try File.text(node.directory("bundles/vm/address")) == address)
    }

    @Test func aSecondStartNamesTheRunningSandbox() async throws {
        try node.sandboxBundle("pod")
        let address = try await node.start("pod")
        let process = try node.process("pod").pid
        #expect(try await node.start("pod") == address)
        #expect(try node.process("pod").pid == process)
    }

    @Test func theRecordTellsOfIt() async throws {
        let bundle = try node.sandboxBundle("pod")
        try await node.start("pod")
        let record = try node.record("pod")
        #expect(record.id == "pod" && record.namespace == "k8s.io" && record.bundle == bundle)
        #expect(record.machine == nil && record.cgroups == [])
    }

    /// `ctr run`: no annotations, every container is a pod of its own.
    @Test func outsideKubernetes() async throws {
        try node.bundle("one", "{}")
        try node.bundle("two", #"{"annotations": null, "unknown": {"keys": ["are", "ignored"]}}"#)
        #expect(try await node.start("one") != node.start("two"))
    }

    @Test func theSameIdInAnotherNamespaceIsAnotherSandbox() async throws {
        try node.sandboxBundle("pod")
        let address = try await node.start("pod")
        #expect(try await node.start("pod", namespace: "moby") != address)
    }

    @Test func theBundleOfADeadSandboxIsStartedAnew() async throws {
        try node.sandboxBundle("pod")
        let address = try await node.start("pod")
        let first = try node.process("pod").pid
        try await node.kill("pod")
        try File.put("", into: node.directory("bundles/pod/address"))
        #expect(try await node.start("pod") == address)
        #expect(try node.process("pod").pid != first)
        #expect(try File.text(node.directory("bundles/pod/address")) == address)
    }

    /// A crash between the directory and the record.
    @Test(arguments: [nil, "", "{", "[]"] as [String?])
    func aDirectoryWithoutAUsableRecordIsReplaced(record: String?) async throws {
        try node.sandboxBundle("pod")
        try File.makeDirectory(node.state("pod").path)
        if let record { try File.replace(node.state("pod").record, with: Array(record.utf8)) }
        try File.replace("\(node.state("pod").path)/leftover", with: [])
        try await node.start("pod")
        #expect(try node.record("pod").id == "pod" && !File.exists("\(node.state("pod").path)/leftover"))
    }

    // MARK: The process

    private func descriptors(_ pid: Int32) -> [Int: String] {
        var buffer = [UInt8](repeating: 0, count: 4096)
        var result: [Int: String] = [:]
        for name in (try? File.list("/proc/\(pid)/fd")) ?? [] {
            let count = readlink("/proc/\(pid)/fd/\(name)", &buffer, buffer.count)
            if let number = Int(name), count > 0 {
                result[number] = String(decoding: buffer.prefix(count), as: UTF8.self)
            }
        }
        return result
    }

    private func field(_ pid: Int32, _ name: String) -> Substring? {
        ((try? File.text("/proc/\(pid)/status")) ?? "").split(separator: "\n").first { $0.hasPrefix("\(name):") }?
            .dropFirst(name.count + 2)
    }

    @Test func nothingButTheSocketIsHandedOn() async throws {
        // Descriptors that a careless parent would leave open in the child.
        let leaks = try (0..<20).map { _ in
            let descriptor = try FileDescriptor.open("/dev/zero", O_RDONLY)
            try check(fcntl(descriptor.raw, F_SETFD, 0), "fcntl")
            return descriptor
        }
        try node.sandboxBundle("pod")
        try await node.start("pod")
        withExtendedLifetime(leaks) {}
        let pid = try node.process("pod").pid
        let open = descriptors(pid)
        #expect(open.keys.sorted() == [0, 1, 2, 3])
        #expect((0...2).allSatisfy { open[$0] == "/dev/null" }, "\(open)")
        #expect(open[3]?.hasPrefix("socket:") == true)
    }

    @Test func itIsOnItsOwn() async throws {
        try node.sandboxBundle("pod")
        try await node.start("pod")
        let process = try node.process("pod")
        #expect(getsid(process.pid) == process.pid && getpgid(process.pid) == process.pid)
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = readlink("/proc/\(process.pid)/cwd", &buffer, buffer.count)
        #expect(String(decoding: buffer.prefix(max(0, count)), as: UTF8.self) == "/")
        #expect(link(process.pid, "mnt") != link(getpid(), "mnt"))
        // Whoever started it may go: it is not asked to die with its parent, and ignores no signal.
        for name in ["SigIgn", "SigBlk"] {
            let signals = try #require(field(process.pid, name).flatMap { UInt64($0, radix: 16) })
            // From 32 on they are the C library's own (nptl(7)).
            #expect(signals & 0x7fff_ffff == 0, "\(name) \(String(signals, radix: 16))")
        }
    }

    private func link(_ pid: Int32, _ kind: String) -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = readlink("/proc/\(pid)/ns/\(kind)", &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }

    // MARK: The network namespace

    @Test func itRunsInThePodsNetworkNamespace() async throws {
        let holder = try Idle { $0.newNetworkNamespace = true }
        try node.sandboxBundle("pod", networkNamespace: "/proc/\(holder.process.pid)/ns/net")
        try await node.start("pod")
        #expect(link(try node.process("pod").pid, "net") == link(holder.process.pid, "net"))
        #expect(try node.record("pod").networkNamespace == "/proc/\(holder.process.pid)/ns/net")
    }

    /// containerd 1.7 with a user namespace leaves the making of the namespace to the runtime.
    @Test(arguments: [nil, ""] as [String?])
    func withoutAPathItGetsANamespaceOfItsOwn(path: String?) async throws {
        try node.sandboxBundle("pod", networkNamespace: path)
        try await node.start("pod")
        #expect(link(try node.process("pod").pid, "net") != link(getpid(), "net"))
        #expect(try node.record("pod").networkNamespace == nil)
    }

    /// The second is what a namespace's file is once containerd has unmounted it.
    @Test(arguments: [("none", "open", ENOENT), ("plain", "setns", EINVAL)])
    func aNamespaceThatIsNotThereFailsAndLeavesNothing(name: String, step: String, code: Int32) async throws {
        try node.directory.write("plain", "")
        let path = node.directory(name)
        try node.sandboxBundle("pod", networkNamespace: path)
        await #expect {
            try await node.start("pod")
        } throws: { error in
            (error as? SystemError)?.operation == step && (error as? SystemError)?.code == code
        }
        #expect(node.leftovers == [])
        #expect(!File.exists(node.directory("bundles/pod/address")))
    }

    // MARK: Refusals

    @Test func aContainerOfADeadSandboxIsRefused() async throws {
        try node.sandboxBundle("pod")
        try node.containerBundle("vm", of: "pod")
        let sentence =
            "sandbox pod: its process does not answer at \(node.state("pod").socket); the pod has to be started anew"
        await #expect(throws: ShimFront.Failure(description: sentence)) { try await node.start("vm") }
        try await node.start("pod")
        try await node.start("vm")
        try await node.kill("pod")
        await #expect(throws: ShimFront.Failure(description: sentence)) { try await node.start("vm") }
        // Its remains are left to the sandbox's own delete.
        #expect(File.exists(node.state("pod").record))
    }

    @Test func aMissingConfiguration() async throws {
        let bundle = try node.bundle("pod", nil)
        await #expect(throws: SystemError("open", "\(bundle)/config.json", code: ENOENT)) {
            try await node.start("pod")
        }
        #expect(node.leftovers == [])
    }

    @Test(arguments: [
        ("", "config.json: is no valid JSON, or has a number that does not fit its field"),
        (
            #"{"annotations": {"io.kubernetes.cri.container-type": "vm"}}"#,
            #"config.json: annotations.io.kubernetes.cri.container-type: is "vm"; "sandbox" or "container" is accepted"#
        ),
        (
            #"{"linux": {"namespaces": [{"type": 7}]}}"#,
            "config.json: linux.namespaces[0].type: has another type; a string is expected"
        ),
    ])
    func aBadConfiguration(text: String, sentence: String) async throws {
        try node.bundle("pod", text)
        await #expect { try await node.start("pod") } throws: { "\($0)" == sentence }
        #expect(node.leftovers == [])
    }

    @Test func aSandboxProgramThatIsNotThere() async throws {
        try node.sandboxBundle("pod")
        try File.remove(node.program)
        await #expect(throws: SystemError("execve", node.program, code: ENOENT)) { try await node.start("pod") }
        #expect(node.leftovers == [])
    }

    @Test func manySandboxesAtOnce() async throws {
        for index in 0..<20 { try node.sandboxBundle("pod-\(index)") }
        let node = node
        let replies = try await withThrowingTaskGroup(of: String.self) { group in
            for index in 0..<20 { group.addTask { try await node.start("pod-\(index)") } }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(replies.count == 20)
    }
}

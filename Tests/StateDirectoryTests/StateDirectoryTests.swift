import Glibc
import LinuxSystem
import StateDirectory
import TestSupport
import Testing

@Suite struct StateDirectoryTests {
    @Test func namesAreStableReadableAndDifferent() {
        let one = StateDirectory(namespace: "k8s.io", sandbox: "0123456789abcdef")
        #expect(one.path.hasPrefix("/run/slipway/01234567-"))
        #expect(one == StateDirectory(namespace: "k8s.io", sandbox: "0123456789abcdef"))
        let others = [
            ("k8s.io", "0123456789abcdee"), ("default", "0123456789abcdef"), ("k8s.io0", "123456789abcdef"), ("", ""),
        ]
        #expect(Set(others.map { StateDirectory(namespace: $0.0, sandbox: $0.1) } + [one]).count == 5)
    }

    /// ids come from whoever calls containerd.
    @Test(arguments: ["../../../etc", "a/b", "", ".", "ä€", "a b\n", String(repeating: "x", count: 300)])
    func noIdLeadsOutOfTheRoot(id: String) {
        let path = StateDirectory(root: "/r", namespace: "n", sandbox: id).path
        let name = path.dropFirst("/r/".count)
        #expect(path.hasPrefix("/r/") && !name.isEmpty && name.utf8.count <= 25)
        #expect(
            name.utf8.allSatisfy {
                $0 == 45 || $0 == 95 || (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
            })
    }

    @Test func socketsFit() {
        let id = String(repeating: "f", count: 64)
        let directory = StateDirectory(namespace: "k8s.io", sandbox: id)
        // The longest that libvirt makes below its root: QEMU's monitor.
        let monitor = "\(directory.libvirt)/lib/qemu/domain-1-slipway-\(id.prefix(12))/monitor.sock"
        for path in [directory.socket, directory.console, directory.serial, monitor] {
            #expect(path.utf8.count <= UnixSocket.maximumPathLength, "\(path)")
        }
    }

    @Test func onlyDirectoriesWithARecordAreSandboxes() throws {
        let root = try TemporaryDirectory()
        #expect(StateDirectory.all(root: root("none")) == [])
        let directory = StateDirectory(root: root.path, namespace: "n", sandbox: "s")
        try File.makeDirectory(directory.path)
        try File.makeDirectory(root("empty"))
        try root.write(".users/250000", "x")
        #expect(StateDirectory.all(root: root.path) == [])
        try SandboxRecord(namespace: "n", id: "s", bundle: "/b").write(to: directory)
        #expect(StateDirectory.all(root: root.path) == [directory])
    }

    // MARK: Records

    @Test func recordsAreReadAsTheyWereWritten() throws {
        let root = try TemporaryDirectory()
        let directory = StateDirectory(path: root.path)
        var record = SandboxRecord(namespace: "n", id: "s", bundle: "/b")
        try record.write(to: directory)
        #expect(try SandboxRecord(readingFrom: directory) == record)
        record.podName = "päd \"\\\u{1}"
        record.networkNamespace = "/var/run/netns/x"
        record.process = try SandboxRecord.ProcessIdentity(pid: getpid())
        record.cgroups = ["/a", "b.slice:c:d"]
        record.machine = SandboxRecord.Machine(container: "c", containerName: "vm", user: 250_001)
        try record.write(to: directory)
        #expect(try SandboxRecord(readingFrom: directory) == record)
    }

    @Test(arguments: ["", "{", "[]", "{}", #"{"version": 1, "namespace": 5}"#])
    func whatIsNoRecord(text: String) throws {
        let root = try TemporaryDirectory()
        try root.write("sandbox.json", text)
        #expect(throws: DecodingError.self) { try SandboxRecord(readingFrom: StateDirectory(path: root.path)) }
    }

    @Test func aProcessIsKnownByItsNumberAndItsStart() throws {
        var own = try SandboxRecord.ProcessIdentity(pid: getpid())
        #expect(own.process?.pid == getpid())
        own.startTime += 1
        #expect(own.process == nil, "another process under the same number is taken for it")
        let child = try Spawn("/bin/sleep", ["1000"]).start()
        let identity = try SandboxRecord.ProcessIdentity(pid: child.pid)
        #expect(identity.process != nil)
        try child.signal(SIGKILL)
        _ = try child.wait()
        #expect(identity.process == nil)
        #expect(throws: SystemError.self) { try SandboxRecord.ProcessIdentity(pid: child.pid) }
    }
}

import CLinux
import CNI
import Glibc
import HostTopology
import LinuxSystem
import SandboxRemains
import StateDirectory
import SwitchSocket
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct SandboxRemainsTests {
    /// What a killed sandbox had of the node is free for others, and interrupts go back where they were.
    @Test func claimsAndInterruptsAreGivenBack() throws {
        let root = try TemporaryDirectory()
        let owner = StateDirectory(root: root.path, namespace: "n", sandbox: "s")
        try File.makeDirectory(owner.path)
        let machine = try Spawn("/bin/sleep", ["1000"]).start()
        let identity = try SandboxRecord.ProcessIdentity(pid: machine.pid)
        var record = SandboxRecord(namespace: "n", id: "s", bundle: "/b")
        record.machine = SandboxRecord.Machine(container: "c", containerName: "c", user: 5)
        record.machine?.process = identity
        try record.write(to: owner)
        _ = try UserClaim.take(from: 5...5, for: owner, root: root.path)
        try PlacementClaim.take(for: owner, root: root.path) { _ in
            .fits(PlacementClaim(owner: owner, podNamespace: "", podName: "", cpus: [8191], interrupts: true), ())
        }
        try PlacementClaim.markHeld(owner: owner, by: identity, root: root.path)
        // Of an interrupt that this machine does not have: the real ones stay as they are.
        try root.write(
            ".irq/notes.json",
            #"{"version": 1, "known": [], "affinities": {"99999999": {"original": "0", "written": ["1"]}}}"#)
        #expect(PlacementClaim.all(root: root.path).interruptFreeCPUs == [8191])

        #expect(SandboxRemains(owner, record, root: root.path).remove() == [])

        #expect(try machine.wait() == .signaled(SIGKILL))
        #expect(try File.list(root.path) == [".claims", ".irq", ".users"])
        for directory in [".claims", ".irq", ".users"] { #expect(try File.list(root(directory)) == [".lock"]) }
    }

    /// Also where the machine has been forgotten: its container was removed, and that could not be done then.
    @Test func accessToSwitchesIsTakenBack() throws {
        let root = try TemporaryDirectory()
        let owner = StateDirectory(root: root.path, namespace: "n", sandbox: "s")
        try File.makeDirectory(owner.path)
        try SandboxRecord(namespace: "n", id: "s", bundle: "/b").write(to: owner)
        try File.makeDirectory(root("switch/sockets"), mode: 0o755)
        let granted = GrantedSockets(owner)
        try granted.grant(SwitchSocket(root("switch/sockets/a"), listens: true), to: 253_113)
        func mode() -> UInt32 {
            var information = stat()
            return stat(root("switch/sockets"), &information) == 0 ? information.st_mode & 0o777 : 0
        }
        try #require(mode() == 0o775)
        #expect(SandboxRemains(owner, try SandboxRecord(readingFrom: owner), root: root.path).remove() == [])
        #expect(mode() == 0o755)
        #expect(!File.exists(owner.path))
    }

    /// containerd calls `delete` for a sandbox and for its container at the same time.
    @Test func twoWhoRemoveTheSameRemainsDoNotMeet() async throws {
        let root = try TemporaryDirectory()
        let owner = StateDirectory(root: root.path, namespace: "n", sandbox: "s")
        try File.makeDirectory(owner.path)
        let record = SandboxRecord(namespace: "n", id: "s", bundle: "/b")
        try record.write(to: owner)
        try root.write(
            "bin/fake",
            "#!/bin/sh\necho $CNI_COMMAND >>\(root.path)/calls\nsleep 0.2\necho '{\"cniVersion\": \"1.0.0\"}'\n",
            mode: 0o755)
        let network = try NetworkConfiguration(
            parsing: Array(#"{"cniVersion": "1.0.0", "name": "lan", "type": "fake"}"#.utf8), source: "lan.conf")
        _ = try Attachments(directory: owner.attachments).attach(
            network, PluginArguments(container: "s", namespace: "/proc/self/ns/net", interface: "net1"),
            by: PluginRunner(path: [root("bin")]))
        let problems = try await withThrowingTaskGroup(of: [String].self) { group in
            for _ in 0..<2 {
                group.addTask {
                    try await LinuxSystem.Thread.run("remains") {
                        SandboxRemains(owner, record, root: root.path).remove()
                    }
                }
            }
            return try await group.reduce([], +)
        }
        #expect(problems == [])
        #expect(try File.text(root("calls")) == "ADD\nDEL\n")
        #expect(!File.exists(owner.path))
    }

    /// What was attached by hand goes with the pod, and its addresses are free for others: with the pod's namespace, and
    /// without it, which is what containerd leaves of a pod that was stopped.
    @Test(arguments: [true, false]) func networksAreDetached(namespaceIsThere: Bool) throws {
        let root = try TemporaryDirectory()
        let owner = StateDirectory(root: root.path, namespace: "n", sandbox: "s")
        try File.makeDirectory(owner.path)
        let node = try namespace()
        let pod = try namespace()
        let path = "/proc/\(getpid())/fd/\(pod.descriptor.raw)"
        let leases = root("leases")
        let network = try NetworkConfiguration(
            parsing: Array(
                """
                {"cniVersion": "1.0.0", "name": "lan", "type": "bridge", "bridge": "br0", "ipam": {
                    "type": "host-local", "dataDir": "\(leases)", "subnet": "10.1.0.0/16"}}
                """.utf8), source: "lan.conf")
        for interface in ["net1", "net2"] {
            let arguments = PluginArguments(container: "s", namespace: path, interface: interface)
            _ = try node.runAndWait {
                try Attachments(directory: owner.attachments).attach(network, arguments, by: PluginRunner())
            }
        }
        func given() throws -> [String] { try File.list("\(leases)/lan").filter { $0.hasPrefix("10.") } }
        #expect(try given().count == 2)
        var record = SandboxRecord(namespace: "n", id: "s", bundle: "/b")
        record.networkNamespace = namespaceIsThere ? path : root("no-namespace")
        try root.write("no-namespace", "")
        try record.write(to: owner)

        let written = record
        #expect(try node.runAndWait { SandboxRemains(owner, written, root: root.path).remove() } == [])

        #expect(try given() == [])
        #expect(!File.exists(owner.path))
        if namespaceIsThere {
            let links = try pod.runAndWait { try File.text("/proc/thread-self/net/dev") }
            #expect(!links.contains("net1") && !links.contains("net2"), "\(links)")
        }
    }

    /// A plugin that hangs keeps the directory, for another try, and nothing else.
    @Test func aPluginThatHangsKeepsNoCPUs() throws {
        let root = try TemporaryDirectory()
        let owner = StateDirectory(root: root.path, namespace: "n", sandbox: "s")
        try File.makeDirectory(owner.path)
        try root.write(
            "bin/hang", "#!/bin/sh\n[ $CNI_COMMAND = ADD ] || exec sleep 1000\necho '{\"cniVersion\": \"1.0.0\"}'",
            mode: 0o755)
        let network = try NetworkConfiguration(
            parsing: Array(#"{"cniVersion": "1.0.0", "name": "lan", "type": "hang"}"#.utf8), source: "lan.conf")
        _ = try Attachments(directory: owner.attachments).attach(
            network, PluginArguments(container: "s", namespace: "/n", interface: "net1"),
            by: PluginRunner(path: [root("bin")]))
        try PlacementClaim.take(for: owner, root: root.path) { _ in
            .fits(PlacementClaim(owner: owner, podNamespace: "", podName: "", cpus: [8191], interrupts: false), ())
        }
        let record = SandboxRecord(namespace: "n", id: "s", bundle: "/b")
        try record.write(to: owner)

        let begin = Clock.milliseconds
        let problems = SandboxRemains(owner, record, root: root.path).remove(milliseconds: 1_500)
        let taken = Clock.milliseconds - begin
        #expect(problems.count == 1 && problems[0].contains("plugin hang, DEL of net1 (lan): it had not ended after"))
        #expect(taken < 3_000, "\(taken) ms")
        #expect(PlacementClaim.all(root: root.path).isEmpty)
        #expect(File.exists(owner.record))

        try root.write("bin/hang", "#!/bin/sh\n", mode: 0o755)
        #expect(SandboxRemains(owner, record, root: root.path).remove() == [])
        #expect(!File.exists(owner.path))
    }

    /// What is in the way for a moment keeps nothing.
    @Test func whatIsBusyIsTriedAgain() async throws {
        let root = try TemporaryDirectory()
        let owner = StateDirectory(root: root.path, namespace: "n", sandbox: "s")
        try File.makeDirectory(owner.path)
        var record = SandboxRecord(namespace: "n", id: "s", bundle: "/b")
        record.machine = SandboxRecord.Machine(container: "c", containerName: "c", user: 5)
        let machine = try Spawn("/bin/sleep", ["1000"]).start()
        record.machine?.process = try SandboxRecord.ProcessIdentity(pid: machine.pid)
        try record.write(to: owner)
        _ = try UserClaim.take(from: 5...5, for: owner, root: root.path)
        // A directory in the place of a file that has to go.
        try File.makeDirectory("\(owner.dhcp)/dnsmasq.pid")
        let path = owner.dhcp
        // It goes once the first try is under way.
        try LinuxSystem.Thread.start("opening") {
            _ = try? machine.wait()
            try? File.removeTree(path)
        }
        let written = record
        let problems = try await LinuxSystem.Thread.run("remains") {
            SandboxRemains(owner, written, root: root.path).remove()
        }
        #expect(problems == [])
        #expect(!File.exists(owner.path))
        #expect(try File.list(root(".users")) == [".lock"])
    }

    private func namespace() throws -> NetworkNamespace {
        try LinuxSystem.Thread.runAndWait("unshare") {
            try check(slipway_unshare(0x4000_0000), "unshare")
            return try NetworkNamespace(path: "/proc/thread-self/ns/net")
        }
    }

    @Test func whatNeverWasIsNotMade() throws {
        let root = try TemporaryDirectory()
        let owner = StateDirectory(root: root.path, namespace: "n", sandbox: "s")
        let record = SandboxRecord(namespace: "n", id: "s", bundle: "/b")
        #expect(SandboxRemains(owner, record, root: root.path).remove() == [])
        #expect(try File.list(root.path) == [])
    }
}

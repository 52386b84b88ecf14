import Glibc
import HostTopology
import LinuxSystem
import SandboxRemains
import StateDirectory
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

    @Test func whatNeverWasIsNotMade() throws {
        let root = try TemporaryDirectory()
        let owner = StateDirectory(root: root.path, namespace: "n", sandbox: "s")
        let record = SandboxRecord(namespace: "n", id: "s", bundle: "/b")
        #expect(SandboxRemains(owner, record, root: root.path).remove() == [])
        #expect(try File.list(root.path) == [])
    }
}

import Cgroup
import ContainerdAPI
import Glibc
import LinuxSystem
import Netlink
import PodNetwork
import StateDirectory
import SwiftProtobuf
import TestSupport
import Testing

@testable import ShimFront

@Suite(.timeLimit(.minutes(1))) struct DeleteTests {
    private let node: Node
    /// containerd kills `delete` after that time (`io.containerd.timeout.shim.cleanup`).
    private static let limit: Int64 = 5000

    init() throws { node = try Node() }

    /// A started sandbox `pod` with a container `vm`.
    private func start(networkNamespace: String? = nil) async throws {
        try node.sandboxBundle("pod", networkNamespace: networkNamespace)
        try node.containerBundle("vm", of: "pod")
        try await node.start("pod")
        try await node.start("vm")
    }

    @Test func theAnswerIsTheExitOfAKilledProcess() async throws {
        try await start()
        try await node.kill("pod")
        let before = time(nil)
        let (response, _) = try await node.delete("pod")
        #expect(response.pid == 0 && response.exitStatus == 137)
        #expect(response.exitedAt.seconds >= before && response.exitedAt.seconds <= time(nil))
    }

    @Test func idempotent() async throws {
        try await start()
        try await node.kill("pod")
        for _ in 0..<3 {
            #expect(try await node.delete("pod").response.exitStatus == 137)
            #expect(node.leftovers == [])
        }
    }

    /// containerd runs it for whatever it finds, bundle or not.
    @Test func anUnknownIdIsNoError() async throws {
        #expect(try await node.delete("never").response.exitStatus == 137)
        try node.bundle("bad", "{")
        #expect(try await node.delete("bad").response.exitStatus == 137)
        #expect(!File.exists(node.root) || node.leftovers == [])
    }

    @Test func everythingThatTheRecordNamesGoes() async throws {
        let holder = try Idle { $0.newNetworkNamespace = true }
        let path = "/proc/\(holder.process.pid)/ns/net"
        try await start(networkNamespace: path)
        let hierarchy = try CgroupHierarchy.discover()
        let cgroups = ["/slipway-test-\(getpid())-delete", "/slipway-test-\(getpid())-delete/vm"]
        let groups = try cgroups.map { hierarchy.group(at: try CgroupPath($0)) }
        for group in groups { try group.create() }
        defer { for group in groups.reversed() { try? group.remove() } }
        let emulator = try Idle()
        let helper = try Idle { $0.cgroupProcs = groups[1].processFiles }
        let user = try UserClaim.take(from: 250_000...250_009, for: node.state("pod"), root: node.root)
        try node.changeRecord("pod") { record in
            record.cgroups = cgroups
            record.machine = SandboxRecord.Machine(container: "vm", containerName: "vm", user: user.id)
            record.machine?.process = try SandboxRecord.ProcessIdentity(pid: emulator.process.pid)
        }
        let namespace = try NetworkNamespace(path: path)
        try bind(in: namespace)
        #expect(try names(in: namespace).contains("slw0"))

        try await node.kill("pod")
        let (_, milliseconds) = try await node.delete("pod")

        #expect(milliseconds < Self.limit)
        #expect(emulator.hasEnded && helper.hasEnded && !holder.hasEnded)
        #expect(groups.allSatisfy { !$0.exists })
        #expect(try names(in: namespace) == ["eth0", "lo", "p0"])
        #expect(try namespace.runAndWait { try RTNetlink().qdiscs().filter(\.isIngress) }.isEmpty)
        #expect(node.leftovers == [])
    }

    /// eth0 joined to a TAP, as a sandbox leaves it.
    private func bind(in namespace: NetworkNamespace) throws {
        try namespace.runAndWait {
            let netlink = try RTNetlink()
            try netlink.createVeth("eth0", LinkChange(mtu: 1500), peer: "p0", LinkChange(mtu: 1500))
            for name in ["eth0", "p0"] { try netlink.changeLink(name, LinkChange(up: true)) }
            let plan = try NetworkPlan(reading: netlink, resolvConf: "")
            for interface in plan.interfaces where interface.link == "eth0" {
                try NetworkBinding().bind(interface, owner: 250_000)
            }
        }
    }

    private func names(in namespace: NetworkNamespace) throws -> [String] {
        try namespace.runAndWait { try RTNetlink().links().map(\.name).sorted() }
    }

    /// The namespace's file is a plain one, or gone, once containerd has removed the network.
    @Test(arguments: [true, false])
    func theNetworkNamespaceMayBeGone(plain: Bool) async throws {
        try await start()
        let path = node.directory("netns")
        if plain { try node.directory.write("netns", "") }
        try node.changeRecord("pod") { $0.networkNamespace = path }
        try await node.kill("pod")
        try await node.delete("pod")
        #expect(node.leftovers == [])
    }

    // MARK: Scope

    @Test func aContainerOfALivingSandboxRemovesNothing() async throws {
        try await start()
        let emulator = try Idle()
        try node.changeRecord("pod") { record in
            record.machine = SandboxRecord.Machine(container: "vm", containerName: "vm", user: 250_000)
            record.machine?.process = try SandboxRecord.ProcessIdentity(pid: emulator.process.pid)
        }
        let record = try node.record("pod")
        let (response, milliseconds) = try await node.delete("vm")
        #expect(response.exitStatus == 137 && milliseconds < 1000)
        #expect(try node.record("pod") == record && !emulator.hasEnded)
        #expect(try node.process("pod").waitForEnd(milliseconds: 0) == false)
        _ = try UnixSocket.connect(node.state("pod").socket)
    }

    /// Whether its parent has reaped it already or not.
    @Test(arguments: [true, false])
    func theMachineOfADeadSandboxGoesWithItsContainer(reaped: Bool) async throws {
        try await start()
        let emulator = try Idle()
        try node.changeRecord("pod") { record in
            record.machine = SandboxRecord.Machine(container: "vm", containerName: "vm", user: 250_000)
            record.machine?.process = try SandboxRecord.ProcessIdentity(pid: emulator.process.pid)
        }
        let process = try node.process("pod")
        try process.signal(SIGKILL)
        #expect(try process.waitForEnd(milliseconds: 5000))
        if reaped { _ = try process.wait() }
        try await node.delete("vm")
        #expect(emulator.hasEnded && node.leftovers == [])
        try await node.delete("pod")
        if !reaped { _ = try process.wait() }
    }

    @Test func anotherContainerOfADeadSandboxRemovesNothing() async throws {
        try await start()
        try node.containerBundle("other", of: "pod")
        try node.changeRecord("pod") {
            $0.machine = SandboxRecord.Machine(container: "vm", containerName: "vm", user: 250_000)
        }
        try await node.kill("pod")
        try await node.delete("other")
        #expect(File.exists(node.state("pod").record))
    }

    @Test func otherSandboxesAndNamespacesAreLeftAlone() async throws {
        try await start()
        try node.sandboxBundle("pod2")
        try await node.start("pod2")
        try await node.delete("pod", namespace: "moby")
        #expect(try node.process("pod").waitForEnd(milliseconds: 0) == false)
        try await node.kill("pod")
        try await node.delete("pod")
        _ = try UnixSocket.connect(node.state("pod2").socket)
        #expect(try node.record("pod2").id == "pod2")
    }

    @Test func aReusedProcessNumberIsNotKilled() async throws {
        try await start()
        let stranger = try Idle()
        try await node.kill("pod")
        try node.changeRecord("pod") { record in
            var identity = try SandboxRecord.ProcessIdentity(pid: stranger.process.pid)
            identity.startTime -= 1
            record.process = identity
            record.machine = SandboxRecord.Machine(container: "vm", containerName: "vm", user: 250_000)
            record.machine?.process = identity
        }
        try await node.delete("pod")
        #expect(!stranger.hasEnded && node.leftovers == [])
    }

    // MARK: Time

    /// The process has been told to end by Shutdown, and hangs.
    @Test func aSandboxThatDoesNotEndIsEnded() async throws {
        try await start()
        let process = try node.process("pod")
        let (_, milliseconds) = try await node.delete("pod")
        #expect(milliseconds < Self.limit)
        #expect(try process.waitForEnd(milliseconds: 0) && node.leftovers == [])
        _ = try process.wait()
    }

    /// The process is on its way out, as after Shutdown: nothing is taken from under it.
    @Test func aSandboxThatEndsIsWaitedFor() async throws {
        try await start()
        let process = try node.process("pod")
        async let deleted = node.delete("pod")
        try process.signal(SIGTERM)
        let (_, milliseconds) = try await deleted
        #expect(milliseconds < 2000 && node.leftovers == [])
        _ = try process.wait()
    }
}

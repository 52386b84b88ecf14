import CLinux
import CNI
import Foundation
import LinuxSystem
import Netlink
import PodNetwork
import Sandbox
import StateDirectory
import Synchronization
import TestSupport
import Testing

@testable import LibvirtMachine

/// The follower above real links; needs root.
@Suite(.serialized, .timeLimit(.minutes(3))) struct NetworkFollowerTests {
    /// A pod with eth0, a veth whose other end is in a namespace beside it, and a machine that is followed.
    private final class Followed: Sendable {
        let pod: NetworkNamespace
        let beside: NetworkNamespace
        let machine: FakeMachine
        let network: MachineNetwork
        private let follower: NetworkFollower
        private let directory: TemporaryDirectory
        private let log: Log

        /// Who has no address on a link knows no neighbours there.
        static let otherEnd = "ip link set p0 up; ip addr add 10.88.0.1/24 dev p0"

        final class Log: Sendable {
            let lines = Mutex<[String]>([])
            func callAsFunction(_ line: String) { lines.withLock { $0.append(line) } }
        }

        /// - Parameters:
        ///   - setUp: run in the pod before anybody looks.
        ///   - stale: addresses that the other end believes somewhere else.
        init(
            settings: String = "", pace: NetworkFollower.Pace = NetworkFollower.Pace(), setUp: String = "",
            stale: [String] = []
        ) async throws {
            (pod, beside) = (try await Self.namespace(), try await Self.namespace())
            let directory = try TemporaryDirectory()
            let state = StateDirectory(path: directory("state"))
            try File.makeDirectory(state.path, mode: 0o700)
            let (log, file) = (Log(), beside.descriptor)
            try await pod.run {
                try RTNetlink().createVeth("eth0", LinkChange(), peer: "p0", LinkChange(), peerNamespace: file)
            }
            try run(Self.otherEnd, in: beside)
            try run("ip link set lo up; ip link set eth0 up; \(setUp)", in: pod)
            for address in stale { try Self.mislead(beside, about: address) }
            let request = NetworkRequest(settings: try InterfaceSettings.parse(settings))
            let files = NodeNetworkFiles(
                devices: directory("devices"),
                progress: AttachmentProgress(
                    attachments: Attachments(directory: directory("attachments")),
                    results: ResultCache(directory("results")), sandbox: "abc"))
            (machine, network, follower) = try await pod.run {
                let monitor = try NetworkMonitor.ofPod()
                let network = try MachineNetwork(
                    request, namespace: nil, hostName: "a", directory: state, log: { log($0) })
                let machine = try FakeMachine(network)
                try network.apply(machine.planned)
                let follower = try NetworkFollower(
                    machine, network, request, files: files, monitor: monitor, seed: nil, directory: state, pace: pace,
                    log: { log($0) }, tell: { _, _ in })
                return (machine, network, follower)
            }
            (self.directory, self.log) = (directory, log)
        }

        static func namespace() async throws -> NetworkNamespace {
            try await LinuxSystem.Thread.run("unshare") {
                try check(slipway_unshare(0x4000_0000), "unshare")
                return try NetworkNamespace(path: "/proc/thread-self/ns/net")
            }
        }

        private static func mislead(_ namespace: NetworkNamespace, about address: String) throws {
            try run("ip neigh replace \(address) lladdr 02:00:00:00:00:99 dev p0 nud stale", in: namespace)
        }

        /// The other end believes an address somewhere else.
        func mislead(about address: String) throws { try Self.mislead(beside, about: address) }

        /// Whether the other end comes to know where an address is.
        func isTold(_ address: String) async throws -> Bool {
            try await eventually {
                try !run("ip neigh show \(address) dev p0", in: self.beside).contains("02:00:00:00:00:99")
            }
        }

        var report: NetworkReport? { try? NetworkReport(readingFrom: StateDirectory(path: directory("state")).network) }

        func state(of link: String) -> InterfaceReport.State? {
            report?.interfaces.first { $0.link == link }?.state
        }

        /// What it has said, for whoever reads why a test failed.
        var story: String { log.lines.withLock { $0.joined(separator: "\n") } + "\n\(machine.events)" }

        func has(_ event: FakeMachine.Event) async -> Bool { await eventually { self.machine.events.contains(event) } }

        /// A path for a socket of a switch's.
        var socket: String { directory("switch.sock") }

        /// Describes a device as a plugin does.
        func describe(_ link: String, _ device: String) throws {
            try directory.write("devices/net-abc_\(link)", device)
        }

        /// Whether nothing was done beyond a few looks for so long.
        func isQuiet(for duration: Duration, looks limit: Int) async throws -> Bool {
            let before = machine.looks
            return await !eventually(within: duration) { machine.looks - before > limit }
        }

        func end() async throws {
            follower.end()
            try await pod.run { [network] in try network.remove() }
        }
    }

    @Test func aLinkComesAndGoes() async throws {
        let followed = try await Followed()
        try run(
            "ip link add net1 type veth peer name net1p; ip link set net1p up; ip link set net1 up", in: followed.pod)
        #expect(await followed.has(.plugged("net1")), "\(followed.story)")
        try run("ip link del net1", in: followed.pod)
        #expect(await followed.has(.unplugged(1)), "\(followed.story)")
        try await followed.end()
    }

    /// Neighbours that believe an address elsewhere are told where it is: at the start, and when it comes to a link that the
    /// guest has, whatever joins them.
    @Test(arguments: ["", "eth0: binding=macvtap"]) func neighboursAreTold(settings: String) async throws {
        let followed = try await Followed(
            settings: settings, setUp: "ip addr add 10.88.0.5/24 dev eth0", stale: ["10.88.0.5"])
        #expect(try await followed.isTold("10.88.0.5"), "\(followed.story)")
        try followed.mislead(about: "10.88.0.6")
        try run("ip addr add 10.88.0.6/24 dev eth0", in: followed.pod)
        #expect(try await followed.isTold("10.88.0.6"), "\(followed.story)")
        try followed.mislead(about: "10.88.0.5")
        try run("ip link del p0", in: followed.beside)
        let pod = followed.pod.descriptor
        try await followed.beside.run {
            try RTNetlink().createVeth("p0", LinkChange(), peer: "eth0", LinkChange(), peerNamespace: pod)
        }
        try run(Followed.otherEnd, in: followed.beside)
        try followed.mislead(about: "10.88.0.5")
        try run("ip addr add 10.88.0.5/24 dev eth0; ip link set eth0 up", in: followed.pod)
        #expect(try await followed.isTold("10.88.0.5"), "\(followed.story)")
        try await followed.end()
    }

    /// What failed and is not wanted any more is put right once and forgotten.
    @Test func aStepThatFailedAndWasTakenBack() async throws {
        var pace = NetworkFollower.Pace()
        pace.retry = (300, 1000)
        let followed = try await Followed(pace: pace)
        followed.machine.fail(["carrier"])
        try run("ip link set p0 down", in: followed.beside)
        #expect(await eventually { if case .failed? = followed.state(of: "eth0") { true } else { false } })
        try run("ip link set p0 up", in: followed.beside)
        #expect(try await followed.isQuiet(for: .seconds(1), looks: 40), "\(followed.story)")
        followed.machine.fail([])
        let isUp = await eventually {
            followed.state(of: "eth0") == .up && followed.machine.events.last == .carrier(0, true)
        }
        #expect(isUp, "\(followed.story)")
        try await followed.end()
    }

    /// A link that is switched off and cannot be plugged in waits for its next try, and nothing runs meanwhile.
    @Test func aPlugThatFails() async throws {
        let followed = try await Followed()
        followed.machine.fail(["net1"])
        try run("ip link add net1 type veth peer name net1p", in: followed.pod)
        #expect(await eventually { if case .failed? = followed.state(of: "net1") { true } else { false } })
        // Something else happens meanwhile.
        try run("ip addr add 10.9.9.9/24 dev lo", in: followed.pod)
        #expect(try await followed.isQuiet(for: .milliseconds(800), looks: 40), "\(followed.story)")
        followed.machine.fail([])
        #expect(await followed.has(.plugged("net1")), "\(followed.story)")
        try await followed.end()
    }

    /// A link that was in another namespace for a moment has lost what handed its frames over.
    @Test func aLinkLeavesAndComesBack() async throws {
        let followed = try await Followed()
        #expect(await eventually { followed.state(of: "eth0") == .up })
        let index = try await followed.pod.run { try RTNetlink().links().first { $0.name == "eth0" }?.index }
        // Where no link has its number, so that it keeps it.
        let away = try await Followed.namespace()
        for (from, to) in [(followed.pod, away), (away, followed.pod)] {
            try run("ip link set eth0 netns /proc/\(getpid())/fd/\(to.descriptor.raw)", in: from)
        }
        try run("ip link set eth0 up", in: followed.pod)
        #expect(
            try await eventually {
                try await followed.pod.run {
                    let netlink = try RTNetlink()
                    let link = try netlink.links().first { $0.name == "eth0" }
                    return try link?.index == index
                        && netlink.qdiscs().contains { $0.isIngress && $0.linkIndex == index }
                }
            }, "\(followed.story)")
        let hasCarrier = await eventually {
            followed.state(of: "eth0") == .up && followed.machine.events.last == .carrier(0, true)
        }
        #expect(hasCarrier, "\(followed.story)")
        #expect(!followed.machine.events.contains(.unplugged(0)), "\(followed.story)")
        try await followed.end()
    }

    /// Renamed and named back: nothing but the carrier was taken.
    @Test func aLinkIsRenamedForAMoment() async throws {
        let followed = try await Followed()
        #expect(await eventually { followed.state(of: "eth0") == .up })
        try run("ip link set eth0 down; ip link set eth0 name x; ip link set x up", in: followed.pod)
        #expect(await followed.has(.carrier(0, false)), "\(followed.story)")
        try run("ip link set x down; ip link set x name eth0; ip link set eth0 up", in: followed.pod)
        #expect(await eventually { followed.machine.events.last == .carrier(0, true) }, "\(followed.story)")
        try await followed.end()
    }

    @Test func aLinkMadeAnewKeepsTheDevice() async throws {
        let followed = try await Followed()
        let make = "ip link add net1 type veth peer name net1p; ip link set net1p up; ip link set net1 up"
        try run(make, in: followed.pod)
        #expect(await followed.has(.plugged("net1")), "\(followed.story)")
        try run("ip link del net1; \(make)", in: followed.pod)
        let index = try await followed.pod.run { try RTNetlink().links().first { $0.name == "net1" }?.index }
        #expect(await eventually { followed.network.plan.interfaces.contains { $0.linkIndex == index } })
        #expect(followed.machine.events.filter { $0 == .plugged("net1") }.count == 1, "\(followed.story)")
        #expect(!followed.machine.events.contains(.unplugged(1)))
        try await followed.end()
    }

    /// A switch that does not answer takes three seconds, and an agent one each time.
    @Test func nobodyWaitsForWhoIsSilent() async throws {
        let followed = try await Followed()
        followed.machine.fail(["agent"])
        let listener = try UnixSocket.listen(followed.socket)
        try followed.describe(
            "net9",
            """
            {"type": "vhost-user", "version": "1.1.0", "vhost-user": {"mode": "client", "path": "\(followed.socket)"}}
            """)
        #expect(try listener.wait(for: Int16(POLLIN), milliseconds: 10_000), "\(followed.story)")
        let begin = ContinuousClock.now
        for name in ["net1", "net2", "net3"] {
            try run("ip link add \(name) type veth peer name \(name)p; ip link set \(name) up", in: followed.pod)
            #expect(await followed.has(.plugged(name)), "\(followed.story)")
        }
        #expect(ContinuousClock.now - begin < .seconds(2), "\(followed.story)")
        let reason = "has a switch behind it that does not answer"
        #expect(await eventually { followed.state(of: "net9")?.reason?.contains(reason) == true }, "\(followed.story)")
        try await followed.end()
    }

    /// A smaller MTU and back is the link's affair; a larger one than the device was made with takes another device.
    @Test func anMTUThatGrows() async throws {
        let followed = try await Followed()
        func mtu(of link: String) async throws -> UInt32? {
            try await followed.pod.run { try RTNetlink().links().first { $0.name == link }?.mtu }
        }
        for size in [1400, 1500] as [UInt32] {
            try run("ip link set eth0 mtu \(size)", in: followed.pod)
            #expect(try await eventually { try await mtu(of: "slw0") == size }, "\(followed.story)")
        }
        #expect(!followed.machine.events.contains(.unplugged(0)))
        try run("ip link set eth0 mtu 9000", in: followed.pod)
        #expect(await followed.has(.plugged("eth0")), "\(followed.story)")
        #expect(try await mtu(of: "slw0") == 9000)
        #expect(followed.network.plan.interfaces.map(\.deviceMTU) == [9000])
        try await followed.end()
    }

    /// Addresses and MTU of a link with a macvtap over it.
    @Test func aMacvtapsChanges() async throws {
        let followed = try await Followed(settings: "eth0: binding=macvtap")
        try run("ip addr add 10.88.0.5/24 dev eth0; ip link set eth0 mtu 1400", in: followed.pod)
        #expect(
            await eventually {
                followed.network.plan.interfaces.contains { $0.addresses.count == 1 && $0.mtu == 1400 }
            }, "\(followed.story)")
        #expect(await eventually { followed.state(of: "eth0") == .up }, "\(followed.story)")
        try run("ip addr del 10.88.0.5/24 dev eth0", in: followed.pod)
        #expect(await eventually { followed.network.plan.interfaces.allSatisfy { $0.addresses.isEmpty } })
        #expect(try await followed.isQuiet(for: .milliseconds(500), looks: 25), "\(followed.story)")
        #expect(!followed.story.contains("tried again"), "\(followed.story)")
        let links = try run("ip -o link", in: followed.pod)
        #expect(!links.contains("slwd") && !links.contains("slwp"), "\(links)")
        try await followed.end()
    }
}

private struct ScriptFailure: Error {
    let script: String
    let output: String
}

/// Runs a script in a namespace.
@discardableResult
private func run(_ script: String, in namespace: NetworkNamespace) throws -> String {
    var spawn = Spawn("/bin/sh", ["-ec", script])
    spawn.networkNamespace = namespace.descriptor
    let (status, output) = try spawn.run(milliseconds: 10_000)
    guard status == .exited(0) else { throw ScriptFailure(script: script, output: output) }
    return output
}

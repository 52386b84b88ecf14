import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import Netlink
import PodNetwork
import StateDirectory
import TestSupport
import Testing

/// Links that come to a running pod and leave it, as whoever changes the pod's network namespace makes them.
@Suite(.serialized, .timeLimit(.minutes(20))) struct HotplugTests {
    /// A pod's network namespace, and one for the far ends of its veths.
    struct Wires {
        let near: Place
        let far: String

        init(_ pod: Pod) async throws {
            near = try Place.links(of: pod)
            far = "slipway-far-\(pod.id.prefix(8))"
            let made = try Spawn("/usr/sbin/ip", ["netns", "add", far]).run()
            try #require(made.status == .exited(0), "\(made)")
        }

        /// Changes the pod's network namespace.
        func change(_ script: String) async throws {
            let said = try await near.run("set -e\n\(script)")
            try #require(said.isEmpty, "\(script): \(said)")
        }

        func remove() throws { _ = try Spawn("/usr/sbin/ip", ["netns", "delete", far]).run() }

        /// A script that makes a link. It has to be switched on last, as plugins do it.
        func adding(_ name: String, mac: Int) -> String {
            """
            ip link add \(name) address 02:53:4c:48:00:\(String(0x100 + mac & 0xff, radix: 16).suffix(2)) \
            type veth peer name \(name) netns /run/netns/\(far)
            ip -n \(far) link set dev \(name) up
            ip link set dev \(name) up
            """
        }
    }

    /// Everything that a NIC may leave behind.
    private struct Census: Equatable {
        var ownLinks: [String]
        var ingressQdiscs: Int
        var tapsInQEMU: Int
        var descriptors: Int
        var namespaceMounts: Int
        var guestNICs: [String]
        var reported: [String]
    }

    private func census(_ pod: Pod, _ near: Place) async throws -> Census {
        let record = try pod.record
        let qemu = try #require(record.machine?.process?.pid)
        let sandbox = try #require(record.process?.pid)
        let namespace = try #require(record.networkNamespace)
        let links = try await near.run("ip -o link").split(separator: "\n").compactMap { line in
            line.split(separator: " ").dropFirst().first.map { String($0.prefix { $0 != ":" && $0 != "@" }) }
        }
        let qdiscs = try await near.run("tc qdisc show").components(of: "qdisc ingress")
        let guest = try await Place.guest(pod).run("for i in /sys/class/net/*/device; do echo $i; done")
        return Census(
            ownLinks: links.filter { $0.hasPrefix("slw") }.sorted(), ingressQdiscs: qdiscs,
            tapsInQEMU: try File.list("/proc/\(qemu)/fd").count { fd in
                link("/proc/\(qemu)/fd/\(fd)").contains("/net/tun")
            },
            descriptors: try File.list("/proc/\(sandbox)/fd").count,
            namespaceMounts: try File.text("/proc/self/mountinfo", limit: 1 << 24).components(of: namespace),
            guestNICs: guest.split(separator: "\n").map(String.init),
            reported: try present(pod) ?? [])
    }

    private func link(_ path: String) -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = readlink(path, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : ""
    }

    /// The links whose NICs the guest has, by the sandbox's report; nil while something is under way.
    private func present(_ pod: Pod) throws -> [String]? {
        let report = try NetworkReport(readingFrom: pod.state.network)
        let states = try #require(report).interfaces
        guard states.allSatisfy({ $0.state == .up || $0.state == .down }) else { return nil }
        return states.map(\.link)
    }

    private func expect(
        _ names: Set<String>, in pod: Pod, _ what: String, _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let settled = try await eventually(within: .seconds(60)) {
            try await Task.sleep(for: .milliseconds(20))
            return try present(pod).map(Set.init) == names.union(["eth0"])
        }
        let report = (try? File.text(pod.state.network)) ?? "none"
        let log = ((try? File.text(pod.state.log)) ?? "").suffix(1500)
        #expect(settled, "\(what): \(names) were expected; \(report) \(log)", sourceLocation: location)
        guard settled else { throw SystemError("settle", what, code: ETIMEDOUT) }
    }

    @Test func aLinkBecomesANICAndLeaves() async throws {
        try await withPod("plugged", image: "slipway.local/net-vnf:latest") { pod in
            await pod.expect("tiny-vnf: ready")
            let wires = try await Wires(pod)
            defer { try? wires.remove() }
            // The agent is there, and says what the guest has.
            let before = try await census(pod, wires.near)
            let events = try Node.directory + "/events-of-plugged"
            let listener = try Spawn(
                "/bin/sh", ["-c", "exec ctr --address \"$0\" events >\"$1\"", try Node.socket, events]
            ).start()
            defer {
                try? listener.signal(SIGKILL)
                _ = try? listener.wait()
            }
            let begin = ContinuousClock.now
            try await wires.change(wires.adding("net1", mac: 1))
            await pod.expect("02:53:4c:48:00:01")
            print("a link became a NIC of the guest after \(ContinuousClock.now - begin)")
            try await expect(["net1"], in: pod, "one link")
            let during = try await census(pod, wires.near)
            #expect(during.guestNICs.count == 2 && during.tapsInQEMU == before.tapsInQEMU + 1, "\(during)")
            let leaving = ContinuousClock.now
            try await wires.change("ip link delete net1")
            await pod.expect("net-vnf: remove")
            print("a link that vanished was no NIC of the guest any more after \(ContinuousClock.now - leaving)")
            try await expect([], in: pod, "no link")
            #expect(await eventually(within: .seconds(20)) { (try? await census(pod, wires.near)) == before })
            var told = ""
            let heard = await eventually(within: .seconds(5)) {
                told = (try? File.text(events, limit: 1 << 20)) ?? ""
                return told.contains("/slipway/nic-plugged {") && told.contains("/slipway/nic-unplugged {")
            }
            #expect(heard, "containerd's events: \(told)")
        }
    }

    /// 200 links come and go: one after another under one name, several at once, some before the guest has them, some made
    /// anew before the guest has let them go, and containerd is killed meanwhile.
    @Test func twoHundredLinksComeAndGo() async throws {
        let cycles = getenv("SLIPWAY_CYCLES").flatMap { Int(String(cString: $0)) } ?? 200
        try await withPod("hotplug", image: "slipway.local/net-vnf:latest") { pod in
            await pod.expect("tiny-vnf: ready")
            let wires = try await Wires(pod)
            defer { try? wires.remove() }
            let before = try await census(pod, wires.near)
            let qemu = try pod.record.machine?.process
            var random = SeededGenerator(2026)
            var (made, round) = (0, 0)
            var kinds: [String: Int] = [:]
            while made < cycles {
                round += 1
                let names = (1...8).map { "net\($0)" }
                switch Int.random(in: 0..<5, using: &random) {
                case 0:
                    kinds["eight at once", default: 0] += 1
                    try await wires.change(
                        names.enumerated().map { wires.adding($1, mac: $0) }.joined(separator: "\n"))
                    try await expect(Set(names), in: pod, "round \(round), eight at once")
                    try await wires.change(names.map { "ip link delete \($0)" }.joined(separator: "\n"))
                    made += 8
                case 1:
                    kinds["gone in the middle", default: 0] += 1
                    try await wires.change(wires.adding("net1", mac: round))
                    try await Task.sleep(for: .milliseconds(Int.random(in: 0...600, using: &random)))
                    try await wires.change("ip link delete net1")
                    made += 1
                case 2:
                    kinds["made anew at once", default: 0] += 1
                    try await wires.change(wires.adding("net1", mac: 1))
                    try await expect(["net1"], in: pod, "round \(round), before it is made anew")
                    try await wires.change("ip link delete net1\n" + wires.adding("net1", mac: 1))
                    try await Task.sleep(for: .milliseconds(Int.random(in: 0...1200, using: &random)))
                    try await expect(["net1"], in: pod, "round \(round), made anew")
                    try await wires.change("ip link delete net1")
                    made += 2
                case 3:
                    kinds["two by turns", default: 0] += 1
                    try await wires.change(wires.adding("net1", mac: 1))
                    try await expect(["net1"], in: pod, "round \(round), the first")
                    try await wires.change("ip link delete net1\n" + wires.adding("net2", mac: 2))
                    try await expect(["net2"], in: pod, "round \(round), the second")
                    try await wires.change("ip link delete net2")
                    made += 2
                default:
                    kinds["one", default: 0] += 1
                    try await wires.change(wires.adding("net1", mac: round))
                    try await expect(["net1"], in: pod, "round \(round), one")
                    try await wires.change("ip link delete net1")
                    made += 1
                }
                if round % 20 == 10 {
                    kinds["containerd was killed", default: 0] += 1
                    try Node.script("kill-containerd")
                    try Node.script("start-containerd")
                }
                // Now and then the next one comes before the last has left.
                if Bool.random(using: &random) { try await expect([], in: pod, "the end of round \(round)") }
            }
            try await expect([], in: pod, "the end")
            print("\(made) links in \(round) rounds: \(kinds)")
            #expect(try pod.record.machine?.process == qemu, "the same QEMU")
            try await Node.connected { runtime in
                // A connection that has not seen the rounds.
                let pod = Pod(runtime, adopting: pod)
                var after = before
                let same = try await eventually(within: .seconds(30)) {
                    after = try await census(pod, wires.near)
                    return after == before
                }
                #expect(same, "before: \(before); after: \(after)")
                // It fails where the guest's NICs and what was planned disagree.
                _ = try Node.slipwayItself(["verify", "hotplug"])
            }
        }
    }
}

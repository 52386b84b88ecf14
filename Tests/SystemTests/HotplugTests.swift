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
    /// A pod's network namespace, and one for the far ends of its veths and what is below its macvlans.
    struct Wires {
        let near: Place
        let far: String
        private let namespace: String

        /// - Parameter name: of one of several for a pod.
        init(_ pod: Pod, _ name: String = "far") async throws {
            near = try Place.links(of: pod)
            far = "slipway-\(name)-\(pod.id.prefix(8))"
            namespace = try #require(try pod.record.networkNamespace)
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
            ip link add \(name) address \(Self.address(mac)) type veth peer name \(name) netns /run/netns/\(far)
            ip -n \(far) link set dev \(name) up
            ip link set dev \(name) up
            """
        }

        /// The same with a macvlan over a link that is not the pod's.
        func addingMacvlan(_ name: String, mac: Int) -> String {
            """
            ip -n \(far) link add name below type veth peer name beyond 2>/dev/null || true
            for link in below beyond; do ip -n \(far) link set dev $link up; done
            ip -n \(far) link add link below name \(name) address \(Self.address(mac)) netns \(namespace) type macvlan
            ip link set dev \(name) up
            """
        }

        static func address(_ mac: Int) -> String {
            "02:53:4c:48:00:\(String(0x100 + mac & 0xff, radix: 16).suffix(2))"
        }
    }

    /// Everything that a NIC may leave behind.
    private struct Census: Equatable {
        var ownLinks: [String]
        var ingressQdiscs: Int
        var tapsInQEMU: Int
        var descriptors: Int
        /// Of the pod's network namespace, here and where the sandbox is.
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
            namespaceMounts: try ["self", "\(sandbox)"].reduce(0) { sum, process in
                sum + (try File.text("/proc/\(process)/mountinfo", limit: 1 << 24).components(of: namespace))
            },
            guestNICs: guest.split(separator: "\n").map(String.init),
            reported: try present(pod) ?? [])
    }

    private func link(_ path: String) -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = readlink(path, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : ""
    }

    /// What containerd tells while it is listened to.
    private struct Events {
        private let file: String
        private let listener: LinuxSystem.Process

        init(of pod: String) throws {
            file = try Node.directory + "/events-of-\(pod)"
            listener = try Spawn(
                "/bin/sh", ["-c", "exec ctr --address \"$0\" events >\"$1\"", try Node.socket, file]
            ).start()
        }

        var text: String { (try? File.text(file, limit: 1 << 20)) ?? "" }

        func end() {
            try? listener.signal(SIGKILL)
            _ = try? listener.wait()
        }
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
            let events = try Events(of: "plugged")
            defer { events.end() }
            try await wires.change(wires.adding("net1", mac: 1))
            await pod.expect("02:53:4c:48:00:01")
            try await expect(["net1"], in: pod, "one link")
            let during = try await census(pod, wires.near)
            #expect(during.guestNICs.count == 2 && during.tapsInQEMU == before.tapsInQEMU + 1, "\(during)")
            // Its agent says what the guest calls them.
            var names: [String?] = []
            let areNamed = try await eventually(within: .seconds(20)) {
                try await Task.sleep(for: .milliseconds(50))
                names = try NetworkReport(readingFrom: pod.state.network)?.interfaces.map(\.guestName) ?? []
                return names == ["eth0", "eth1"]
            }
            #expect(areNamed, "\(names) \((try? File.text(pod.state.log)) ?? "")")
            let list = try Node.slipwayItself(["net", "ls", "plugged", "-o", "wide"])
            #expect(list.split { $0.isWhitespace }.joined(separator: " ").contains("0000:02:00.0 eth1"), "\(list)")
            let leaving = ContinuousClock.now
            try await wires.change("ip link delete net1")
            await pod.expect("net-vnf: remove")
            print("a link that vanished was no NIC of the guest any more after \(ContinuousClock.now - leaving)")
            try await expect([], in: pod, "no link")
            #expect(await eventually(within: .seconds(20)) { (try? await census(pod, wires.near)) == before })
            let heard = await eventually(within: .seconds(5)) {
                events.text.contains("/slipway/nic-plugged {") && events.text.contains("/slipway/nic-unplugged {")
            }
            #expect(heard, "containerd's events: \(events.text)")
        }
    }

    /// Guests that are busy and machines that are slow take their time; the best of several is what it takes.
    @Test func aPlugTakesLessThanASecond() async throws {
        try await withPod("quick", image: "slipway.local/net-vnf:latest") { pod in
            await pod.expect("tiny-vnf: ready")
            let wires = try await Wires(pod)
            defer { try? wires.remove() }
            var times: [Duration] = []
            for mac in 1...5 {
                let begin = ContinuousClock.now
                try await wires.change(wires.adding("net1", mac: mac))
                await pod.expect("net-vnf: add eth1 \(Wires.address(mac))")
                times.append(ContinuousClock.now - begin)
                try await wires.change("ip link delete net1")
                await pod.expect("net-vnf: remove", count: mac)
                try await expect([], in: pod, "after plug \(mac)")
            }
            print("links became NICs of the guest after \(times)")
            #expect(try #require(times.min()) < .seconds(1), "\(times)")
        }
    }

    /// A network is swapped under a NIC: its link is deleted and made anew under its name, with the far end elsewhere.
    @Test func aSwappedNetworkKeepsTheGuestsDevice() async throws {
        try await withPod("swapped", image: "slipway.local/net-vnf:latest") { pod in
            await pod.expect("tiny-vnf: ready")
            let (one, other) = (try await Wires(pod, "one"), try await Wires(pod, "other"))
            defer {
                try? one.remove()
                try? other.remove()
            }
            let guest = Place.guest(pod)
            /// The far end has the address, and the guest's frames reach it and no other.
            func expectOnly(_ address: String, at wires: Wires, _ what: String) async throws {
                try await wires.change("ip -n \(wires.far) addr add \(address)/24 dev net1")
                var said = ""
                let isReached = try await eventually(within: .seconds(20)) {
                    said = try await guest.run("ping -c 1 -W 1 \(address)")
                    return said.contains(" 0% packet loss")
                }
                #expect(isReached, "\(what): \(said) \((try? File.text(pod.state.log))?.suffix(1000) ?? "")")
                let others = ["192.0.2.1", "192.0.2.3", "192.0.2.4"].filter { $0 != address }
                let silent = try await guest.run(others.map { "ping -c 1 -W 1 \($0) &" }.joined() + "wait")
                #expect(silent.components(of: "100% packet loss") == others.count, "\(what): \(silent)")
            }
            try await one.change(one.adding("net1", mac: 1))
            await pod.expect("net-vnf: add eth1 \(Wires.address(1))")
            try await guest.run("ip link set dev eth1 up; ip addr add 192.0.2.2/24 dev eth1")
            try await expectOnly("192.0.2.1", at: one, "before")
            let nics = try await guest.nics()

            try await one.change("ip link delete net1\n" + other.adding("net1", mac: 1))
            try await expectOnly("192.0.2.3", at: other, "with the address of before")
            // The new link has an address of its own, and gets the guest's.
            try await one.change("ip link delete net1\n" + one.adding("net1", mac: 9))
            try await expectOnly("192.0.2.4", at: one, "with another address")
            #expect(try await one.near.mac("net1") == Wires.address(1))

            #expect(try await guest.nics() == nics && nics.last == "0000:02:00.0 eth1 \(Wires.address(1))", "\(nics)")
            #expect(pod.output.components(of: "net-vnf: remove") == 0, "\(pod.output.suffix(400))")
            #expect(pod.output.components(of: "net-vnf: add eth1") == 1, "\(pod.output.suffix(400))")
            _ = try Node.slipwayItself(["verify", "swapped"])
        }
    }

    /// The guest stays as it was, and whoever looks is told why, everywhere.
    @Test func aPlugThatFailsIsSaidAndTriedAgain() async throws {
        try await withPod("failing", image: "slipway.local/net-vnf:latest") { pod in
            await pod.expect("tiny-vnf: ready")
            let wires = try await Wires(pod)
            defer { try? wires.remove() }
            let nics = try await Place.guest(pod).nics()
            let events = try Events(of: "failing")
            defer { events.end() }
            // Somebody else filters there.
            let adding = wires.adding("net1", mac: 1).replacing("ip link set dev net1 up", with: "")
            try await wires.change("\(adding)\ntc qdisc add dev net1 ingress\nip link set dev net1 up")
            let reason = "add ingress qdisc to net1 (it has ingress already)"
            var list = ""
            let isListed = try await eventually(within: .seconds(20)) {
                try await Task.sleep(for: .milliseconds(50))
                list = try Node.command(["net", "ls", "failing"]).output
                return list.contains(" failed")
            }
            #expect(isListed && list.contains("net1: ") && list.contains(reason), "\(list)")
            let log = try File.text(pod.state.log)
            #expect(log.contains("net1") && log.contains(reason), "\(log.suffix(1000))")
            let isTold = await eventually(within: .seconds(5)) {
                events.text.contains("/slipway/nic-failed {") && events.text.contains(reason)
            }
            #expect(isTold, "containerd's events: \(events.text)")
            #expect(try await Place.guest(pod).nics() == nics)
            #expect(pod.output.components(of: "net-vnf: ") == 0, "\(pod.output.suffix(400))")
            try await wires.change("tc qdisc del dev net1 ingress")
            try await expect(["net1"], in: pod, "tried again")
            await pod.expect("net-vnf: add eth1 \(Wires.address(1))")
        }
    }

    @Test func verifySeesARedirectThatIsBroken() async throws {
        try await withPod("broken", image: "slipway.local/net-vnf:latest") { pod in
            await pod.expect("tiny-vnf: ready")
            let near = try Place.links(of: pod)
            _ = try Node.slipwayItself(["verify", "broken"])
            for (link, sentence) in [
                ("eth0", "planned what arrives on eth0 leaves by slw0, found no such filter"),
                ("slw0", "planned what the guest sends in its own name leaves by eth0, found no such filter"),
            ] {
                try await near.run("tc filter del dev \(link) parent ffff: prio 10")
                let found = try Node.command(["verify", "broken"])
                #expect(found.status == .exited(3), "\(found)")
                #expect(found.output.contains("drift: NIC eth0: \(sentence)"), "\(found)")
            }
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
                switch Int.random(in: 0..<6, using: &random) {
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
                case 4:
                    kinds["a macvlan", default: 0] += 1
                    try await wires.change(wires.addingMacvlan("net1", mac: round))
                    try await expect(["net1"], in: pod, "round \(round), a macvlan")
                    try await wires.change("ip link delete net1")
                    made += 1
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
            // It fails where the guest's NICs and what was planned disagree.
            try await wires.change(wires.adding("net1", mac: 1) + "\n" + wires.addingMacvlan("net2", mac: 2))
            try await expect(["net1", "net2"], in: pod, "what is verified")
            _ = try Node.slipwayItself(["verify", "hotplug"])
            try await wires.change("ip link delete net1; ip link delete net2")
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
                _ = try Node.slipwayItself(["verify", "hotplug"])
            }
        }
    }
}

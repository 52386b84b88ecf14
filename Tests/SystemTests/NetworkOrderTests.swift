import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import PodNetwork
import StateDirectory
import TestSupport
import Testing

/// The order of the annotation `k8s.v1.cni.cncf.io/networks` in the guest, as containerd passes it to the shim, and what
/// the guest is told by its seed when it boots again.
@Suite(.serialized, .timeLimit(.minutes(5))) struct NetworkOrderTests {
    private static let annotation = "k8s.v1.cni.cncf.io/networks"

    /// What the guest reads on its seed at this moment.
    private struct Seed {
        /// The NICs' names in the network configuration, in order.
        let names: [String]
        /// Each device's tags, in order.
        let tags: [[String]]
        /// The network configuration.
        let configuration: String

        init(_ pod: Pod) async throws {
            let text = try await Place.guest(pod).run(
                """
                modprobe isofs
                mkdir -p /tmp/seed
                mount -r -t iso9660 $(findfs LABEL=cidata) /tmp/seed
                cat /tmp/seed/meta-data
                printf '\n=\n'
                cat /tmp/seed/network-config
                umount /tmp/seed
                """)
            let middle = try #require(text.firstRange(of: "\n=\n"), "\(text)")
            struct MetaData: Decodable {
                struct Device: Decodable { var tags: [String] }
                var devices: [Device]
            }
            tags = try JSONDecoder().decode(MetaData.self, from: Data(text[..<middle.lowerBound].utf8)).devices.map(
                \.tags)
            configuration = String(text[middle.upperBound...])
            // Decoders keep no order.
            names = configuration.split(separator: "\n").filter { $0.hasPrefix("    \"") && $0.hasSuffix(": {") }.map {
                String($0.dropFirst(5).prefix { $0 != "\"" })
            }
        }
    }

    /// The NICs' links by their numbers.
    private func numbers(_ pod: Pod) throws -> [String] {
        let interfaces = try NetworkReport(readingFrom: pod.state.network)?.interfaces ?? []
        return interfaces.sorted { $0.number ?? .max < $1.number ?? .max }.map(\.link)
    }

    @Test func aList() async throws {
        let before = Node.remains()
        try await Node.connected { runtime in
            var pod = try await Pod(
                runtime, "order-list", annotations: [Self.annotation: "edge/zeta@zz0, alpha@aa0,mid"])
            let wires = try await HotplugTests.Wires(pod)
            defer { try? wires.remove() }
            for (mac, name) in ["bb9", "net3", "aa0", "zz0"].enumerated() {
                try await wires.change(wires.adding(name, mac: mac))
            }
            try await pod.start(image: "slipway.local/net-vnf:latest", memory: 160 << 20)
            #expect(try await eventually { try numbers(pod) == ["eth0", "zz0", "aa0", "net3", "bb9"] })
            let report = try #require(try NetworkReport(readingFrom: pod.state.network))
            let networks = Dictionary(report.interfaces.map { ($0.link, $0.network) }) { first, _ in first }
            #expect(
                networks == [
                    "eth0": nil, "zz0": "edge/zeta", "aa0": "default/alpha", "net3": "default/mid", "bb9": nil,
                ])
            try await pod.remove()
        }
        await Node.expectNothingLeft(since: before)
    }

    /// In JSON, and through everything that may change an order.
    @Test func theOrderStaysAndTheSeedFollows() async throws {
        let annotation = """
            [{"name": "zeta", "namespace": "edge", "interface": "zz0"},
             {"name": "alpha", "interface": "aa0", "mac": "02:53:4c:48:00:02", "ips": ["10.94.2.5/24", "fd51:94:2::5/64"],
              "cni-args": {"vrf": ["blue"]}}, {"name": "mid"}]
            """
        let before = Node.remains()
        try await Node.connected { runtime in
            var pod = try await Pod(runtime, "order", annotations: [Self.annotation: annotation])
            let wires = try await HotplugTests.Wires(pod)
            defer { try? wires.remove() }
            for (mac, name) in ["bb9", "net3", "aa0", "zz0"].enumerated() {
                try await wires.change(wires.adding(name, mac: 9 - mac))
            }
            try await wires.change(
                """
                ip addr add 10.94.2.5/24 dev aa0
                ip addr add fd51:94:2::5/64 dev aa0 nodad
                ip route add 203.0.113.0/24 via 10.94.2.1
                """)
            try await pod.start(image: "slipway.local/net-vnf:latest", memory: 160 << 20)
            await pod.expect("tiny-vnf: ready")
            var names = ["eth0", "zz0", "aa0", "net3", "bb9"]
            var tags = [["eth0"], ["edge/zeta", "zz0"], ["default/alpha", "aa0"], ["default/mid", "net3"], ["bb9"]]
            try await expect(names, tags, pod, "at start")
            let first = try await Place.guest(pod).addresses("eth2")
            #expect(first == ["10.94.2.5", "fd51:94:2::5"])

            // A link that is switched off by hand is told as before.
            try await off(pod, wires)
            // One that comes has the next place, whatever its name; the guest that boots again sets it up.
            try await wires.change(
                wires.adding("ab1", mac: 1)
                    + "\nip addr add 10.94.9.5/24 dev ab1\nip route add 192.0.2.0/24 via 10.94.9.1")
            _ = try await Place.namespace("far", path: "/run/netns/\(wires.far)").run(
                "ip addr add 10.94.9.1/24 dev ab1; ip addr add 192.0.2.1/32 dev lo; ip link set dev lo up")
            names.append("ab1")
            tags.append(["ab1"])
            let isPlugged = try await eventually(within: .seconds(20)) {
                try await Seed(pod).configuration.contains("10.94.9.5/24")
            }
            #expect(isPlugged)
            try await expect(names, tags, pod, "with one more")
            #expect(try await Place.guest(pod).addresses("eth5").isEmpty)

            _ = try await pod.run("/bin/sh", "-c", "(sleep 0.2; reboot -f) >/dev/null 2>&1 &")
            await pod.expect("tiny-vnf: ready", count: 2)
            try await expect(names, tags, pod, "after a reboot of the guest")
            #expect(try await Place.guest(pod).addresses("eth5") == ["10.94.9.5"])
            let ping = try await Place.guest(pod).run("ping -c 2 192.0.2.1")
            #expect(ping.contains(" 0% packet loss"), "\(ping)")

            // One that goes leaves a gap, and is told no more.
            try await wires.change("ip link delete zz0")
            names.removeAll { $0 == "zz0" }
            tags.removeAll { $0.last == "zz0" }
            #expect(try await eventually(within: .seconds(20)) { try await Seed(pod).names == names })
            try await expect(names, tags, pod, "with one less")

            try await pod.runtime.stopContainer(pod.container, grace: 0)
            try await wires.change(wires.adding("zz0", mac: 3))
            try await pod.start(image: "slipway.local/net-vnf:latest", memory: 160 << 20, attempt: 1)
            await pod.expect("tiny-vnf: ready", count: 3)
            names.insert("zz0", at: 1)
            tags.insert(["edge/zeta", "zz0"], at: 1)
            try await expect(names, tags, pod, "after a restart of the container")
            #expect(try await Place.guest(pod).addresses("eth5") == ["10.94.9.5"])
            try await pod.remove()
        }
        await Node.expectNothingLeft(since: before)
    }

    private func off(_ pod: Pod, _ wires: HotplugTests.Wires) async throws {
        let before = try await Seed(pod).configuration
        #expect(before.contains("203.0.113.0/24") && before.contains("fd51:94:2::5/64"), "\(before)")
        _ = try Node.slipwayItself(["net", "set", "order", "aa0", "--link", "down"])
        let isDown = try await eventually {
            try await Place.guest(pod).run("cat /sys/class/net/eth2/carrier") == "0\n"
        }
        #expect(isDown)
        #expect(try await wires.near.run("ip route show dev aa0; ip -6 addr show dev aa0 scope global").isEmpty)
        let during = try await Seed(pod).configuration
        #expect(during == before)
        _ = try Node.slipwayItself(["net", "set", "order", "aa0", "--link", "up"])
        #expect(try await wires.near.run("ip route show dev aa0").contains("203.0.113.0/24 via 10.94.2.1"))
        #expect(try await wires.near.addresses("aa0") == ["10.94.2.5", "fd51:94:2::5"])
        let isUp = try await eventually {
            try await Place.guest(pod).run("cat /sys/class/net/eth2/carrier") == "1\n"
        }
        #expect(isUp)
        #expect(try await Seed(pod).configuration == before)
    }

    /// The guest's NICs by PCI address, its network configuration and its device tags are those of the links, in order.
    private func expect(
        _ names: [String], _ tags: [[String]], _ pod: Pod, _ what: String, _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let place = try Place.links(of: pod)
        var macs: [String] = []
        for name in names { macs.append(try await place.mac(name)) }
        var found: [String] = []
        let same = try await eventually(within: .seconds(10)) {
            found = try await Place.guest(pod).nics().compactMap { $0.split(separator: " ").last.map(String.init) }
            return found == macs
        }
        #expect(same, "\(what): \(names) were expected, \(macs); \(found)", sourceLocation: location)
        let seed = try await Seed(pod)
        #expect(seed.names == names, "\(what)", sourceLocation: location)
        #expect(seed.tags == tags, "\(what)", sourceLocation: location)
    }
}

import CRIProtocol
import FoundationEssentials
import LinuxSystem
import SwiftProtobuf
import TestSupport
import Testing

/// VLANs and macvtaps of a pod: over nic0, where the other end of the wire is nic1 in the node's own namespace, and over the
/// pod's eth0, where it is the bridge.
@Suite(.serialized, .timeLimit(.minutes(15))) struct WireTests {
    /// The wire's two ends, and who answers at the far one.
    private struct Wire {
        static let mtu = 1400
        let near: String
        let far: String

        /// The numbers of VLANs, in which the other end has 10.NUMBER.0.1 and fd51:NUMBER::1.
        static let vlans = "42 44"
        static let bridged = "45 46"

        /// nic1 has 10.43.0.1 and fd51:43::1 too; netprobe answers on all addresses.
        init() throws {
            near = try #require(try Lab.table("lab link nic0").first?.first)
            far = try #require(try Lab.table("lab link nic1").first?.first)
            try Lab.run(
                """
                set -e
                ip link set \(near) up
                ip link set \(far) up
                ip address add 10.43.0.1/24 dev \(far)
                ip address add fd51:43::1/64 dev \(far) nodad
                add() {
                    ip link add link $1 name far.$2 type vlan id $2
                    ip address add 10.$2.0.1/24 dev far.$2
                    ip address add fd51:$2::1/64 dev far.$2 nodad
                    ip link set far.$2 up
                }
                for id in \(Self.vlans); do add \(far) $id; done
                # The pods' bridge, which the first pod would make.
                ip link show lab >/dev/null 2>&1 || ip link add lab up type bridge
                for id in \(Self.bridged); do add lab $id; done
                systemd-run -q --unit netprobe /opt/lab/files/netprobe serve 5201
                """)
        }

        func remove() {
            _ = try? Lab.run(
                """
                systemctl stop netprobe
                for id in \(Self.vlans) \(Self.bridged); do ip link delete far.$id; done
                ip address flush dev \(far)
                ip link set \(near) down
                ip link set \(far) down
                """)
        }
    }

    /// Sends from the node to the guest: datagrams of the largest size, and a text over TCP both ways.
    private func probe(_ address: String, mtu: Int = 1500) throws {
        let netprobe = "/opt/lab/files/netprobe"
        let size = mtu - (address.contains(":") ? 48 : 28)
        let datagram = try Lab.run("\(netprobe) udp \(address) 5201 \(size)")
        #expect(datagram == "udp \(size) of \(size) same\n")
        let stream = try Lab.run("\(netprobe) tcp \(address) 5201 2000000")
        #expect(stream.contains("up 2000000 of 2000000") && stream.contains("down 2000000 of 2000000"), "\(stream)")
    }

    /// The first frame on a link that a guest sends to netprobe, as tcpdump writes it with its Ethernet header.
    private func frame(on link: String, from address: String) throws -> String {
        try Lab.run(
            """
            timeout 60 tcpdump -l -i \(link) -e -n -c 1 '(udp and src \(address)) or (vlan and udp and src \(address))' \
                2>/dev/null >/run/frame &
            while kill -0 $! 2>/dev/null; do /opt/lab/files/netprobe udp \(address) 5201 100 >/dev/null; done
            cat /run/frame
            """)
    }

    /// `slipway net ls`: the words of each NIC's line, by link.
    private func reported(_ pod: String) throws -> [String: [String]] {
        Dictionary(
            try Lab.table("slipway net ls \(pod)").dropFirst().map { ($0[1], $0) },
            uniquingKeysWith: { first, _ in first })
    }

    /// The descriptors of macvtaps that QEMU has, by device.
    private func macvtaps(_ qemu: Int32) throws -> [String: Int] {
        try Lab.table("ls -l /proc/\(qemu)/fd").compactMap(\.last).filter { $0.hasPrefix("/dev/tap") }
            .reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }

    private func address(of link: String, in namespace: String) throws -> String {
        try Lab.run("ip -n \(namespace) -br link show \(link)").split(separator: " ").map(String.init)[2]
    }

    @Test func VLANsAndMacvtapsOfAGuestReachTheOtherEnd() async throws {
        try Lab.run("lab import net-vnf", seconds: 300)
        let before = try Lab.remains()
        let wire = try Wire()
        defer { wire.remove() }
        try await Lab.connected { runtime in
            var pod = try await LabPod(
                runtime, "wire", .systemd,
                annotations: ["slipway.dev/interfaces": "eth0: binding=macvtap", "slipway.dev/hot-nics": "3"])
            do {
                let namespace = try pod.network
                // As a plugin leaves them, between the sandbox and its machine.
                try Lab.run(
                    """
                    set -e
                    ip link add link \(wire.near) name net1 netns \(namespace) mtu \(Wire.mtu) type vlan id 42
                    ip link add link \(wire.near) name net2 netns \(namespace) type macvtap mode bridge
                    ip -n \(namespace) address add 10.42.0.2/24 dev net1
                    ip -n \(namespace) address add 10.43.0.2/24 dev net2
                    ip -n \(namespace) link add link eth0 name net3 address 02:53:4c:00:00:03 type vlan id 45
                    ip -n \(namespace) address add 10.45.0.2/24 dev net3
                    for link in net1 net2 net3; do ip -n \(namespace) link set $link up; done
                    """)
                try await pod.start(image: "net-vnf", memory: 256 << 20, cpus: 2)
                try pod.expectOnConsole("tiny-vnf: ready")
                try await expectLinks(of: pod, on: wire)
                try await hotplug(pod, on: wire)
                try Lab.run("slipway verify wire")

                try await pod.runtime.stopContainer(pod.container, grace: 60)
                #expect(try await pod.runtime.containerStatus(pod.container).status.exitCode == 0, "it powers off")
            } catch {
                Issue.record("\(error); log: \(pod.log)")
            }
            try await pod.remove()
        }
        try await Lab.expectNothingLeft(since: before)
    }

    /// An ipvlan hands out frames by IP address, and shares its Ethernet address with the node: a guest's own link-local
    /// address does not lead to the guest there. A port of a bridge hands out all.
    @Test func ipvlansAndPortsOfABridgeCarryAGuestsFrames() async throws {
        try Lab.run("lab import net-vnf", seconds: 300)
        let before = try Lab.remains()
        let wire = try Wire()
        defer { wire.remove() }
        try await Lab.connected { runtime in
            var pod = try await LabPod(runtime, "by-address", .systemd)
            do {
                let namespace = try pod.network
                try Lab.run(
                    """
                    set -e
                    ip link add link \(wire.near) name net1 netns \(namespace) type ipvlan mode l2
                    ip link add link \(wire.near) name net2 address 02:53:4c:00:00:02 netns \(namespace) type vlan id 42
                    ip -n \(namespace) link add net3 address 02:53:4c:00:00:03 type bridge
                    ip -n \(namespace) link set net2 master net3
                    ip -n \(namespace) address add 10.43.0.2/24 dev net1
                    ip -n \(namespace) address add fd51:43::2/64 dev net1 nodad
                    ip -n \(namespace) address add 10.42.0.2/24 dev net2
                    ip -n \(namespace) address add fd51:42::2/64 dev net2 nodad
                    for link in net1 net2 net3; do ip -n \(namespace) link set $link up; done
                    """)
                try await pod.start(image: "net-vnf", memory: 256 << 20, cpus: 1)
                try pod.expectOnConsole("tiny-vnf: ready")
                let nics = try reported("by-address")
                #expect(["net1", "net2", "net3"].map { nics[$0]?[3] } == ["tap", "tap", "tap"], "\(nics)")
                for (number, far, answers) in [("43", wire.far, false), ("42", "far.42", true)] {
                    let nic = try await pod.guest("ip -o address | awk '/10.\(number).0.2/ { printf $2 }'")
                    for (own, other) in [
                        ("10.\(number).0.2", "10.\(number).0.1"), ("fd51:\(number)::2", "fd51:\(number)::1"),
                    ] {
                        try probe(own)
                        let stream = try await pod.guest("netprobe tcp \(other) 5201 1000000")
                        #expect(stream.contains("up 1000000 of 1000000"), "\(other): \(stream)")
                    }
                    let linkLocal = try await pod.guest(
                        "ip -6 -o address show dev \(nic) scope link | awk '{ sub(\"/.*\", \"\", $4); printf $4 }'")
                    let datagrams = "awk '/^Udp6InDatagrams/ { printf $2 }' /proc/net/snmp6"
                    let before = try await pod.guest(datagrams)
                    // Somebody answers neighbour solicitations; it may be the node.
                    let neighbour = try Lab.run(
                        """
                        for i in 1 2 3; do echo >/dev/udp/\(linkLocal)%\(far)/5201; sleep 1; done
                        ip -6 neighbour show dev \(far) to \(linkLocal)
                        """)
                    let mac = try await pod.guest("cat /sys/class/net/\(nic)/address").filter { !$0.isWhitespace }
                    #expect(neighbour.contains(" lladdr \(mac) "), "\(linkLocal)%\(far): \(neighbour)")
                    let isReached = try await pod.guest(datagrams) != before
                    #expect(isReached == answers, "\(linkLocal)%\(far)")
                    let back = try Lab.run("ip -6 -o address show dev \(far) scope link").split(separator: " ")[3]
                        .prefix { $0 != "/" }
                    let pong = try await pod.guest("ping -c 3 -W 5 \(back)%\(nic) || true")
                    #expect(pong.contains(" 0% packet loss") == answers, "\(back)%\(nic): \(pong)")
                }
                try Lab.run("slipway verify by-address")
            } catch {
                Issue.record("\(error); log: \(pod.log)")
            }
            try await pod.remove()
        }
        try await Lab.expectNothingLeft(since: before)
    }

    private func expectLinks(of pod: LabPod, on wire: Wire) async throws {
        let namespace = try pod.network
        let qemu = try pod.qemu
        let nics = try reported("wire")
        #expect(
            ["eth0", "net1", "net2", "net3"].map { nics[$0]?[3] } == ["macvtap", "tap", "macvtap", "tap"], "\(nics)")
        // A thread of the kernel for each queue: a TAP has one for each vCPU.
        #expect(try macvtaps(qemu).map(\.value) == [1, 1])
        let queues = try await pod.guest(
            "ls /sys/class/net/$(ip -o address | awk '/10.42.0.2/ { print $2 }')/queues")
        #expect(queues.contains("rx-1") && queues.contains("tx-1") && !queues.contains("rx-2"), "\(queues)")
        let idle = try Lab.table("lab workers \(qemu)").compactMap { Int($0[2]) }
        #expect(idle.count == 6)

        let primary = try #require(nics["eth0"]?[6].split(separator: "/").first)
        try probe(String(primary))
        try probe("10.42.0.2", mtu: Wire.mtu)
        try probe("10.43.0.2")
        try probe("10.45.0.2")
        #expect(try await pod.guest("netprobe tcp 10.42.0.1 5201 1000000").contains("up 1000000 of 1000000"))
        #expect(try await pod.guest("netprobe tcp 10.43.0.1 5201 1000000").contains("up 1000000 of 1000000"))
        let mtu = try await pod.guest("cat /sys/class/net/$(ip -o address | awk '/10.42.0.2/ { print $2 }')/mtu")
        #expect(mtu == "\(Wire.mtu)\n")

        let tagged = try frame(on: wire.far, from: "10.42.0.2")
        let mac = try address(of: "net1", in: namespace)
        #expect(tagged.contains(" \(mac) > ") && tagged.contains("vlan 42,"), "\(tagged)")
        let bridged = try frame(on: "lab", from: "10.45.0.2")
        #expect(bridged.contains(" 02:53:4c:00:00:03 > ") && bridged.contains("vlan 45,"), "\(bridged)")
        let plain = try frame(on: wire.far, from: "10.43.0.2")
        #expect(plain.contains(" \(try address(of: "net2", in: namespace)) > ") && !plain.contains("vlan"), "\(plain)")

        let busy = try Lab.table("lab workers \(qemu)").compactMap { Int($0[2]) }
        #expect(busy.reduce(0, +) > idle.reduce(0, +), "\(idle) and then \(busy)")
    }

    /// A VLAN by CNI's plugin, and a macvtap by hand, come to the running guest and go.
    private func hotplug(_ pod: LabPod, on wire: Wire) async throws {
        let namespace = try pod.network
        let qemu = try pod.qemu
        let (devices, threads) = (try macvtaps(qemu), try Lab.table("lab workers \(qemu)").count)
        try Lab.run(
            """
            cat >/run/vlan.conf <<'END'
            {"cniVersion": "0.4.0", "name": "vlan44", "type": "vlan", "master": "\(wire.near)", "vlanId": 44, "mtu": \(Wire.mtu),
             "ipam": {"type": "host-local", "subnet": "10.44.0.0/24", "rangeStart": "10.44.0.2", "rangeEnd": "10.44.0.9"}}
            END
            slipway net attach wire --config /run/vlan.conf --interface net4
            """)
        let given = try await configure(pod, "net4", in: namespace)
        try probe(given, mtu: Wire.mtu)
        #expect(try frame(on: wire.far, from: given).contains("vlan 44,"))

        try Lab.run(
            """
            ip link add link \(wire.near) name net5 netns \(namespace) type macvtap mode bridge
            ip -n \(namespace) address add 10.43.0.5/24 dev net5
            ip -n \(namespace) link set net5 up
            """)
        try await arrives("net5", pod)
        try await configure(pod, "net5", in: namespace)
        try probe("10.43.0.5")
        #expect(try macvtaps(qemu).count == devices.count + 1)

        // The link below is a NIC since long: its frames are parted now.
        try Lab.run(
            """
            ip -n \(namespace) link add link eth0 name net6 address 02:53:4c:00:00:06 type vlan id 46
            ip -n \(namespace) address add 10.46.0.2/24 dev net6
            ip -n \(namespace) link set net6 up
            """)
        try await arrives("net6", pod)
        try await configure(pod, "net6", in: namespace)
        try probe("10.46.0.2")

        try Lab.run(
            "slipway net detach wire net4; ip -n \(namespace) link delete net5; ip -n \(namespace) link delete net6; rm /run/vlan.conf"
        )
        let unplugged = try await eventually(within: .seconds(30)) {
            try Lab.table("lab workers \(qemu)").count == threads && macvtaps(qemu) == devices
        }
        #expect(unplugged, "\(pod.log)")
    }

    private func arrives(_ link: String, _ pod: LabPod) async throws {
        let plugged = try await eventually(within: .seconds(30)) { try reported("wire")[link]?[7] == "up" }
        try #require(plugged, "\(link): \(pod.log)")
    }

    /// Gives the NIC that the guest has got last the address of its link, and returns that: this guest asks for none later.
    @discardableResult
    private func configure(_ pod: LabPod, _ link: String, in namespace: String) async throws -> String {
        let words = try Lab.run("ip -n \(namespace) -br -4 address show \(link)").split(separator: " ").map(String.init)
        var nic = ""
        let isNew = try await eventually(within: .seconds(30)) {
            nic = try await pod.guest("ls /sys/class/net | grep eth | tail -n 1").filter { !$0.isWhitespace }
            return try await pod.guest("ip -4 -o address show dev \(nic)").isEmpty
        }
        try #require(isNew, "\(link), \(nic): \(pod.log)")
        try await pod.guest("ip address add \(words[2]) dev \(nic); ip link set \(nic) up")
        return String(words[2].prefix { $0 != "/" })
    }
}

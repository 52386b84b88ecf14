import CLinux
import Glibc
import LinuxSystem
import Netlink
import Testing

@testable import PodNetwork

/// With the kernel's own links; needs root.
@Suite(.serialized, .timeLimit(.minutes(3))) struct RejoinTests {
    /// Takes the pod's link away and makes another one of its name.
    func replaceLink(_ lab: Lab, mac: String = Lab.mac) async throws {
        let pod = lab.pod.descriptor
        try await lab.gateway.run {
            let netlink = try RTNetlink()
            try netlink.deleteLink("p0")
            try netlink.createVeth("p0", peer: "eth0", LinkChange(mac: MACAddress(mac)), peerNamespace: pod)
        }
        try shell("ip link set p0 master br0 up", in: lab.gateway)
        try shell(
            "ip link set eth0 up; ip addr add 10.88.0.5/16 dev eth0; ip addr add fd00:88::5/64 dev eth0 nodad",
            in: lab.pod)
    }

    func rejoin(_ plan: InterfacePlan, _ lab: Lab) async throws {
        try await lab.pod.run { try NetworkBinding().rejoin(plan) }
    }

    @Test func anotherLinkUnderTheSameName() async throws {
        let lab = try await Lab()
        let plan = try #require(try await lab.bind().plan.interfaces.first)
        let guest = try await Guest(tap: "slw0", in: lab.pod)
        defer { guest.end() }
        try shell("ip addr add 10.88.0.5/16 dev eth0", in: guest.namespace)
        try shell("ping -c 1 -W 2 10.88.0.9", in: guest.namespace)

        try await replaceLink(lab, mac: "0a:58:0a:58:00:77")
        #expect(!succeeds("ping -c 1 -W 1 10.88.0.9", in: guest.namespace))
        try await rejoin(plan, lab)
        try shell("ping -c 1 -W 2 10.88.0.9", in: guest.namespace)
        let links = try await lab.pod.run { try RTNetlink().links() }
        #expect(links.first { $0.name == "eth0" }?.mac?.description == Lab.mac, "the guest's address is the link's")

        // Again, without anything to do; then another link still, with the same address.
        try await rejoin(plan, lab)
        try shell("ping -c 1 -W 2 10.88.0.9", in: guest.namespace)
        try await replaceLink(lab)
        try await rejoin(plan, lab)
        try shell("ping -c 1 -W 2 10.88.0.9", in: guest.namespace)
        try await lab.unbindAll()
        #expect(try shell("tc qdisc show", in: lab.pod).contains("ingress") == false)
    }

    @Test func theLinksOwnEthernetAddressComesBack() async throws {
        let lab = try await Lab()
        let plan = try #require(try await lab.bind(answering: false).plan.interfaces.first)
        try await replaceLink(lab, mac: "0a:58:0a:58:00:77")
        let solicitations = "cat /proc/sys/net/ipv6/conf/eth0/router_solicitations"
        let before = try shell(solicitations, in: lab.pod)
        try await rejoin(plan, lab)
        #expect(try shell(solicitations, in: lab.pod) == "0\n")
        try await lab.unbindAll()
        let links = try await lab.pod.run { try RTNetlink().links() }
        #expect(links.map(\.name).sorted() == ["eth0", "lo"])
        #expect(links.first { $0.name == "eth0" }?.mac?.description == "0a:58:0a:58:00:77")
        #expect(try shell(solicitations, in: lab.pod) == before)
    }

    @Test func noLinkNoTAPSomebodyElsesFilter() async throws {
        let lab = try await Lab()
        let plan = try #require(try await lab.bind(answering: false).plan.interfaces.first)
        try shell("ip link del p0", in: lab.gateway)
        await #expect(throws: SystemError("find link", "eth0", code: ENODEV)) { try await rejoin(plan, lab) }
        let pod = lab.pod.descriptor
        try await lab.gateway.run { try RTNetlink().createVeth("p0", peer: "eth0", peerNamespace: pod) }
        try shell("tc qdisc add dev eth0 clsact", in: lab.pod)
        await #expect(throws: SystemError("add ingress qdisc to", "eth0 (it has clsact already)", code: EEXIST)) {
            try await rejoin(plan, lab)
        }
        try shell("tc qdisc del dev eth0 clsact", in: lab.pod)
        try await rejoin(plan, lab)
        try await lab.unbindAll()
        await #expect(throws: SystemError("find link", "slw0", code: ENODEV)) { try await rejoin(plan, lab) }
    }

    /// The link comes and goes while it is joined: every try ends in success or in an error, and one more try succeeds.
    @Test func linkThatVanishesInTheMiddle() async throws {
        let lab = try await Lab()
        let plan = try #require(try await lab.bind(answering: false).plan.interfaces.first)
        let pod = lab.pod.descriptor
        let (gateway, namespace) = (lab.gateway, lab.pod)
        let flapping = Task {
            try await gateway.run {
                let netlink = try RTNetlink()
                for _ in 0..<100 {
                    try netlink.deleteLink("p0")
                    try netlink.createVeth("p0", peer: "eth0", peerNamespace: pod)
                }
            }
        }
        let failures = try await namespace.run {
            var failures: [Int32] = []
            for _ in 0..<100 {
                do throws(SystemError) {
                    try NetworkBinding().rejoin(plan)
                } catch {
                    failures.append(error.code)
                }
            }
            return failures
        }
        try await flapping.value
        #expect(failures.allSatisfy { [ENODEV, ENOENT, EINVAL, EEXIST].contains($0) }, "\(failures)")
        try await rejoin(plan, lab)
        try await lab.unbindAll()
        let rest = try shell("ip -o link; tc qdisc show", in: lab.pod)
        #expect(!rest.contains("slw") && !rest.contains("ingress") && !rest.contains("PROMISC"), "\(rest)")
    }

    @Test func addressesAndTrustChangeInPlace() async throws {
        let lab = try await Lab()
        var plan = try #require(try await lab.bind(answering: false).plan.interfaces.first)
        let guest = try await RawGuest(tap: "slw0", in: lab.pod)
        let capture = try await Capture("p0", in: lab.gateway)
        let claim = Frames.ethernet(type: 0x0806, Frames.arp(operation: 2, "10.88.0.77"))
        let other = Frames.ethernet(from: "00:00:5e:00:01:07", type: 0x0806, Frames.arp(operation: 2, "10.88.0.78"))
        func arrived() throws -> [[UInt8]] {
            for frame in [claim, other, SpoofingTests.last] { try guest.send(frame) }
            return try capture.receive(until: SpoofingTests.last).filter { [claim, other].contains($0) }
        }
        #expect(try arrived() == [])
        plan.addresses.append(try #require(IPPrefix("10.88.0.77/16")))
        try await rejoin(plan, lab)
        #expect(try arrived() == [claim])
        plan.settings.isTrusted = true
        try await rejoin(plan, lab)
        #expect(try arrived() == [claim, other])
    }

    /// The service's end is made anew for other addresses, and the guest speaks in their name alone.
    @Test func addressesOfAGuestThatIsAnswered() async throws {
        let lab = try await Lab()
        var plan = try #require(try await lab.bind().plan.interfaces.first)
        let guest = try await RawGuest(tap: "slw0", in: lab.pod)
        let capture = try await Capture("p0", in: lab.gateway)
        let (old, new) = ("10.88.0.5", "10.88.0.77")
        let claims = [old, new].map { Frames.ethernet(type: 0x0806, Frames.arp(operation: 2, $0)) }
        plan.addresses = try ["\(new)/16", "fd00:88::77/64"].map { try #require(IPPrefix($0)) }
        for _ in 0..<2 {
            let service = try await lab.pod.run { [plan] in try NetworkBinding().readdress(plan) }
            #expect(service?.name == "slwd0" && service?.plan == plan)
            for frame in claims + [SpoofingTests.last] { try guest.send(frame) }
            #expect(try capture.receive(until: SpoofingTests.last).filter { claims.contains($0) } == [claims[1]])
        }
        plan.addresses = []
        let service = try await lab.pod.run { [plan] in try NetworkBinding().readdress(plan) }
        let links = try shell("ip -o link; tc qdisc show dev eth0", in: lab.pod)
        #expect(service == nil && !links.contains("slwd0") && links.contains("ingress"), "\(links)")
        try await lab.unbindAll()
    }

    @Test func mtuOfEverythingThatBelongsToIt() async throws {
        let lab = try await Lab()
        var plan = try #require(try await lab.bind().plan.interfaces.first)
        plan.mtu = 1400
        try await lab.pod.run { [plan] in try NetworkBinding().setMTU(plan) }
        let links = try await lab.pod.run { try RTNetlink().links() }
        #expect(
            Dictionary(uniqueKeysWithValues: links.map { ($0.name, $0.mtu) })
                == ["lo": 65536, "eth0": 1500, "slw0": 1400, "slwd0": 1400, "slwp0": 1400])
        await #expect(throws: SystemError("find link", "slw9", code: ENODEV)) {
            plan.number = 9
            try await lab.pod.run { [plan] in try NetworkBinding().setMTU(plan) }
        }
    }

    @Test func announcement() async throws {
        let lab = try await Lab()
        // The neighbours remember an earlier owner of the addresses.
        let stale =
            "ip neigh replace 10.88.0.5 lladdr 02:00:00:00:00:99 dev eth0 nud stale;"
            + " ip neigh replace fd00:88::5 lladdr 02:00:00:00:00:99 dev eth0 nud stale"
        try shell(stale, in: lab.neighbour)
        let plan = try #require(try await lab.bind(answering: false).plan.interfaces.first)
        let capture = try await Capture("p0", in: lab.gateway)
        try await lab.pod.run { try NetworkBinding().announce(plan) }
        let expected = Announcement.frames(mac: plan.mac, addresses: plan.addresses)
        #expect(expected.count == 2)
        for frame in expected { #expect(try capture.receive { $0 == frame } != nil) }
        let cache = try shell("ip neigh show dev eth0", in: lab.neighbour)
        #expect(cache.contains("10.88.0.5 lladdr \(Lab.mac)"), "\(cache)")
        #expect(cache.contains("fd00:88::5 lladdr \(Lab.mac)"), "\(cache)")
    }

    /// RFC 5227 and RFC 4861 by hand; the checksum was computed apart.
    @Test func announcedBytes() throws {
        let mac = try #require(MACAddress("02:00:00:00:00:01"))
        let addresses = try [#require(IPPrefix("192.0.2.5/24")), #require(IPPrefix("2001:db8::5/64"))]
        let frames = Announcement.frames(mac: mac, addresses: addresses)
        #expect(
            frames[0] == [
                255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0,
                2, 5, 0, 0, 0, 0, 0, 0, 192, 0, 2, 5,
            ])
        #expect(frames[1].count == 86)
        #expect(Array(frames[1][54..<62]) == [136, 0, 0xf9, 0x22, 0x20, 0, 0, 0], "\(frames[1][54..<62])")
        let many = (0..<200).compactMap { IPPrefix("192.0.2.\($0)/24") }
        #expect(Announcement.frames(mac: mac, addresses: many).count == Announcement.maximum)
    }
}

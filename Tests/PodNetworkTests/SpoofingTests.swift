import CLinux
import Glibc
import LinuxSystem
import Netlink
import Testing

@testable import PodNetwork

/// With the kernel's own links; needs root.
@Suite(.serialized, .timeLimit(.minutes(3))) struct SpoofingTests {
    /// Marks the end of what a test sends; passes every filter.
    static let last = Frames.ethernet(to: "02:00:00:00:00:09", type: 0x88b5, [UInt8](repeating: 0x5a, count: 46))

    /// Sends frames into the TAP of a bound NIC; returns the numbers of those that came out on the network's side, and
    /// how many the kernel counted as dropped.
    func send(
        _ frames: [[UInt8]], trusted: Bool = false, change: (inout InterfacePlan) -> Void = { _ in }, mtu: UInt32 = 1500
    ) async throws -> (arrived: Set<Int>, dropped: UInt64) {
        let lab = try await Lab(mtu: mtu)
        var plan = try await lab.pod.run { try NetworkPlan(reading: RTNetlink(), resolvConf: "") }.interfaces[0]
        plan.settings.isTrusted = trusted
        change(&plan)
        let interface = plan
        _ = try await lab.pod.run { try NetworkBinding().bind(interface, owner: 0, answering: false) }
        let guest = try await RawGuest(tap: "slw0", in: lab.pod)
        let capture = try await Capture("p0", in: lab.gateway)
        for frame in frames + [Self.last] { try guest.send(frame) }
        let came = Set(try capture.receive(until: Self.last).map { untagged($0) })
        let counters = try await lab.pod.run { try NetworkBinding().counters()[0] }
        #expect(counters?.frames == UInt64(frames.count + 1))
        return (
            Set(frames.indices.filter { came.contains(untagged(frames[$0])) }), counters?.dropped ?? .max
        )
    }

    /// Without VLAN tags: the kernel takes them out of a frame and keeps them beside it.
    private func untagged(_ frame: [UInt8]) -> [UInt8] {
        var frame = frame
        while frame.count > 16, [[0x81, 0x00], [0x88, 0xa8]].contains(Array(frame[12..<14])) {
            frame.removeSubrange(12..<16)
        }
        return frame
    }

    static let eui64 = "fe80::858:aff:fe58:5"
    typealias Case = (what: String, frame: [UInt8], passes: Bool)

    static var ethernet: [Case] {
        let padding = [UInt8](repeating: 1, count: 46)
        let text = [UInt8](repeating: 2, count: 46)
        return [
            ("its own unicast", Frames.ethernet(to: "02:00:00:00:00:01", type: 0x0800, padding), true),
            ("its own multicast", Frames.ethernet(to: "01:00:5e:00:00:05", type: 0x0800, padding), true),
            ("its own of another type", Frames.ethernet(type: 0x88cc, padding), true),
            ("its own with nothing in it", Frames.ethernet(to: "02:00:00:00:00:02", type: 0x88b6, []), true),
            ("another's", Frames.ethernet(from: "0a:58:0a:58:00:06", type: 0x0800, padding), false),
            ("another's, upper half equal", Frames.ethernet(from: "0a:58:0a:58:01:05", type: 0x0800, text), false),
            ("another's, lower half equal", Frames.ethernet(from: "0b:58:0a:58:00:05", type: 0x0800, text), false),
            ("a virtual router's", Frames.ethernet(from: "00:00:5e:00:01:07", type: 0x0800, padding), false),
            ("nobody's with nothing in it", Frames.ethernet(from: "00:00:00:00:00:00", type: 0x88b6, []), false),
            ("tagged", Frames.ethernet(tags: [(0x8100, 5)], type: 0x0800, text + [1]), true),
            ("tagged twice", Frames.ethernet(tags: [(0x88a8, 5), (0x8100, 6)], type: 0x0800, text + [2]), true),
            (
                "another's, tagged",
                Frames.ethernet(from: "0a:58:0a:58:00:06", tags: [(0x8100, 5)], type: 0x0800, text), false
            ),
            ("number 0 over a tag", Frames.ethernet(tags: [(0x8100, 0), (0x8100, 6)], type: 0x0800, text), false),
        ]
    }

    static var arp: [Case] {
        func frame(_ payload: [UInt8], tags: [(UInt16, UInt16)] = [], type: UInt16 = 0x0806) -> [UInt8] {
            Frames.ethernet(tags: tags, type: type, payload)
        }
        let other = "0a:58:0a:58:00:06"
        return [
            ("request", frame(Frames.arp("10.88.0.5")), true),
            ("reply", frame(Frames.arp(operation: 2, "10.88.0.5")), true),
            ("probe", frame(Frames.arp("0.0.0.0", target: "10.88.0.5")), true),
            ("RARP of QEMU", frame(Frames.arp(operation: 3, "0.0.0.0"), type: 0x8035), true),
            ("another IP address", frame(Frames.arp(operation: 2, "10.88.0.1")), false),
            ("another hardware address", frame(Frames.arp(operation: 2, sender: other, "10.88.0.5")), false),
            ("another IP address by RARP", frame(Frames.arp(operation: 4, "10.88.0.1"), type: 0x8035), false),
            ("strange lengths", frame(Frames.arp("10.88.0.5", lengths: [8, 4])), false),
            ("cut off", frame(Array(Frames.arp("10.88.0.5").prefix(15))), false),
            ("tag of number 0", frame(Frames.arp(operation: 2, "10.88.0.7"), tags: [(0x8100, 0x6000)]), false),
            ("tagged, own network", frame(Frames.arp(operation: 2, "192.0.2.1"), tags: [(0x8100, 7)]), true),
            (
                "tagged, another hardware address",
                frame(Frames.arp(operation: 2, sender: other, "192.0.2.1"), tags: [(0x8100, 7)]), false
            ),
        ]
    }

    static var discovery: [Case] {
        func frame(_ payload: [UInt8], tags: [(UInt16, UInt16)] = []) -> [UInt8] {
            Frames.ethernet(to: Frames.allNodes, tags: tags, type: 0x86dd, payload)
        }
        let (own, router) = ("fd00:88::5", "fd00:88::1")
        let options: (UInt8, [UInt8]) = (60, [0, 1, 4, 0, 0, 0, 0])
        let hops: (UInt8, [UInt8]) = (0, [1] + [UInt8](repeating: 0, count: 14))
        let fragment: (UInt8, [UInt8]) = (44, [0, 0, 1, 9, 9, 9, 9])
        let rest: (UInt8, [UInt8]) = (44, [0, 0, 8, 9, 9, 9, 9])
        func advertise(_ target: String, _ extensions: [(UInt8, [UInt8])] = []) -> [UInt8] {
            frame(Frames.discovery(136, source: own, target: target, extensions: extensions))
        }
        return [
            ("advertisement", advertise(own), true),
            ("advertisement of the link-local address", advertise(eui64), true),
            ("advertisement of the router", advertise(router), false),
            ("advertisement of another link-local address", advertise("fe80::1"), false),
            ("advertisement of the router behind options", advertise(router, [options]), false),
            ("advertisement of the router behind much", advertise(router, [hops, options, options, fragment]), false),
            ("own advertisement behind much", advertise(own, [hops, options, options, fragment]), true),
            ("behind more than is looked at", advertise(own, [hops] + Array(repeating: options, count: 6)), false),
            ("a later fragment", advertise(router, [rest]), true),
            ("solicitation", frame(Frames.discovery(135, source: own, target: router)), true),
            ("solicitation, link-local", frame(Frames.discovery(135, source: eui64, target: router)), true),
            ("solicitation in another's name", frame(Frames.discovery(135, source: router, target: own)), false),
            ("is my address free", frame(Frames.discovery(135, source: "::", target: own)), true),
            ("is the router's address free", frame(Frames.discovery(135, source: "::", target: router)), false),
            ("router solicitation", frame(Frames.discovery(133, source: eui64, target: "::")), true),
            ("router solicitation without source", frame(Frames.discovery(133, source: "::", target: "::")), true),
            ("router solicitation of another", frame(Frames.discovery(133, source: "fe80::1", target: "::")), false),
            ("router advertisement", frame(Frames.discovery(134, source: eui64, target: own)), false),
            ("redirect", frame(Frames.discovery(137, source: eui64, target: own)), false),
            ("cut off", Array(advertise(own).dropLast(1)), false),
            (
                "tag of number 0", frame(Frames.discovery(136, source: own, target: "fd00:88::2"), tags: [(0x8100, 0)]),
                false
            ),
            ("echo", frame(Frames.discovery(128, source: router, target: own)), true),
            ("listener report", frame(Frames.ipv6(source: eui64, next: 58, [143, 0, 0, 0], extensions: [hops])), true),
            ("UDP", frame(Frames.ipv6(source: "2001:db8::1", next: 17, [UInt8](repeating: 7, count: 8))), true),
        ]
    }

    @Test(arguments: ["ethernet", "arp", "discovery"]) func onlyInItsOwnName(name: String) async throws {
        let cases = ["ethernet": Self.ethernet, "arp": Self.arp, "discovery": Self.discovery][name] ?? []
        let (arrived, dropped) = try await send(cases.map(\.frame))
        for (index, item) in cases.enumerated() {
            #expect(arrived.contains(index) == item.passes, "\(item.what)")
        }
        #expect(dropped == UInt64(cases.count { !$0.passes }), "every frame that did not pass was dropped, and counted")
        // The same, trusted.
        let trusted = try await send(cases.map(\.frame), trusted: true)
        #expect(trusted.arrived == Set(cases.indices))
        #expect(trusted.dropped == 0)
    }

    @Test func withoutAddressesAnyMayBeClaimed() async throws {
        let frames = [
            Frames.ethernet(type: 0x0806, Frames.arp(operation: 2, "192.0.2.9")),
            Frames.ethernet(type: 0x0806, Frames.arp(operation: 2, sender: "0a:58:0a:58:00:06", "192.0.2.9")),
            Frames.ethernet(type: 0x86dd, Frames.discovery(136, source: "2001:db8::5", target: "2001:db8::5")),
            Frames.ethernet(type: 0x86dd, Frames.discovery(136, source: "2001:db8::5", target: "fe80::1")),
        ]
        let (arrived, dropped) = try await send(frames, change: { $0.addresses = [] })
        #expect(arrived == [0, 2])
        #expect(dropped == 2)
    }

    @Test func aHundredAddresses() async throws {
        let frames = ["fd00:88::63", "fd00:88::64"].map {
            Frames.ethernet(type: 0x86dd, Frames.discovery(136, source: "::", target: $0))
        }
        let addresses = (0..<100).compactMap { IPPrefix("fd00:88::\(String($0, radix: 16))/64") }
        let (arrived, _) = try await send(frames, change: { $0.addresses = addresses })
        #expect(arrived == [0])
    }

    @Test func smallAndLarge() async throws {
        let frames = [0, 1, 3, 4, 46, 1500, 8986].map { size in
            Frames.ethernet(to: "02:00:00:00:00:01", type: 0x88b5, [UInt8](repeating: UInt8(size & 0xff), count: size))
        }
        #expect(try await send(frames, mtu: 9000).arrived == Set(frames.indices))
        #expect(try await send(frames, trusted: true, mtu: 9000).arrived == Set(frames.indices))
    }

    /// The link is down: nothing of the guest's goes to the host's stack instead.
    @Test func nothingGoesElsewhere() async throws {
        let lab = try await Lab()
        _ = try await lab.bind(answering: false)
        let guest = try await RawGuest(tap: "slw0", in: lab.pod)
        try shell("ip link set eth0 down", in: lab.pod)
        let before = try shell("grep ^Icmp6OutMsgs /proc/net/snmp6; grep ^Ip: /proc/net/snmp", in: lab.pod)
        for frame in (Self.ethernet + Self.arp + Self.discovery).map(\.frame) { try guest.send(frame) }
        let counters = try await lab.pod.run { try NetworkBinding().counters()[0] }
        #expect(counters?.dropped == counters?.frames)
        #expect(try shell("grep ^Icmp6OutMsgs /proc/net/snmp6; grep ^Ip: /proc/net/snmp", in: lab.pod) == before)
    }

    @Test func programsStayWithinTheKernelsLimit() throws {
        let mac = try #require(MACAddress(Lab.mac))
        let addresses = (0..<20).compactMap { IPAddress("fd00:88::\($0)") }
        #expect(SpoofingFilter.program(mac: mac, addresses: []).instructions.count < 400)
        #expect(SpoofingFilter.program(mac: mac, addresses: addresses).instructions.count < 1000)
    }
}

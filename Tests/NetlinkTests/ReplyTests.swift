import CLinux
import Testing

@testable import Netlink

@Suite struct ReplyTests {
    /// What the kernel says about an ipvlan, a point-to-point address and a route with two next hops.
    static let link = message(
        type: Int(RTM_NEWLINK),
        hex(
            """
            00 00 0100 03000000 43100100 00000000
            0900 0300 6e657431 00 000000                        ; IFLA_IFNAME net1
            0a00 0100 0a58c0a80002 0000                         ; IFLA_ADDRESS
            0800 0400 dc050000                                  ; IFLA_MTU 1500
            0800 0500 09000000                                  ; IFLA_LINK 9
            0800 2500 02000000                                  ; IFLA_LINK_NETNSID 2
            2000 1280                                           ; IFLA_LINKINFO, nested flag set
              0b00 0100 6970766c616e 00 00                      ;   IFLA_INFO_KIND ipvlan
              1000 0200                                         ;   IFLA_INFO_DATA
                0600 0100 0100 0000                             ;     IFLA_IPVLAN_MODE l3
                0400 0900
            """))
    static let address = message(
        type: Int(RTM_NEWADDR),
        hex(
            """
            02 20 80 00 03000000                                ; AF_INET /32
            0800 0100 0a010001                                  ; IFA_ADDRESS, the peer
            0800 0200 0a010105                                  ; IFA_LOCAL
            0800 0800 80020000                                  ; IFA_FLAGS
            """))
    static let route = message(
        type: Int(RTM_NEWROUTE),
        hex(
            """
            02 10 00 00 fe 03 00 01 00000000
            0800 0f00 fe000000                                  ; RTA_TABLE main
            0800 0100 0a020000                                  ; RTA_DST 10.2.0.0/16
            0800 0600 64000000                                  ; RTA_PRIORITY 100
            2400 0900                                           ; RTA_MULTIPATH
              1000 04 00 03000000 0800 0500 0a010001            ;   onlink, link 3, via 10.1.0.1
              1000 00 00 04000000 0800 0500 0a010002            ;   link 4, via 10.1.0.2
            """))

    @Test func readLink() throws {
        let link = try #require(NetlinkMessage.split(Self.link).first.flatMap { Link($0) })
        #expect(
            link
                == Link(
                    index: 3, name: "net1", kind: "ipvlan", mac: MACAddress("0a:58:c0:a8:00:02"), mtu: 1500,
                    flags: Link.Flags(rawValue: 0x11043), parent: 9, linkNetnsID: 2, ipvlanMode: .l3))
    }

    @Test func readVLAN() throws {
        let bytes = message(
            type: Int(RTM_NEWLINK),
            hex(
                """
                00 00 0100 05000000 43100100 00000000
                0900 0300 6e657431 00 000000                        ; IFLA_IFNAME net1
                0800 0500 02000000                                  ; IFLA_LINK
                2400 1200                                           ; IFLA_LINKINFO
                  0900 0100 766c616e 00 000000                      ;   IFLA_INFO_KIND vlan
                  1400 0200 0600 0500 8100 0000 0600 0100 2a00 0000 ;   IFLA_INFO_DATA: 802.1Q, 42
                """))
        let link = try #require(NetlinkMessage.split(bytes).first.flatMap { Link($0) })
        #expect(link.kind == "vlan" && link.vlan == 42 && link.parent == 2)
    }

    @Test func readHardwareLink() throws {
        func link(bus: String) throws -> Link {
            let bytes = message(
                type: Int(RTM_NEWLINK),
                hex(
                    """
                    00 00 0100 04000000 43100100 00000000
                    0900 0300 6e657431 00 000000                        ; IFLA_IFNAME net1
                    1100 3800 303030303a33623a30322e31 00 000000        ; IFLA_PARENT_DEV_NAME 0000:3b:02.1
                    \(bus)                                             ; IFLA_PARENT_DEV_BUS_NAME
                    """))
            return try #require(NetlinkMessage.split(bytes).first.flatMap { Link($0) })
        }
        #expect(try link(bus: "0800 3900 70636900").pciAddress == "0000:3b:02.1")
        #expect(try link(bus: "0800 3900 75736200").pciAddress == nil)
    }

    @Test func readPointToPointAddress() throws {
        let address = try #require(NetlinkMessage.split(Self.address).first.flatMap { Address($0) })
        #expect(address.prefix.description == "10.1.1.5/32")
        #expect(address.peer?.description == "10.1.0.1")
        #expect(address.flags == [.permanent, .noPrefixRoute])
    }

    @Test func readRouteWithTwoNextHops() throws {
        let routes = try Route.routes(#require(NetlinkMessage.split(Self.route).first))
        #expect(routes.map(\.linkIndex) == [3, 4])
        #expect(routes.map { $0.gateway?.description } == ["10.1.0.1", "10.1.0.2"])
        #expect(routes.map(\.onLink) == [true, false])
        #expect(
            routes.allSatisfy { $0.destination.description == "10.2.0.0/16" && $0.metric == 100 && $0.table == 254 })
    }

    /// Every cut and 200,000 damaged copies: nothing traps, nothing is read from behind the end.
    @Test func hostileBytes() {
        var random = SplitMix64(seed: 0x5157)
        let errors = acknowledgement(-22, words: "some words")
        var failures: [[UInt8]] = []
        for sample in [
            Self.link, Self.address, Self.route, ProgramFilterTests.statistics, ProgramFilterTests.filters, errors,
        ] {
            for length in 0...sample.count { #expect(stays(within: Array(sample.prefix(length)))) }
            for _ in 0..<50_000 {
                var bytes = sample
                for _ in 0..<Int.random(in: 1...6, using: &random) {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] =
                        [
                            UInt8.random(in: 0...255, using: &random), 0, 1, 3, 4, 0x7f, 0xff,
                        ][Int.random(in: 0..<7, using: &random)]
                }
                let cut = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
                if !stays(within: cut) { failures.append(cut) }
            }
        }
        #expect(failures.isEmpty)
    }

    /// Reads everything as everything; false when more comes out than went in.
    private func stays(within bytes: [UInt8]) -> Bool {
        let messages = NetlinkMessage.split(bytes)
        for message in messages {
            _ = Link(message)
            _ = Address(message)
            _ = InstalledFilter(message)
            _ = message.failure
            _ = Attributes(message.payload.dropFirst(20)).nested(7).flatMap { FrameCounters($0) }
            var ignored: Set<Int32> = [3]
            _ = NetworkMonitor.concerns(message, &ignored) { $0.name.hasPrefix("n") }
            if ignored.count > 2 { return false }
            if Route.routes(message).count > bytes.count / 8 { return false }
        }
        return messages.reduce(0) { $0 + 16 + $1.payload.count } <= bytes.count
    }
}

/// Steele, Lea and Flood's SplittableRandom: the same numbers for a seed everywhere.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

import CLinux
import LinuxSystem
import Testing

@testable import Netlink

/// Requests byte by byte (little-endian machine); the kernel's answers to the same ones are in PodNetworkTests.
@Suite struct RequestTests {
    let channel = FakeChannel()
    var netlink: RTNetlink { RTNetlink(channel) }

    @Test func listLinks() throws {
        _ = try netlink.links()
        #expect(
            channel.requests == [
                hex(
                    """
                    28000000 1200 0103 00000000 00000000        ; length, RTM_GETLINK, REQUEST|DUMP, sequence, port
                    00 00 0000 00000000 00000000 00000000       ; ifinfomsg
                    0800 1d00 08000000                          ; IFLA_EXT_MASK = SKIP_STATS
                    """)
            ])
    }

    @Test func changeLink() throws {
        try netlink.changeLink(
            "slw0", LinkChange(up: true, allMulticast: false, mtu: 9000, alias: "x", noAutomaticIPv6: true))
        #expect(
            channel.requests == [
                hex(
                    """
                    4c000000 1000 0500 00000000 00000000        ; RTM_NEWLINK, REQUEST|ACK
                    00 00 0000 00000000 01000000 01020000       ; flags UP, change UP|ALLMULTI
                    0900 0300 736c7730 00 000000                ; IFLA_IFNAME "slw0"
                    0800 0400 28230000                          ; IFLA_MTU 9000
                    0500 1400 78 000000                         ; IFLA_IFALIAS "x"
                    1000 1a00                                   ; IFLA_AF_SPEC
                      0c00 0a00                                 ;   AF_INET6
                        0500 0800 01 000000                     ;     IFLA_INET6_ADDR_GEN_MODE none
                    """)
            ])
    }

    @Test func createVeth() throws {
        try netlink.createVeth(
            "a", LinkChange(mac: MACAddress("02:00:00:00:00:01")), peer: "b", LinkChange(mtu: 1400))
        #expect(
            channel.requests == [
                hex(
                    """
                    6c000000 1000 0506 00000000 00000000        ; RTM_NEWLINK, REQUEST|ACK|CREATE|EXCL
                    00 00 0000 00000000 00000000 00000000
                    0600 0300 61 00 0000                        ; IFLA_IFNAME "a"
                    0a00 0100 020000000001 0000                 ; IFLA_ADDRESS
                    3800 1200                                   ; IFLA_LINKINFO
                      0900 0100 76657468 00 000000              ;   IFLA_INFO_KIND "veth"
                      2800 0200                                 ;   IFLA_INFO_DATA
                        2400 0100                               ;     VETH_INFO_PEER
                          00 00 0000 00000000 00000000 00000000
                          0600 0300 62 00 0000                  ;       IFLA_IFNAME "b"
                          0800 0400 78050000                    ;       IFLA_MTU 1400
                    """)
            ])
    }

    @Test func deleteLink() throws {
        try netlink.deleteLink("slw0")
        #expect(
            channel.requests == [
                hex(
                    """
                    2c000000 1100 0500 00000000 00000000        ; RTM_DELLINK, REQUEST|ACK
                    00 00 0000 00000000 00000000 00000000
                    0900 0300 736c7730 00 000000                ; IFLA_IFNAME "slw0"
                    """)
            ])
    }

    @Test func setRoute() throws {
        let gateway = try #require(IPAddress("10.1.0.1"))
        let other = try #require(IPAddress("fe80::1"))
        let destination = try #require(IPPrefix("198.51.100.0/24"))
        try netlink.setRoute(
            Route(destination: destination, gateway: gateway, linkIndex: 7, metric: 100, onLink: true), name: "net1")
        try netlink.setRoute(
            Route(destination: .everything(.v4), gateway: other, linkIndex: 7, table: 1000, scope: .link), name: "net1")
        #expect(
            channel.requests == [
                hex(
                    """
                    44000000 1800 0505 00000000 00000000        ; RTM_NEWROUTE, REQUEST|ACK|CREATE|REPLACE
                    02 18 00 00 fe 03 00 01 04000000            ; rtmsg: main table, static by boot, ONLINK
                    0800 0100 c6336400                          ; RTA_DST
                    0800 0500 0a010001                          ; RTA_GATEWAY
                    0800 0400 07000000                          ; RTA_OIF
                    0800 0600 64000000                          ; RTA_PRIORITY
                    0800 0f00 fe000000                          ; RTA_TABLE
                    """),
                hex(
                    """
                    44000000 1800 0505 00000000 00000000
                    02 00 00 00 00 03 fd 01 00000000            ; the table's number is too large for the header
                    1600 1200 0a00 fe800000000000000000000000000001 0000  ; RTA_VIA
                    0800 0400 07000000
                    0800 0f00 e8030000
                    """),
            ])
    }

    @Test func addAddress() throws {
        let prefix = try #require(IPPrefix("10.88.0.5/16"))
        try netlink.addAddress(
            Address(linkIndex: 7, prefix: prefix, scope: .link, flags: [.noPrefixRoute]), name: "slwd0")
        #expect(
            channel.requests == [
                hex(
                    """
                    30000000 1400 0506 00000000 00000000        ; RTM_NEWADDR, REQUEST|ACK|CREATE|EXCL
                    02 10 00 fd 07000000                        ; AF_INET, /16, flags, scope link, link 7
                    0800 0200 0a580005                          ; IFA_LOCAL
                    0800 0100 0a580005                          ; IFA_ADDRESS
                    0800 0800 00020000                          ; IFA_FLAGS NOPREFIXROUTE
                    """)
            ])
    }

    /// What a physical function is told of one of its virtual ones. Nothing here can take it: no hardware has one.
    @Test func virtualFunction() throws {
        try netlink.setVirtualFunction(3, of: "pf0", mac: try #require(MACAddress("0a:58:0a:58:00:05")))
        #expect(
            channel.requests == [
                hex(
                    """
                    58000000 1000 0500 00000000 00000000        ; RTM_NEWLINK, REQUEST|ACK
                    00 00 0000 00000000 00000000 00000000
                    0800 0300 70663000                          ; IFLA_IFNAME "pf0"
                    3000 1600                                   ; IFLA_VFINFO_LIST
                      2c00 0100                                 ;   IFLA_VF_INFO
                        2800 0100                               ;     IFLA_VF_MAC
                          03000000 0a580a580005 0000 00000000 00000000 00000000 00000000 00000000 00000000
                    """)
            ])
    }

    @Test func virtualFunctionsOfALink() throws {
        func information(_ number: String, _ mac: String) -> String {
            """
            4000 0180                                           ; IFLA_VF_INFO, nested flag set
              2800 0100                                         ;   IFLA_VF_MAC
                \(number) \(mac) 0000 00000000 00000000 00000000 00000000 00000000 00000000
              1400 0200 \(number) 64000000 00000000 00000000     ;   IFLA_VF_VLAN 100
            """
        }
        let channel = FakeChannel([
            message(
                type: Int(RTM_NEWLINK),
                hex(
                    """
                    00 00 0100 03000000 43100100 00000000
                    8400 1680                                   ; IFLA_VFINFO_LIST
                    \(information("00000000", "000000000000"))
                    \(information("07000000", "0a580a580007"))
                    """)) + acknowledgement(0)
        ])
        let functions = try RTNetlink(channel).virtualFunctions(of: "pf0")
        #expect(functions.mapValues(\.description) == [0: "00:00:00:00:00:00", 7: "0a:58:0a:58:00:07"])
        #expect(
            channel.requests == [
                hex(
                    """
                    30000000 1200 0500 00000000 00000000        ; RTM_GETLINK, REQUEST|ACK
                    00 00 0000 00000000 00000000 00000000
                    0800 0300 70663000                          ; IFLA_IFNAME "pf0"
                    0800 1d00 09000000                          ; IFLA_EXT_MASK = VF|SKIP_STATS
                    """)
            ])
        // One that ends in the middle says what it has said.
        let short = FakeChannel([
            message(type: Int(RTM_NEWLINK), hex("00 00 0100 03000000 43100100 00000000 8400 1680"))
        ])
        #expect(throws: SystemError.self) { try RTNetlink(short).virtualFunctions(of: "pf0") }
    }

    @Test func ingress() throws {
        try netlink.addIngress(linkIndex: 2, name: "eth0")
        try netlink.deleteIngress(linkIndex: 2, name: "eth0")
        let rest = """
            00 00 0000 02000000 0000ffff f1ffffff 00000000      ; tcmsg: link 2, handle ffff:, parent ingress
            0c00 0100 696e6772657373 00                         ; TCA_KIND "ingress"
            """
        #expect(
            channel.requests == [
                hex("30000000 2400 0506 00000000 00000000 \n" + rest),  // RTM_NEWQDISC, REQUEST|ACK|CREATE|EXCL
                hex("30000000 2500 0500 00000000 00000000 \n" + rest),  // RTM_DELQDISC, REQUEST|ACK
            ])
    }

    @Test func redirectOfEverything() throws {
        try netlink.addRedirect(Redirect(priority: 10, to: 5), linkIndex: 2, name: "eth0")
        #expect(
            channel.requests == [
                filter(
                    length: "8c", info: "00030a00", options: "6000", keys: 1,
                    """
                    00000000 00000000 00000000 00000000                 ; compares nothing
                    """)
            ])
    }

    @Test func redirectOfSome() throws {
        let keys = [U32Key(octet: 17, at: 9), U32Key(68 << 16 | 67, at: 20)]
        try netlink.addRedirect(Redirect(priority: 1, frames: .ipv4, keys: keys, to: 5), linkIndex: 2, name: "eth0")
        #expect(
            channel.requests == [
                filter(
                    length: "9c", info: "08000100", options: "7000", keys: 2,
                    """
                    00ff0000 00110000 08000000 00000000                 ; protocol at 9 is UDP
                    ffffffff 00440043 14000000 00000000                 ; ports 68 to 67
                    """)
            ])
    }

    private func filter(length: String, info: String, options: String, keys: Int, _ keyBytes: String) -> [UInt8] {
        hex(
            """
            \(length)000000 2c00 0506 00000000 00000000          ; RTM_NEWTFILTER, REQUEST|ACK|CREATE|EXCL
            00 00 0000 02000000 00000000 0000ffff \(info)        ; tcmsg: link 2, parent ffff:, EtherType, priority
            0800 0100 75333200                                  ; TCA_KIND "u32"
            \(options) 0200                                      ; TCA_OPTIONS
              3800 0700                                         ;   TCA_U32_ACT
                3400 0100                                       ;     1
                  0b00 0100 6d6972726564 00 00                  ;       TCA_ACT_KIND "mirred"
                  2400 0200                                     ;       TCA_ACT_OPTIONS
                    2000 0200                                   ;         TCA_MIRRED_PARMS
                      00000000 00000000 04000000 00000000 00000000 ;        index, capab, STOLEN, refcnt, bindcnt
                      01000000 05000000                         ;           EGRESS_REDIR, link 5
              \(keys == 1 ? "2400" : "3400") 0500                 ;   TCA_U32_SEL
                01 00 0\(keys) 00 0000 0000 0000 0000 00000000     ;     TERMINAL, number of keys
            """ + "\n" + keyBytes)
    }

    @Test func keyOfOneOctet() {
        #expect(U32Key(octet: 0x45, at: 0) == U32Key(0x4500_0000, mask: 0xff00_0000, at: 0))
        #expect(U32Key(octet: 58, at: 6) == U32Key(58 << 8, mask: 0xff00, at: 4))
        #expect(U32Key(octet: 1, at: -14) == U32Key(1 << 8, mask: 0xff00, at: -16))
    }

    @Test func failureWithTheKernelsWords() {
        let netlink = RTNetlink(FakeChannel([acknowledgement(-17, words: "Exclusivity flag on")]))
        #expect(throws: SystemError("add ingress qdisc to", "eth0 (Exclusivity flag on)", code: 17)) {
            try netlink.addIngress(linkIndex: 2, name: "eth0")
        }
    }

    /// No kernel says so; it must not end the process all the same.
    @Test func failureWithTheLeastNumber() {
        let netlink = RTNetlink(FakeChannel([acknowledgement(.min)]))
        #expect(throws: SystemError("add ingress qdisc to", "eth0", code: .max)) {
            try netlink.addIngress(linkIndex: 2, name: "eth0")
        }
    }

    @Test(arguments: ["", "sixteen-letters-"]) func nameThatDoesNotFit(name: String) {
        #expect(throws: SystemError("delete link", name, code: 22)) { try netlink.deleteLink(name) }
        #expect(channel.requests.isEmpty)
    }

    @Test func interruptedListIsReadAgain() throws {
        let done = message(type: 3, flags: 0x10 | 0x2, [0, 0, 0, 0])
        let changed = message(type: 16, flags: 0x10 | 0x2, [UInt8](repeating: 0, count: 16)) + done
        let netlink = RTNetlink(FakeChannel([changed, message(type: 3, [0, 0, 0, 0])]))
        #expect(try netlink.links().isEmpty)
        #expect(throws: SystemError("list links", code: 11)) {
            try RTNetlink(FakeChannel([[UInt8]](repeating: changed, count: 8))).links()
        }
    }
}

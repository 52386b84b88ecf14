import LinuxSystem
import Testing

@testable import Netlink

/// Requests byte by byte (little-endian machine); the kernel's answers to the same ones are in PodNetworkTests.
@Suite struct ProgramFilterTests {
    let channel = FakeChannel()
    var netlink: RTNetlink { RTNetlink(channel) }

    @Test func redirectEverything() throws {
        try netlink.setFilter(ProgramFilter(priority: 10, .leave(by: 5)), linkIndex: 2, name: "eth0")
        #expect(
            channel.requests == [
                hex(
                    """
                    7c000000 2c00 0505 00000000 00000000        ; RTM_NEWTFILTER, REQUEST|ACK|CREATE|REPLACE
                    00 00 0000 02000000 01000000 0000ffff 00030a00 ; tcmsg: link 2, handle 1, parent ffff:, ETH_P_ALL, 10
                    0800 0100 62706600                          ; TCA_KIND "bpf"
                    5000 0200                                   ; TCA_OPTIONS
                      3800 0100                                 ;   TCA_BPF_ACT
                        3400 0100                               ;     1
                          0b00 0100 6d6972726564 00 00          ;       TCA_ACT_KIND "mirred"
                          2400 0200                             ;       TCA_ACT_OPTIONS
                            2000 0200                           ;         TCA_MIRRED_PARMS
                              00000000 00000000 04000000 00000000 00000000 ;  index, capab, STOLEN, refcnt, bindcnt
                              01000000 05000000                 ;           EGRESS_REDIR, link 5
                      0600 0400 0100 0000                       ;   TCA_BPF_OPS_LEN 1
                      0c00 0500 0600 00 00 ffffffff             ;   TCA_BPF_OPS: ret -1
                    """)
            ])
    }

    @Test func dropOnTheWayOut() throws {
        try netlink.setFilter(ProgramFilter(priority: 20, .drop), .leaving, linkIndex: 2, name: "slw0")
        #expect(
            channel.requests == [
                hex(
                    """
                    4c000000 2c00 0505 00000000 00000000
                    00 00 0000 02000000 01000000 f3ffffff 00031400 ; parent: clsact's egress, priority 20
                    0800 0100 62706600
                    2000 0200
                      0800 0800 01000000                        ;   TCA_BPF_FLAGS: ACT_DIRECT
                      0600 0400 0100 0000
                      0c00 0500 0600 00 00 02000000             ;   ret TC_ACT_SHOT
                    """)
            ])
    }

    @Test func filterHooks() throws {
        try netlink.addFilterHooks(linkIndex: 2, name: "slw0")
        #expect(
            channel.requests == [
                hex(
                    """
                    30000000 2400 0506 00000000 00000000        ; RTM_NEWQDISC, REQUEST|ACK|CREATE|EXCL
                    00 00 0000 02000000 0000ffff f1ffffff 00000000
                    0b00 0100 636c73616374 00 00                ; TCA_KIND "clsact"
                    """)
            ])
    }

    @Test func createMacvtap() throws {
        try netlink.createMacvtap(
            "a", over: 2, index: 0x4000_0001, receivesAll: false, LinkChange(mac: MACAddress("02:00:00:00:00:01")))
        #expect(
            channel.requests == [
                hex(
                    """
                    6000 0000 1000 0506 00000000 00000000       ; RTM_NEWLINK, REQUEST|ACK|CREATE|EXCL
                    00 00 0000 01000040 00000000 00000000       ; ifinfomsg with the number
                    0600 0300 61 00 0000                        ; IFLA_IFNAME "a"
                    0800 0500 02000000                          ; IFLA_LINK
                    0a00 0100 020000000001 0000                 ; IFLA_ADDRESS
                    2400 1200                                   ; IFLA_LINKINFO
                      0c00 0100 6d61637674617000                ;   IFLA_INFO_KIND "macvtap"
                      1400 0200                                 ;   IFLA_INFO_DATA
                        0800 0100 08000000                      ;     IFLA_MACVLAN_MODE passthru
                        0600 0200 0100 0000                     ;     IFLA_MACVLAN_FLAGS NOPROMISC
                    """)
            ])
    }

    @Test func programTooLong() throws {
        let program = PacketProgram { assembler in
            for _ in 0..<5000 { assembler.load(.octet, at: 0) }
        }
        #expect(throws: SystemError("filter frames of", "slw0", code: 7)) {
            try netlink.setFilter(ProgramFilter(priority: 1, .pass, matching: program), linkIndex: 2, name: "slw0")
        }
        #expect(channel.requests.isEmpty)
    }

    /// As `tc filter add … bpf bytecode` takes it, in the order code, jt, jf, k.
    @Test func instructions() {
        let program = PacketProgram { a in
            let (yes, no) = (a.label(), a.label())
            a.load(.half, at: 12)
            a.jump(.equals(0x0806), to: yes)
            a.loadTagPresence()
            a.jump(.differs(0), to: no)
            a.setIndex(4)
            a.load(.octet, atIndexPlus: 20)
            a.jump(.exceeds(9), to: no)
            a.jump(.isBelow(2), to: no)
            a.place(yes)
            a.match()
            a.place(no)
            a.reject()
        }
        #expect(
            program.instructions.map { [UInt32($0.code), UInt32($0.skipIfTrue), UInt32($0.skipIfFalse), $0.operand] }
                == [
                    [0x28, 0, 0, 12], [0x15, 0, 1, 0x0806], [0x05, 0, 0, 9],
                    [0x20, 0, 0, 0xffff_f030], [0x15, 1, 0, 0], [0x05, 0, 0, 7],
                    [0x01, 0, 0, 4], [0x50, 0, 0, 20], [0x25, 0, 1, 9], [0x05, 0, 0, 3],
                    [0x35, 1, 0, 2], [0x05, 0, 0, 1], [0x06, 0, 0, 0xffff_ffff], [0x06, 0, 0, 0],
                ])
    }

    /// What the kernel says of three filters of a link, and of what belongs to them.
    static let filters: [UInt8] = {
        let tcmsg = "00 00 0000 07000000"
        let mirred = "2c00 0200 2000 0200 02000000 00000000 04000000 01000000 01000000"
        let parts = [
            // The priority's own entry.
            "\(tcmsg) 00000000 f2ffffff 00030a00 0800 0100 62706600",
            """
            \(tcmsg) 01000000 f2ffffff 00030a00            ; handle 1, ETH_P_ALL, priority 10
            0800 0100 62706600                             ; TCA_KIND "bpf"
            5400 0200                                      ; TCA_OPTIONS
              4000 0100 3c00 0100                          ;   TCA_BPF_ACT, 1
                0b00 0100 6d6972726564 00 00               ;     TCA_ACT_KIND "mirred"
                \(mirred) 01000000 05000000                ;     TCA_MIRRED_PARMS: EGRESS_REDIR, link 5
                0400 0400 0400 0400
              0600 0400 0100 0000
              0c00 0500 0600 00 00 ffffffff                ;   TCA_BPF_OPS
            """,
            """
            \(tcmsg) 01000000 f2ffffff 00031400            ; priority 20
            0800 0100 62706600
            2000 0200
              0800 0800 01000000                           ;   TCA_BPF_FLAGS: ACT_DIRECT
              0600 0400 0100 0000
              0c00 0500 0600 00 00 02000000                ;   ret TC_ACT_SHOT
            """,
            // A table of u32's.
            "\(tcmsg) 00000080 f2ffffff 08000100 0800 0100 75333200 0c00 0200 0800 0400 01000000",
            """
            \(tcmsg) 00080080 f2ffffff 08000100            ; handle 80000800, ETH_P_IP, priority 1
            0800 0100 75333200                             ; TCA_KIND "u32"
            6000 0200                                      ; TCA_OPTIONS
              2400 0500 01 00 01 00 00000000 00000000 00000000 00000000 00000000 00000000 00000000 ; TCA_U32_SEL
              3800 0700 3400 0100
                0b00 0100 6d6972726564 00 00
                2400 0200 2000 0200 02000000 00000000 04000000 01000000 01000000 03000000 06000000 ; INGRESS_REDIR
            """,
        ]
        return parts.flatMap { message(type: 44, hex($0)) }
    }()

    @Test func readFilters() throws {
        let channel = FakeChannel([Self.filters + message(type: 3, [0, 0, 0, 0])])
        let filters = try RTNetlink(channel).filters(.leaving, linkIndex: 7)
        #expect(
            filters == [
                InstalledFilter(priority: 10, .leave(by: 5)), InstalledFilter(priority: 20, .drop),
                InstalledFilter(priority: 1, .arrive(on: 6)),
            ])
        #expect(
            channel.requests == [
                hex("24000000 2e00 0103 00000000 00000000 00 00 0000 07000000 00000000 f3ffffff 00000000")
            ])
    }

    /// What the kernel says of a link's ingress qdisc.
    static let statistics = message(
        type: 36,
        hex(
            """
            00 00 0000 07000000 0000ffff f1ffffff 01000000      ; tcmsg: link 7
            0c00 0100 696e6772657373 00                         ; TCA_KIND "ingress"
            3c00 0700                                           ; TCA_STATS2
              1400 0100 2c02000000000000 09000000 00000000      ;   TCA_STATS_BASIC: 556 bytes, 9 packets
              1800 0300 00000000 00000000 04000000 00000000 00000000 ; TCA_STATS_QUEUE: 4 drops
              0c00 0800 0900000001000000                        ;   TCA_STATS_PKT64
            """))

    @Test func counters() throws {
        let done = message(type: 3, [0, 0, 0, 0])
        let netlink = RTNetlink(FakeChannel([Self.statistics + done]))
        #expect(try netlink.arrivalCounters() == [7: FrameCounters(frames: 0x1_0000_0009, bytes: 556, dropped: 4)])
    }
}

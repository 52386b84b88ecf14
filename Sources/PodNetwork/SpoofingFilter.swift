import Netlink

/// Which of a guest's frames may leave: those that speak in its own name.
///
/// Checked of every frame: the Ethernet source is the NIC's. Of frames without VLAN tag, or with a tag of number 0, which
/// is none (IEEE 802.1Q, 9.6):
/// - ARP and RARP: Ethernet and IPv4, the sender's hardware address is the NIC's, and its IP address is one of the plan's
///   or 0.0.0.0 (a probe, RFC 5227). A NIC without IPv4 addresses of the network's may claim any.
/// - Neighbour discovery behind at most six extension headers: an advertisement's target, a solicitation's source, and the
///   target where duplicate addresses are looked for, are the plan's addresses or the link-local address made of the
///   Ethernet address. A NIC without IPv6 addresses of the network's may claim any that is not link-local.
/// - Router advertisements and redirects are not a station's to send.
///
/// Of frames with a tag the ARP sender's hardware address alone is checked: the networks of the tags are the guest's own
/// affair. Not checked are IP source addresses, since guests route, what DHCP servers say, and frames that are not
/// Ethernet II.
enum SpoofingFilter {
    static func program(mac: MACAddress, addresses: [IPAddress]) -> PacketProgram {
        PacketProgram { assembler in
            var writer = SpoofingFilterWriter(
                mac: mac, v4: addresses.filter { $0.family == .v4 }, v6: addresses.filter { $0.family == .v6 },
                accept: assembler.label(), drop: assembler.label())
            writer.write(&assembler)
        }
    }
}

/// Writes the program part by part.
private struct SpoofingFilterWriter {
    typealias Assembler = PacketProgram.Assembler

    let mac: MACAddress
    let v4: [IPAddress]
    let v6: [IPAddress]
    let accept: Assembler.Label
    let drop: Assembler.Label

    /// Words of the program's memory.
    private enum Slot {
        /// IPv6: the type of the header at the index register.
        static let nextHeader: UInt32 = 0
        /// Octets that a VLAN tag inside the frame moves everything by.
        static let shift: UInt32 = 1
        /// Where the ICMPv6 message begins.
        static let message: UInt32 = 2
    }

    /// Octets from the frame's start, without a tag.
    private enum Offset {
        static let source: UInt32 = 6
        static let type: UInt32 = 12
        static let payload: UInt32 = 14
    }

    mutating func write(_ a: inout Assembler) {
        let (tagged, untagged, look) = (a.label(), a.label(), a.label())
        requireMAC(&a) { $0.load($1, at: Offset.source + $2) }
        // Frames come in with their tag taken out of them; those that a macvtap sends have it still.
        a.setIndex(0)
        a.loadTagPresence()
        a.jump(.equals(0), to: look)
        a.loadTag()
        a.and(0xfff)
        a.jump(.differs(0), to: tagged)
        a.load(.half, at: Offset.type)
        rejectTags(&a)
        a.jump(to: untagged)

        a.place(look)
        let inside = a.label()
        a.load(.half, at: Offset.type)
        a.jump(.equals(0x8100), to: inside)
        a.jump(.equals(0x88a8), to: inside)
        a.jump(to: untagged)
        a.place(inside)
        a.setIndex(4)
        a.load(.half, at: Offset.payload)
        a.and(0xfff)
        a.jump(.differs(0), to: tagged)
        a.load(.half, at: Offset.type + 4)
        rejectTags(&a)

        a.place(untagged)
        let (arp, ipv6) = (a.label(), a.label())
        a.load(.half, atIndexPlus: Offset.type)
        a.jump(.equals(0x0806), to: arp)
        a.jump(.equals(0x8035), to: arp)
        a.jump(.equals(0x86dd), to: ipv6)
        a.jump(to: accept)
        a.place(arp)
        writeARP(&a)
        a.place(ipv6)
        writeIPv6(&a)

        a.place(tagged)
        let taggedARP = a.label()
        a.load(.half, atIndexPlus: Offset.type)
        a.jump(.equals(0x0806), to: taggedARP)
        a.jump(.equals(0x8035), to: taggedARP)
        a.jump(to: accept)
        a.place(taggedARP)
        requireMAC(&a) { $0.load($1, atIndexPlus: Offset.payload + 8 + $2) }

        a.place(accept)
        a.match()
        a.place(drop)
        a.reject()
    }

    /// A receiver takes a tag of number 0 off and looks at what is behind it. Behind it is another one: whose rules hold
    /// would depend on the receiver.
    private func rejectTags(_ a: inout Assembler) {
        a.jump(.equals(0x8100), to: drop)
        a.jump(.equals(0x88a8), to: drop)
    }

    private func requireMAC(
        _ a: inout Assembler, _ load: (inout Assembler, Assembler.Width, _ offset: UInt32) -> Void
    ) {
        load(&a, .word, 0)
        a.jump(.differs(word(mac.bytes, 0)), to: drop)
        load(&a, .half, 4)
        a.jump(.differs(word([0, 0] + mac.bytes[4...], 0)), to: drop)
    }

    /// RFC 826: hardware and protocol type at 0, lengths at 4, sender's addresses at 8 and 14.
    private func writeARP(_ a: inout Assembler) {
        a.load(.word, atIndexPlus: Offset.payload)
        a.jump(.differs(0x0001_0800), to: drop)
        a.load(.half, atIndexPlus: Offset.payload + 4)
        a.jump(.differs(0x0604), to: drop)
        requireMAC(&a) { $0.load($1, atIndexPlus: Offset.payload + 8 + $2) }
        a.load(.word, atIndexPlus: Offset.payload + 14)
        if v4.isEmpty { a.jump(to: accept) }
        for address in [.unspecified(.v4)] + v4 { a.jump(.equals(word(address.bytes, 0)), to: accept) }
        a.jump(to: drop)
    }

    private func writeIPv6(_ a: inout Assembler) {
        a.storeIndex(Slot.shift)
        a.load(.octet, atIndexPlus: Offset.payload + 6)
        a.store(Slot.nextHeader)
        a.moveFromIndex()
        a.add(Offset.payload + 40)
        a.moveToIndex()
        let message = a.label()
        for _ in 0..<6 { skipExtensionHeader(&a, message) }
        a.recall(Slot.nextHeader)
        a.jump(.equals(58), to: message)
        a.jump(to: drop)
        a.place(message)
        writeDiscovery(&a)
    }

    /// RFC 8200, section 4: hop-by-hop and destination options, routing, and a fragment's header, whose first fragment
    /// has the message. Whatever else follows is no neighbour discovery.
    private func skipExtensionHeader(_ a: inout Assembler, _ message: Assembler.Label) {
        let (options, fragment, next) = (a.label(), a.label(), a.label())
        a.recall(Slot.nextHeader)
        a.jump(.equals(58), to: message)
        for type: UInt32 in [0, 43, 60] { a.jump(.equals(type), to: options) }
        a.jump(.equals(44), to: fragment)
        a.jump(to: accept)

        a.place(fragment)
        a.load(.half, atIndexPlus: 2)
        a.and(0xfff8)
        a.jump(.differs(0), to: accept)
        a.load(.octet, atIndexPlus: 0)
        a.store(Slot.nextHeader)
        a.moveFromIndex()
        a.add(8)
        a.moveToIndex()
        a.jump(to: next)

        a.place(options)
        a.load(.octet, atIndexPlus: 0)
        a.store(Slot.nextHeader)
        a.load(.octet, atIndexPlus: 1)
        a.shiftLeft(3)
        a.add(8)
        a.addIndex()
        a.moveToIndex()
        a.place(next)
    }

    /// RFC 4861, section 4: the type is the first octet; solicitations and advertisements have the target at 8.
    private func writeDiscovery(_ a: inout Assembler) {
        a.storeIndex(Slot.message)
        a.load(.octet, atIndexPlus: 0)
        a.jump(.isBelow(133), to: accept)
        a.jump(.exceeds(137), to: accept)
        a.jump(.equals(134), to: drop)
        a.jump(.equals(137), to: drop)
        let target = a.label()
        a.jump(.equals(136), to: target)
        // Without a source a router solicitation claims nothing; a neighbour solicitation wants the target for itself.
        let source = a.label()
        let solicitation = a.label()
        a.jump(.equals(135), to: solicitation)
        a.recallIndex(Slot.shift)
        jumpUnlessUnspecified(&a, to: source)
        a.jump(to: accept)
        a.place(solicitation)
        a.recallIndex(Slot.shift)
        jumpUnlessUnspecified(&a, to: source)
        a.recallIndex(Slot.message)
        a.jump(to: target)

        a.place(source)
        requireOwn(&a, at: Offset.payload + 8)
        a.place(target)
        requireOwn(&a, at: 8)
    }

    private func jumpUnlessUnspecified(_ a: inout Assembler, to label: Assembler.Label) {
        for offset: UInt32 in stride(from: 0, to: 16, by: 4) {
            a.load(.word, atIndexPlus: Offset.payload + 8 + offset)
            a.jump(.differs(0), to: label)
        }
    }

    /// Ends the program: the address at the offset is the guest's, or not.
    private func requireOwn(_ a: inout Assembler, at offset: UInt32) {
        for address in [.linkLocal(of: mac)] + v6 {
            let other = a.label()
            for start in stride(from: 0, to: 16, by: 4) {
                a.load(.word, atIndexPlus: offset + UInt32(start))
                a.jump(.differs(word(address.bytes, start)), to: other)
            }
            a.jump(to: accept)
            a.place(other)
        }
        guard v6.isEmpty else { return a.jump(to: drop) }
        a.load(.word, atIndexPlus: offset)
        a.and(0xffc0_0000)
        a.jump(.equals(0xfe80_0000), to: drop)
        a.jump(to: accept)
    }

    private func word(_ bytes: [UInt8], _ start: Int) -> UInt32 {
        bytes[start..<start + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }
}

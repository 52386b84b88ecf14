import Glibc
public import LinuxSystem
public import Netlink

/// What tells a network where a NIC's addresses are, unasked: switches learn the port, neighbours the Ethernet address.
public enum Announcement {
    /// Most addresses that are announced.
    public static let maximum = 64

    /// One frame for each address: an ARP announcement (RFC 5227, 2.3) or an unsolicited neighbour advertisement to all
    /// nodes (RFC 4861, 7.2.6), from the NIC's Ethernet address. Link-local addresses are the guest's to announce.
    public static func frames(mac: MACAddress, addresses: [IPPrefix]) -> [[UInt8]] {
        addresses.prefix(maximum).map { prefix in
            prefix.family == .v4 ? arp(mac.bytes, prefix.address.bytes) : advertisement(mac.bytes, prefix.address.bytes)
        }
    }

    private static func arp(_ mac: [UInt8], _ address: [UInt8]) -> [UInt8] {
        let header: [UInt8] = [0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1]
        return [UInt8](repeating: 0xff, count: 6) + mac + header + mac + address + [UInt8](repeating: 0, count: 6)
            + address
    }

    private static func advertisement(_ mac: [UInt8], _ address: [UInt8]) -> [UInt8] {
        let allNodes: [UInt8] = [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        // Type 136, checksum, flags: override; then the target and its Ethernet address (option 2).
        var message: [UInt8] = [136, 0, 0, 0, 0x20, 0, 0, 0] + address + [2, 1] + mac
        // RFC 8200, 8.1: the pseudo-header counts too.
        let sum = checksum(address + allNodes + [0, 0, 0, UInt8(message.count), 0, 0, 0, 58] + message)
        message[2] = UInt8(sum >> 8)
        message[3] = UInt8(sum & 0xff)
        let header: [UInt8] = [0x86, 0xdd, 0x60, 0, 0, 0, 0, UInt8(message.count), 58, 255]
        return [0x33, 0x33, 0, 0, 0, 1] + mac + header + address + allNodes + message
    }

    /// The Internet checksum of an even number of octets (RFC 1071).
    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var sum: UInt32 = 0
        for start in stride(from: 0, to: bytes.count - 1, by: 2) {
            sum += UInt32(bytes[start]) << 8 | UInt32(bytes[start + 1])
        }
        while sum > 0xffff { sum = sum >> 16 + sum & 0xffff }
        return ~sum & 0xffff
    }
}

extension NetworkBinding {
    /// Announces a NIC's addresses on the pod's link, once. To be called when the guest can be reached by them, and after
    /// ``rejoin(_:)``.
    /// Nothing is announced for a NIC whose addresses are not the network's (masquerade), or whose frames do not pass a
    /// link of the pod's.
    public func announce(_ plan: InterfacePlan) throws(SystemError) {
        switch plan.binding {
        case .tap, .macvtap: break
        case .masquerade, .hostDevice, .vhostUser, .vdpa: return
        }
        let frames = Announcement.frames(mac: plan.mac, addresses: plan.addresses)
        if frames.isEmpty { return }
        let socket = try PacketSocket(linkIndex: try index(plan.link), receiving: false)
        for frame in frames {
            do throws(SystemError) {
                try socket.send(frame)
            } catch {
                // A full queue loses an announcement, as any frame may be lost.
                guard [EAGAIN, ENOBUFS].contains(error.code) else { throw error }
            }
        }
    }
}

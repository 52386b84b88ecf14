import CLinux
import Glibc
public import LinuxSystem

extension RTNetlink {
    /// The Ethernet address of a neighbour on a link, asked for by ARP or neighbour discovery when it is not known.
    ///
    /// - Returns: nil when nobody has answered after `milliseconds`.
    public func resolve(
        _ address: IPAddress, linkIndex: Int32, name: String, milliseconds: Int64 = 200
    ) throws(SystemError) -> MACAddress? {
        let deadline = Clock.milliseconds + milliseconds
        var header = ndmsg()
        header.ndm_family = address.family.number
        header.ndm_ifindex = linkIndex
        // NTF_USE starts the resolution without sending a packet of ours.
        header.ndm_flags = UInt8(truncatingIfNeeded: NTF_USE)
        var use = MessageBuilder(type: Int(RTM_NEWNEIGH), flags: NLM_F_ACK | NLM_F_CREATE)
        use.append(header)
        use.attribute(Int(NDA_DST), address.bytes)
        _ = try perform(use, "resolve \(address) on", name)

        header.ndm_flags = 0
        var get = MessageBuilder(type: Int(RTM_GETNEIGH), flags: NLM_F_ACK)
        get.append(header)
        get.attribute(Int(NDA_DST), address.bytes)
        while true {
            let found = try perform(get, "resolve \(address) on", name).compactMap { Self.hardwareAddress($0) }
            if let mac = found.first { return mac }
            if Clock.milliseconds >= deadline { return nil }
            usleep(1000)
        }
    }

    /// The address in an RTM_NEWNEIGH message whose entry is valid (REACHABLE, STALE, DELAY, PROBE, PERMANENT).
    private static func hardwareAddress(_ message: NetlinkMessage) -> MACAddress? {
        guard message.type == Int(RTM_NEWNEIGH), let header: ndmsg = message.payload.load(at: 0) else { return nil }
        let valid = Int32(NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT)
        guard Int32(header.ndm_state) & valid != 0 else { return nil }
        let attributes = Attributes(message.payload.dropFirst(MemoryLayout<ndmsg>.size))
        return attributes[Int(NDA_LLADDR)].flatMap { MACAddress(bytes: $0) }
    }
}

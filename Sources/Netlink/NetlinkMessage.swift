import CLinux

/// A message that the kernel sent.
public struct NetlinkMessage: Equatable, Sendable {
    /// `NLMSG_…` or `RTM_…`.
    public let type: Int
    /// `NLM_F_…`.
    public let flags: Int32
    /// The sequence number of the request that it answers.
    public let sequence: UInt32
    /// What follows the header.
    public let payload: ArraySlice<UInt8>

    /// Splits a datagram into its messages. One that claims more bytes than there are, or fewer than its header has,
    /// ends the list.
    public static func split(_ datagram: [UInt8]) -> [NetlinkMessage] {
        var messages: [NetlinkMessage] = []
        var rest = datagram[...]
        while let header: nlmsghdr = rest.load(at: 0), header.nlmsg_len >= 16, Int(header.nlmsg_len) <= rest.count {
            let length = Int(header.nlmsg_len)
            messages.append(
                NetlinkMessage(
                    type: Int(header.nlmsg_type), flags: Int32(header.nlmsg_flags), sequence: header.nlmsg_seq,
                    payload: rest.dropFirst(16).prefix(length - 16)))
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return messages
    }

    /// Whether it ends the answer to a request: an acknowledgement, an error, or the end of a dump.
    var isLast: Bool { type == Int(NLMSG_ERROR) || type == Int(NLMSG_DONE) }

    /// The failure that an NLMSG_ERROR or NLMSG_DONE reports, with the kernel's own words where it has any
    /// (NLMSGERR_ATTR_MSG, netlink(7) NETLINK_EXT_ACK); nil for success and for other messages.
    var failure: (code: Int32, explanation: String?)? {
        guard isLast, let code: Int32 = payload.load(at: 0), code < 0 else { return nil }
        guard flags & NLM_F_ACK_TLVS != 0 else { return (code, nil) }
        var skipped = 4
        if type == Int(NLMSG_ERROR) {
            // The request follows: its header alone when capped, else the whole of it.
            guard let length: UInt32 = payload.load(at: 4) else { return (code, nil) }
            skipped += flags & NLM_F_CAPPED != 0 ? 16 : (min(Int(length), payload.count) + 3) & ~3
        }
        return (code, Attributes(payload.dropFirst(skipped)).string(Int(NLMSGERR_ATTR_MSG.rawValue)))
    }
}

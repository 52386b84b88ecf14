import CLinux
public import LinuxSystem

/// One comparison of a u32 filter: 32 bits at an offset from the network header, ANDed with a mask (tc-u32(8)).
public struct U32Key: Hashable, Sendable {
    /// The bits that count, as the frame's four octets read in network order.
    public var mask: UInt32
    /// What they have to be.
    public var value: UInt32
    /// Octets from the start of the network header, a multiple of four; negative offsets lie in the Ethernet header.
    public var offset: Int32

    /// A comparison.
    public init(_ value: UInt32, mask: UInt32 = 0xffff_ffff, at offset: Int32) {
        self.mask = mask
        self.value = value & mask
        self.offset = offset
    }

    /// A comparison of one octet at any offset.
    public init(octet: UInt8, mask: UInt8 = 0xff, at offset: Int32) {
        let shift = UInt32(3 - offset & 3) * 8
        self.init(UInt32(octet) << shift, mask: UInt32(mask) << shift, at: offset & ~3)
    }

    /// Comparisons of a whole address that starts at an offset.
    public static func address(_ address: IPAddress, at offset: Int32) -> [U32Key] {
        stride(from: 0, to: address.bytes.count, by: 4).map { start in
            let word = address.bytes[start..<start + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return U32Key(word, at: offset + Int32(start))
        }
    }
}

/// Frames that arrive on one link and leave by another, unseen by the host's network stack.
public struct Redirect: Hashable, Sendable {
    /// Which EtherType is looked at.
    public enum FrameType: UInt16, Hashable, Sendable {
        /// Every frame (ETH_P_ALL).
        case any = 0x0003
        /// IPv4.
        case ipv4 = 0x0800
        /// IPv6.
        case ipv6 = 0x86dd
    }

    /// Filters are tried in ascending order; filters of one priority have one frame type.
    public var priority: UInt16
    /// The frames' type.
    public var frames: FrameType
    /// All of these have to match; none: every frame of the type.
    public var keys: [U32Key]
    /// The link that the frames leave by.
    public var target: Int32

    /// A redirect.
    public init(priority: UInt16, frames: FrameType = .any, keys: [U32Key] = [], to target: Int32) {
        self.priority = priority
        self.frames = frames
        self.keys = keys
        self.target = target
    }
}

/// A queueing discipline of a link.
public struct Qdisc: Hashable, Sendable {
    /// Its name, for example `ingress`, `clsact`, `noqueue`.
    public var kind: String
    /// The link's number.
    public var linkIndex: Int32

    /// One of a link.
    public init(kind: String, linkIndex: Int32) {
        self.kind = kind
        self.linkIndex = linkIndex
    }

    /// Whether it occupies the place where arriving frames are filtered, of which a link has one.
    public var isIngress: Bool { kind == "ingress" || kind == "clsact" }
}

extension RTNetlink {
    static let ingressHandle: UInt32 = 0xffff_0000

    /// Every queueing discipline of the namespace's links.
    public func qdiscs() throws(SystemError) -> [Qdisc] {
        var request = MessageBuilder(type: Int(RTM_GETQDISC), flags: NLM_F_DUMP)
        request.append(tcmsg())
        return try dump(request, "list qdiscs").compactMap { message in
            guard message.type == Int(RTM_NEWQDISC), let header: tcmsg = message.payload.load(at: 0) else { return nil }
            let attributes = Attributes(message.payload.dropFirst(MemoryLayout<tcmsg>.size))
            return attributes.string(Int(TCA_KIND)).map { Qdisc(kind: $0, linkIndex: header.tcm_ifindex) }
        }
    }

    /// Adds the place for filters on arriving frames (tc qdisc add dev NAME ingress).
    ///
    /// - Throws: `SystemError` with EEXIST when the link has one.
    public func addIngress(linkIndex: Int32, name: String) throws(SystemError) {
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL
        let request = ingress(type: Int(RTM_NEWQDISC), flags: flags, linkIndex: linkIndex)
        _ = try perform(request, "add ingress qdisc to", name)
    }

    /// Adds the places for filters on arriving and on leaving frames (tc qdisc add dev NAME clsact).
    ///
    /// - Throws: `SystemError` with EEXIST when the link has a place for arriving ones.
    public func addFilterHooks(linkIndex: Int32, name: String) throws(SystemError) {
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL
        let request = ingress(type: Int(RTM_NEWQDISC), flags: flags, linkIndex: linkIndex, kind: "clsact")
        _ = try perform(request, "add clsact qdisc to", name)
    }

    /// Removes them with all their filters.
    public func deleteFilterHooks(linkIndex: Int32, name: String) throws(SystemError) {
        let request = ingress(type: Int(RTM_DELQDISC), flags: NLM_F_ACK, linkIndex: linkIndex, kind: "clsact")
        _ = try perform(request, "delete clsact qdisc of", name)
    }

    /// Removes it with all its filters.
    public func deleteIngress(linkIndex: Int32, name: String) throws(SystemError) {
        let request = ingress(type: Int(RTM_DELQDISC), flags: NLM_F_ACK, linkIndex: linkIndex)
        _ = try perform(request, "delete ingress qdisc of", name)
    }

    private func ingress(type: Int, flags: Int32, linkIndex: Int32, kind: String = "ingress") -> MessageBuilder {
        var header = tcmsg()
        header.tcm_ifindex = linkIndex
        header.tcm_handle = Self.ingressHandle
        header.tcm_parent = 0xffff_fff1  // TC_H_INGRESS
        var request = MessageBuilder(type: type, flags: flags)
        request.append(header)
        request.attribute(Int(TCA_KIND), string: kind)
        return request
    }

    /// Adds a redirect to a link's ingress (tc filter add … u32 … action mirred egress redirect).
    ///
    /// - Parameter name: the name of the link that the frames arrive on, for errors.
    public func addRedirect(_ redirect: Redirect, linkIndex: Int32, name: String) throws(SystemError) {
        var header = tcmsg()
        header.tcm_ifindex = linkIndex
        header.tcm_parent = Self.ingressHandle
        header.tcm_info = UInt32(redirect.priority) << 16 | UInt32(redirect.frames.rawValue.bigEndian)
        var request = MessageBuilder(type: Int(RTM_NEWTFILTER), flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)
        request.append(header)
        request.attribute(Int(TCA_KIND), string: "u32")
        request.nested(Int(TCA_OPTIONS)) { options in
            options.nested(Int(TCA_U32_ACT)) { actions in
                actions.nested(1) { $0.appendRedirect(to: redirect.target, TCA_EGRESS_REDIR) }
            }
            options.attribute(Int(TCA_U32_SEL), Self.selector(redirect.keys))
        }
        _ = try perform(request, "add redirect to", name)
    }

    /// Removes every filter of a priority from a link's ingress; those of one priority are for one kind of frames.
    ///
    /// - Throws: `SystemError` with ENOENT when there is none.
    public func deleteFilters(
        priority: UInt16, _ frames: Redirect.FrameType, linkIndex: Int32, name: String
    ) throws(SystemError) {
        var header = tcmsg()
        header.tcm_ifindex = linkIndex
        header.tcm_parent = Self.ingressHandle
        header.tcm_info = UInt32(priority) << 16 | UInt32(frames.rawValue.bigEndian)
        var request = MessageBuilder(type: Int(RTM_DELTFILTER), flags: NLM_F_ACK)
        request.append(header)
        _ = try perform(request, "delete filters of", name)
    }

    /// struct tc_u32_sel with its keys: terminal, no chained offsets.
    private static func selector(_ keys: [U32Key]) -> [UInt8] {
        // A filter needs a key: this one compares nothing.
        let keys = keys.isEmpty ? [U32Key(0, mask: 0, at: 0)] : keys
        var bytes: [UInt8] = [UInt8(TC_U32_TERMINAL), 0, UInt8(truncatingIfNeeded: keys.count)]
        bytes += [UInt8](repeating: 0, count: 13)
        for key in keys {
            let words = [key.mask.bigEndian, key.value.bigEndian, UInt32(bitPattern: key.offset), 0]
            for word in words { withUnsafeBytes(of: word) { bytes += $0 } }
        }
        return bytes
    }
}

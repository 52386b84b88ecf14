import CLinux
import Glibc
public import LinuxSystem

/// What to change on a link; nil leaves a property as it is.
public struct LinkChange: Equatable, Sendable {
    /// Switch it on or off.
    public var up: Bool?
    /// Receive every multicast frame.
    public var allMulticast: Bool?
    /// Receive every frame.
    public var promiscuous: Bool?
    /// Bytes.
    public var mtu: UInt32?
    /// Its Ethernet address.
    public var mac: MACAddress?
    /// The administrator's note, at most 255 bytes.
    public var alias: String?
    /// No link-local IPv6 address by itself (IN6_ADDR_GEN_MODE_NONE). Only for a link that exists: the kernel refuses it
    /// at creation with EAFNOSUPPORT.
    public var noAutomaticIPv6: Bool

    /// A change of what is given.
    public init(
        up: Bool? = nil, allMulticast: Bool? = nil, promiscuous: Bool? = nil, mtu: UInt32? = nil,
        mac: MACAddress? = nil, alias: String? = nil, noAutomaticIPv6: Bool = false
    ) {
        self.up = up
        self.allMulticast = allMulticast
        self.promiscuous = promiscuous
        self.mtu = mtu
        self.mac = mac
        self.alias = alias
        self.noAutomaticIPv6 = noAutomaticIPv6
    }

    var header: ifinfomsg {
        var header = ifinfomsg()
        for (flag, value) in [(Link.Flags.up, up), (.allMulticast, allMulticast), (.promiscuous, promiscuous)] {
            guard let value else { continue }
            header.ifi_change |= flag.rawValue
            if value { header.ifi_flags |= flag.rawValue }
        }
        return header
    }

    func append(to builder: inout MessageBuilder) {
        if let mac { builder.attribute(Int(IFLA_ADDRESS), mac.bytes) }
        if let mtu { builder.attribute(Int(IFLA_MTU), value: mtu) }
        // The kernel takes the alias without a terminating zero.
        if let alias { builder.attribute(Int(IFLA_IFALIAS), Array(alias.utf8.prefix(255))) }
        if noAutomaticIPv6 {
            builder.nested(Int(IFLA_AF_SPEC)) { families in
                families.nested(Int(IPAddress.Family.v6.number)) {
                    $0.attribute(
                        Int(IFLA_INET6_ADDR_GEN_MODE), value: UInt8(truncatingIfNeeded: IN6_ADDR_GEN_MODE_NONE.rawValue)
                    )
                }
            }
        }
    }
}

extension RTNetlink {
    static let skipStatistics = UInt32(1 << 3)  // RTEXT_FILTER_SKIP_STATS
    static let acknowledged = NLM_F_ACK
    private static let created = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL

    /// Every link of the namespace.
    public func links() throws(SystemError) -> [Link] {
        var request = MessageBuilder(type: Int(RTM_GETLINK), flags: NLM_F_DUMP)
        request.append(ifinfomsg())
        request.attribute(Int(IFLA_EXT_MASK), value: Self.skipStatistics)
        return try dump(request, "list links").compactMap { Link($0) }
    }

    /// Changes a link. All of it goes in one message, but the kernel may have applied a part when it fails.
    public func changeLink(_ name: String, _ change: LinkChange) throws(SystemError) {
        try checkName(name, "change link")
        var request = MessageBuilder(type: Int(RTM_NEWLINK), flags: Self.acknowledged)
        request.append(change.header)
        request.attribute(Int(IFLA_IFNAME), string: name)
        change.append(to: &request)
        _ = try perform(request, "change link", name)
    }

    /// Creates two links joined to each other, with what is to be set on each from the start.
    ///
    /// - Parameter peerNamespace: where the second one appears; nil: beside the first.
    public func createVeth(
        _ name: String, _ change: LinkChange = LinkChange(), peer: String, _ peerChange: LinkChange = LinkChange(),
        peerNamespace: FileDescriptor? = nil
    ) throws(SystemError) {
        try checkName(name, "create veth")
        try checkName(peer, "create veth")
        var request = MessageBuilder(type: Int(RTM_NEWLINK), flags: Self.created)
        request.append(change.header)
        request.attribute(Int(IFLA_IFNAME), string: name)
        change.append(to: &request)
        request.nested(Int(IFLA_LINKINFO)) { information in
            information.attribute(Int(IFLA_INFO_KIND), string: "veth")
            information.nested(Int(IFLA_INFO_DATA)) { data in
                data.nested(Int(VETH_INFO_PEER)) { builder in
                    builder.append(peerChange.header)
                    builder.attribute(Int(IFLA_IFNAME), string: peer)
                    peerChange.append(to: &builder)
                    if let peerNamespace { builder.attribute(Int(IFLA_NET_NS_FD), value: peerNamespace.raw) }
                }
            }
        }
        _ = try perform(request, "create veth", name)
        withExtendedLifetime(peerNamespace) {}
    }

    /// Deletes a link, and with it its addresses, routes, qdiscs and, of a veth, its peer.
    ///
    /// - Throws: `SystemError` with ENODEV when there is none.
    public func deleteLink(_ name: String) throws(SystemError) {
        try checkName(name, "delete link")
        var request = MessageBuilder(type: Int(RTM_DELLINK), flags: Self.acknowledged)
        request.append(ifinfomsg())
        request.attribute(Int(IFLA_IFNAME), string: name)
        _ = try perform(request, "delete link", name)
    }

    /// Moves a link into another network namespace, under another name. Its addresses and routes do not go with it.
    ///
    /// - Throws: `SystemError` with EEXIST when the name is taken there.
    public func moveLink(_ name: String, to namespace: FileDescriptor, as newName: String) throws(SystemError) {
        try checkName(newName, "move link")
        let index = if_nametoindex(name)
        guard index > 0 else { throw .last("find link", name) }
        // The kernel renames no link that is switched on.
        try changeLink(name, LinkChange(up: false))
        var header = ifinfomsg()
        header.ifi_index = Int32(index)
        var request = MessageBuilder(type: Int(RTM_NEWLINK), flags: Self.acknowledged)
        request.append(header)
        request.attribute(Int(IFLA_IFNAME), string: newName)
        request.attribute(Int(IFLA_NET_NS_FD), value: namespace.raw)
        _ = try perform(request, "move link", name)
        withExtendedLifetime(namespace) {}
    }
}

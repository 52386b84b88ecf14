import CLinux
public import LinuxSystem

/// An address of a link.
public struct Address: Codable, Hashable, Sendable {
    /// The link's number.
    public var linkIndex: Int32
    /// The address with the prefix length of its network.
    public var prefix: IPPrefix
    /// The other end of a point-to-point address, whose network the prefix length then describes.
    public var peer: IPAddress?
    /// How far the address is valid.
    public var scope: Scope
    /// Its state.
    public var flags: Flags

    /// `RT_SCOPE_…` of rtnetlink(7).
    public struct Scope: RawRepresentable, Codable, Hashable, Sendable {
        /// The kernel's number.
        public let rawValue: UInt8
        /// From the kernel's number.
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Everywhere.
        public static let universe = Scope(rawValue: 0)
        /// On this link.
        public static let link = Scope(rawValue: 253)
        /// In this host.
        public static let host = Scope(rawValue: 254)
    }

    /// `IFA_F_…`.
    public struct Flags: OptionSet, Codable, Hashable, Sendable {
        /// The bits.
        public let rawValue: UInt32
        /// From the kernel's bits.
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// IPv4: a further address of a network; IPv6: a temporary one (RFC 8981). The kernel has one bit for both.
        public static let secondary = Flags(rawValue: 0x01)
        /// Used without duplicate address detection.
        public static let noDuplicateDetection = Flags(rawValue: 0x02)
        /// Duplicate address detection found another owner.
        public static let duplicate = Flags(rawValue: 0x08)
        /// Duplicate address detection is going on.
        public static let tentative = Flags(rawValue: 0x40)
        /// Not one with a lifetime from a router advertisement or DHCP.
        public static let permanent = Flags(rawValue: 0x80)
        /// Its network gets no route by itself.
        public static let noPrefixRoute = Flags(rawValue: 0x200)
    }

    /// An address as a test or a caller describes it.
    public init(
        linkIndex: Int32, prefix: IPPrefix, peer: IPAddress? = nil, scope: Scope = .universe,
        flags: Flags = [.permanent]
    ) {
        self.linkIndex = linkIndex
        self.prefix = prefix
        self.peer = peer
        self.scope = scope
        self.flags = flags
    }

    /// Reads an RTM_NEWADDR message; nil for any other, for other families and for addresses that make no sense.
    public init?(_ message: NetlinkMessage) {
        guard message.type == Int(RTM_NEWADDR), let header: ifaddrmsg = message.payload.load(at: 0),
            let family = IPAddress.Family(number: header.ifa_family), let index = Int32(exactly: header.ifa_index)
        else { return nil }
        let attributes = Attributes(message.payload.dropFirst(MemoryLayout<ifaddrmsg>.size))
        let address = attributes[Int(IFA_ADDRESS)].flatMap { IPAddress(bytes: $0) }
        // On a point-to-point address IFA_LOCAL is the own one and IFA_ADDRESS the peer's (rtnetlink(7)).
        let local = attributes[Int(IFA_LOCAL)].flatMap { IPAddress(bytes: $0) } ?? address
        guard let local, local.family == family,
            let prefix = IPPrefix(local, length: Int(header.ifa_prefixlen))
        else { return nil }
        self.init(
            linkIndex: index, prefix: prefix, peer: address == local ? nil : address,
            scope: Scope(rawValue: header.ifa_scope),
            flags: Flags(rawValue: attributes.value(Int(IFA_FLAGS)) ?? UInt32(header.ifa_flags)))
    }
}

extension RTNetlink {
    /// Every IPv4 and IPv6 address of the namespace.
    public func addresses() throws(SystemError) -> [Address] {
        var request = MessageBuilder(type: Int(RTM_GETADDR), flags: NLM_F_DUMP)
        request.append(ifaddrmsg())
        return try dump(request, "list addresses").compactMap { Address($0) }
    }

    /// Gives a link an address.
    ///
    /// - Parameter name: the link's name, for errors.
    public func addAddress(_ address: Address, name: String) throws(SystemError) {
        var header = ifaddrmsg()
        header.ifa_family = address.prefix.family.number
        header.ifa_prefixlen = UInt8(truncatingIfNeeded: address.prefix.length)
        header.ifa_scope = address.scope.rawValue
        header.ifa_index = UInt32(bitPattern: address.linkIndex)
        var request = MessageBuilder(type: Int(RTM_NEWADDR), flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)
        request.append(header)
        request.attribute(Int(IFA_LOCAL), address.prefix.address.bytes)
        request.attribute(Int(IFA_ADDRESS), (address.peer ?? address.prefix.address).bytes)
        request.attribute(Int(IFA_FLAGS), value: address.flags.rawValue)
        _ = try perform(request, "add address \(address.prefix) to", name)
    }
}

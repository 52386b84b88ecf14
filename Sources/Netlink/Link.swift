import CLinux

/// A link of a network namespace.
public struct Link: Hashable, Sendable {
    /// The kernel's number of it in its namespace.
    public var index: Int32
    /// Its name.
    public var name: String
    /// Its driver's rtnetlink name (`veth`, `macvlan`, `tun`, …, IFLA_INFO_KIND); nil for hardware.
    public var kind: String?
    /// `ARPHRD_…`: 1 is Ethernet.
    public var hardwareType: UInt16
    /// Its Ethernet address; nil where the link has none of six octets.
    public var mac: MACAddress?
    /// Largest network-layer packet in bytes.
    public var mtu: UInt32
    /// What is switched on.
    public var flags: Flags
    /// The bridge, bond, … that it belongs to.
    public var master: Int32?
    /// The link below or, for a veth, the peer.
    public var parent: Int32?
    /// The id of the namespace that `parent` lies in, when it is another one.
    public var linkNetnsID: Int32?
    /// The administrator's note (IFLA_IFALIAS).
    public var alias: String?
    /// Of an ipvlan: L2, L3 or L3S.
    public var ipvlanMode: IPvlanMode?
    /// Of a VLAN: the number in the tags of its frames on the link below.
    public var vlan: UInt16?
    /// Of hardware on the PCI bus: its function, `0000:3b:02.1` (IFLA_PARENT_DEV_NAME, which kernels give since 5.14).
    public var pciAddress: String?

    /// `IFF_…` of netdevice(7).
    public struct Flags: OptionSet, Hashable, Sendable {
        /// The bits.
        public let rawValue: UInt32
        /// From the kernel's bits.
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// Switched on by the administrator.
        public static let up = Flags(rawValue: 1)
        /// The loopback link.
        public static let loopback = Flags(rawValue: 1 << 3)
        /// No ARP and no neighbour discovery.
        public static let noARP = Flags(rawValue: 1 << 7)
        /// Every frame is received.
        public static let promiscuous = Flags(rawValue: 1 << 8)
        /// Every multicast frame is received.
        public static let allMulticast = Flags(rawValue: 1 << 9)
        /// There is a carrier.
        public static let lowerUp = Flags(rawValue: 1 << 16)
    }

    /// `IPVLAN_MODE_…`.
    public enum IPvlanMode: UInt16, Hashable, Sendable {
        /// Frames are switched.
        case l2 = 0
        /// Packets are routed; there is no ARP and no broadcast.
        case l3 = 1
        /// L3 that passes netfilter.
        case l3s = 2
    }

    /// A link as a test or a caller describes it.
    public init(
        index: Int32, name: String, kind: String? = nil, hardwareType: UInt16 = 1, mac: MACAddress? = nil,
        mtu: UInt32 = 1500, flags: Flags = [.up, .lowerUp], master: Int32? = nil, parent: Int32? = nil,
        linkNetnsID: Int32? = nil, alias: String? = nil, ipvlanMode: IPvlanMode? = nil, vlan: UInt16? = nil,
        pciAddress: String? = nil
    ) {
        self.index = index
        self.name = name
        self.kind = kind
        self.hardwareType = hardwareType
        self.mac = mac
        self.mtu = mtu
        self.flags = flags
        self.master = master
        self.parent = parent
        self.linkNetnsID = linkNetnsID
        self.alias = alias
        self.ipvlanMode = ipvlanMode
        self.vlan = vlan
        self.pciAddress = pciAddress
    }

    /// Reads an RTM_NEWLINK message; nil for any other, and for one without number or name.
    public init?(_ message: NetlinkMessage) {
        guard message.type == Int(RTM_NEWLINK), let header: ifinfomsg = message.payload.load(at: 0) else { return nil }
        let attributes = Attributes(message.payload.dropFirst(MemoryLayout<ifinfomsg>.size))
        guard header.ifi_index > 0, let name = attributes.string(Int(IFLA_IFNAME)), !name.isEmpty else { return nil }
        let information = attributes.nested(Int(IFLA_LINKINFO))
        let kind = information?.string(Int(IFLA_INFO_KIND))
        self.init(
            index: header.ifi_index, name: name, kind: kind, hardwareType: header.ifi_type,
            mac: attributes[Int(IFLA_ADDRESS)].flatMap { MACAddress(bytes: $0) },
            mtu: attributes.value(Int(IFLA_MTU)) ?? 0, flags: Flags(rawValue: header.ifi_flags),
            master: attributes.value(Int(IFLA_MASTER)), parent: attributes.value(Int(IFLA_LINK)),
            linkNetnsID: attributes.value(Int(IFLA_LINK_NETNSID)), alias: attributes.string(Int(IFLA_IFALIAS)))
        if kind == "ipvlan" {
            let mode: UInt16? = information?.nested(Int(IFLA_INFO_DATA))?.value(Int(IFLA_IPVLAN_MODE))
            ipvlanMode = mode.flatMap { IPvlanMode(rawValue: $0) }
        }
        if kind == "vlan" { vlan = information?.nested(Int(IFLA_INFO_DATA))?.value(Int(IFLA_VLAN_ID)) }
        if attributes.string(Int(IFLA_PARENT_DEV_BUS_NAME)) == "pci" {
            pciAddress = attributes.string(Int(IFLA_PARENT_DEV_NAME))
        }
    }
}

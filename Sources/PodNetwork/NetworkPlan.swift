public import Netlink

/// What the guest gets of the pod's networks: one NIC for each link that carries Ethernet, in order.
public struct NetworkPlan: Codable, Equatable, Sendable {
    /// The NICs: eth0 first, then those of the pod's annotation in its order, the rest by name, digits by value (net2
    /// before net10).
    public var interfaces: [InterfacePlan]
    /// The pod's name servers.
    public var dns: DNSConfiguration

    /// A plan of its parts.
    public init(interfaces: [InterfacePlan], dns: DNSConfiguration) {
        self.interfaces = interfaces
        self.dns = dns
    }
}

/// One link of the pod and the guest's NIC behind it.
public struct InterfacePlan: Codable, Equatable, Sendable {
    /// The link's name in the pod's network namespace; for a device without a link the name of its attachment.
    public var link: String
    /// The link's number in the namespace, which another link of the same name does not have; 0 without a link.
    public var linkIndex: Int32
    /// The NIC's number, which is its place among the guest's root ports and stays while the pod lives.
    public var number: Int
    /// How the guest's NIC is joined to it.
    public var binding: Binding
    /// What the pod asked of it.
    public var settings: InterfaceSettings
    /// The network's name as the pod's annotation has it, `namespace/name`; nil for a link that it does not name.
    public var network: String?
    /// The guest's address on the Ethernet: the link's own, so that switches and their filters see no change.
    public var mac: MACAddress
    /// The link's own address. It is another one than ``mac`` after the link was made anew while the guest ran; whoever
    /// joins it gives it the guest's.
    public var linkMAC: MACAddress
    /// In bytes: the link's, or less if the pod asked for it.
    public var mtu: UInt32
    /// The largest MTU that the guest can set, in bytes: that of when its device was made. Where frames pass no link of ours,
    /// the hardware or the switch knows.
    public var deviceMTU: UInt32
    /// Whether the link is switched on and has a carrier.
    public var isUp: Bool
    /// Addresses for the guest, in the kernel's order; link-local IPv6 addresses are left to the guest, which makes the
    /// same ones from the same Ethernet address.
    public var addresses: [IPPrefix]
    /// Routes for the guest: those on the link itself first, then the default ones, then the rest. Networks of the
    /// addresses are not repeated here.
    public var routes: [RoutePlan]
    /// The link filters multicast frames by what the host has subscribed to, and has to be told to pass all.
    public var needsAllMulticast: Bool
    /// The numbers of VLANs that are links of the pod over this one: frames with their tags are those links', all others
    /// the guest's here.
    public var vlans: [UInt16]

    /// A NIC of its parts.
    public init(
        link: String, linkIndex: Int32 = 0, number: Int, binding: Binding = .tap,
        settings: InterfaceSettings = InterfaceSettings(), network: String? = nil, mac: MACAddress,
        linkMAC: MACAddress? = nil, mtu: UInt32, isUp: Bool = true, addresses: [IPPrefix] = [],
        routes: [RoutePlan] = [], needsAllMulticast: Bool = false, vlans: [UInt16] = []
    ) {
        self.link = link
        self.linkIndex = linkIndex
        self.number = number
        self.binding = binding
        self.settings = settings
        self.network = network
        self.mac = mac
        self.linkMAC = linkMAC ?? mac
        self.mtu = mtu
        deviceMTU = mtu
        self.isUp = isUp
        self.addresses = addresses
        self.routes = routes
        self.needsAllMulticast = needsAllMulticast
        self.vlans = vlans
    }

    /// The link that carries the guest's frames beside the pod's, `slw0`, `slw1`, …: a TAP, or a macvtap that was made.
    public var tap: String { OwnLink.tap.name(number) }

    /// Whether the guest sees a carrier.
    public var hasCarrier: Bool { isUp && settings.isUp }

    /// Addresses of one protocol.
    public func addresses(_ family: IPAddress.Family) -> [IPPrefix] { addresses.filter { $0.family == family } }

    /// The next hop of the first default route of a protocol.
    public func gateway(_ family: IPAddress.Family) -> IPAddress? {
        routes.first { $0.isDefault && $0.destination.family == family && $0.gateway?.family == family }?.gateway
    }
}

/// A route of the guest.
public struct RoutePlan: Codable, Equatable, Sendable {
    /// Where it leads.
    public var destination: IPPrefix
    /// The next hop; nil: the destination is on the link itself.
    public var gateway: IPAddress?
    /// The gateway is on the link though no address of the NIC has it in its network.
    public var onLink: Bool
    /// Smaller wins; nil: the guest's default.
    public var metric: UInt32?

    /// A route of its parts.
    public init(_ destination: IPPrefix, via gateway: IPAddress? = nil, onLink: Bool = false, metric: UInt32? = nil) {
        self.destination = destination
        self.gateway = gateway
        self.onLink = onLink
        self.metric = metric
    }

    /// Whether it leads everywhere.
    public var isDefault: Bool { destination.length == 0 }
}

/// The guest's network as cloud-init shall set it up.
public struct GuestNetwork: Equatable, Sendable, Codable {
    /// A route as the pod's network namespace has it.
    public struct Route: Equatable, Sendable, Codable {
        /// The destination in CIDR form; the default route is `0.0.0.0/0` or `::/0`.
        public var to: String
        /// The gateway; nil for what is on the link itself.
        public var via: String?
        /// The gateway is reachable on the link although no address says so.
        public var onLink: Bool
        /// Smaller wins; nil: the guest's default.
        public var metric: Int?

        /// Makes a route.
        public init(to: String, via: String? = nil, onLink: Bool = false, metric: Int? = nil) {
            self.to = to
            self.via = via
            self.onLink = onLink
            self.metric = metric
        }
    }

    /// One NIC, found in the guest by its MAC address.
    public struct Interface: Equatable, Sendable, Codable {
        /// The link's name in the pod (`eth0`, `net1`); a label, the guest names its NICs itself.
        public var name: String
        /// Six octets, `0a:58:0a:f4:01:05`.
        public var mac: String
        /// In bytes; nil leaves the guest's default.
        public var mtu: Int?
        /// With prefix length, `10.244.1.5/24`.
        public var addresses: [String]
        /// In the order in which the guest is told.
        public var routes: [Route]
        /// DNS servers' addresses.
        public var nameservers: [String]
        /// DNS search domains.
        public var search: [String]
        /// Where the guest finds it, `0000:01:00.0`; nil when that is not known.
        public var pciAddress: String?
        /// By which the pod's author knows it: the network's name, the link's name.
        public var tags: [String]
        /// The VLAN that the host tags its frames with; nil for none.
        public var vlan: Int?
        /// It may send from other Ethernet addresses than its own.
        public var isTrusted: Bool
        /// It has a carrier when the guest starts.
        public var isUp: Bool

        /// Makes an interface.
        public init(
            name: String, mac: String, mtu: Int? = nil, addresses: [String] = [], routes: [Route] = [],
            nameservers: [String] = [], search: [String] = [], pciAddress: String? = nil, tags: [String] = [],
            vlan: Int? = nil, isTrusted: Bool = false, isUp: Bool = true
        ) {
            self.name = name
            self.mac = mac
            self.mtu = mtu
            self.addresses = addresses
            self.routes = routes
            self.nameservers = nameservers
            self.search = search
            self.pciAddress = pciAddress
            self.tags = tags
            self.vlan = vlan
            self.isTrusted = isTrusted
            self.isUp = isUp
        }
    }

    /// The NICs in their order.
    public var interfaces: [Interface]

    /// Makes a network of its NICs.
    public init(interfaces: [Interface]) {
        self.interfaces = interfaces
    }
}

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

        /// Makes a route.
        public init(to: String, via: String? = nil, onLink: Bool = false) {
            self.to = to
            self.via = via
            self.onLink = onLink
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

        /// Makes an interface.
        public init(
            name: String, mac: String, mtu: Int? = nil, addresses: [String] = [], routes: [Route] = [],
            nameservers: [String] = [], search: [String] = []
        ) {
            self.name = name
            self.mac = mac
            self.mtu = mtu
            self.addresses = addresses
            self.routes = routes
            self.nameservers = nameservers
            self.search = search
        }
    }

    /// The NICs in their order.
    public var interfaces: [Interface]

    /// Makes a network of its NICs.
    public init(interfaces: [Interface]) {
        self.interfaces = interfaces
    }
}

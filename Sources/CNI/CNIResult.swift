/// What plugins say that they made: results of every version of the specification as one value (section 5).
public struct CNIResult: Codable, Equatable, Sendable {
    /// The links, inside and outside of the container.
    public var interfaces: [Interface]
    /// The addresses (`ips`).
    public var addresses: [Address]
    /// The routes.
    public var routes: [Route]
    /// The name servers.
    public var dns: DNS

    /// A link, or what stands for one.
    public struct Interface: Codable, Equatable, Sendable {
        /// Its name.
        public var name: String
        /// Its Ethernet address, as the plugin wrote it.
        public var mac: String?
        /// Bytes (1.1.0).
        public var mtu: Int64?
        /// The namespace that it is in, by path; nil: the node's.
        public var sandbox: String?
        /// The PCI address of its function (1.1.0).
        public var pciID: String?
        /// The socket of a vhost-user or memif interface (1.1.0).
        public var socketPath: String?

        /// An interface of its parts.
        public init(
            name: String, mac: String? = nil, mtu: Int64? = nil, sandbox: String? = nil, pciID: String? = nil,
            socketPath: String? = nil
        ) {
            self.name = name
            self.mac = mac
            self.mtu = mtu
            self.sandbox = sandbox
            self.pciID = pciID
            self.socketPath = socketPath
        }
    }

    /// An address with its network.
    public struct Address: Codable, Equatable, Sendable {
        /// The place of its link in ``CNIResult/interfaces``; nil where the plugin does not say. Never out of range.
        public var interface: Int?
        /// Address and prefix length, `10.88.0.5/16`.
        public var address: String
        /// The network's gateway.
        public var gateway: String?

        /// An address of its parts.
        public init(_ address: String, gateway: String? = nil, interface: Int? = nil) {
            self.address = address
            self.gateway = gateway
            self.interface = interface
        }
    }

    /// A route.
    public struct Route: Codable, Equatable, Sendable {
        /// Where it leads, with prefix length.
        public var destination: String
        /// The next hop; nil: the gateway of the addresses, as the plugin sees fit.
        public var gateway: String?
        /// Bytes (1.1.0).
        public var mtu: Int64?
        /// Largest TCP segment in bytes (1.1.0).
        public var advmss: Int64?
        /// Smaller wins (1.1.0).
        public var priority: Int64?
        /// The routing table's number (1.1.0).
        public var table: Int64?
        /// `RT_SCOPE_…` (1.1.0).
        public var scope: Int64?

        /// A route of its parts.
        public init(
            _ destination: String, gateway: String? = nil, mtu: Int64? = nil, advmss: Int64? = nil,
            priority: Int64? = nil, table: Int64? = nil, scope: Int64? = nil
        ) {
            self.destination = destination
            self.gateway = gateway
            self.mtu = mtu
            self.advmss = advmss
            self.priority = priority
            self.table = table
            self.scope = scope
        }
    }

    /// Name servers.
    public struct DNS: Codable, Equatable, Sendable {
        /// Their addresses.
        public var nameservers: [String]
        /// The local domain.
        public var domain: String?
        /// Domains to look in.
        public var search: [String]
        /// Options of resolv.conf(5).
        public var options: [String]

        /// Servers of their parts.
        public init(nameservers: [String] = [], domain: String? = nil, search: [String] = [], options: [String] = []) {
            self.nameservers = nameservers
            self.domain = domain
            self.search = search
            self.options = options
        }
    }

    /// A result of its parts.
    public init(
        interfaces: [Interface] = [], addresses: [Address] = [], routes: [Route] = [], dns: DNS = DNS()
    ) {
        self.interfaces = interfaces
        self.addresses = addresses
        self.routes = routes
        self.dns = dns
    }

    /// The result as a version writes it, for `prevResult`.
    func json(_ version: CNIVersion) -> JSONValue {
        var members: [String: JSONValue] = ["cniVersion": .string(version.rawValue)]
        func put(_ key: String, _ values: [JSONValue]) { if !values.isEmpty { members[key] = .array(values) } }
        put("interfaces", interfaces.map { Self.json($0, version) })
        put("ips", addresses.map { Self.json($0, version) })
        put("routes", routes.map { Self.json($0, version) })
        var servers: [String: JSONValue] = [:]
        for (key, list) in [("nameservers", dns.nameservers), ("search", dns.search), ("options", dns.options)] {
            if !list.isEmpty { servers[key] = .array(list.map(JSONValue.string)) }
        }
        servers["domain"] = dns.domain.map(JSONValue.string)
        if !servers.isEmpty { members["dns"] = .object(servers) }
        return .object(members)
    }

    private static func json(_ interface: Interface, _ version: CNIVersion) -> JSONValue {
        var members: [String: JSONValue] = ["name": .string(interface.name)]
        members["mac"] = interface.mac.map(JSONValue.string)
        members["sandbox"] = interface.sandbox.map(JSONValue.string)
        if version >= .v1_1_0 {
            members["mtu"] = interface.mtu.map { .number($0) }
            members["pciID"] = interface.pciID.map(JSONValue.string)
            members["socketPath"] = interface.socketPath.map(JSONValue.string)
        }
        return .object(members)
    }

    private static func json(_ address: Address, _ version: CNIVersion) -> JSONValue {
        var members: [String: JSONValue] = ["address": .string(address.address)]
        if version < .v1_0_0 { members["version"] = .string(address.address.utf8.contains(0x3a) ? "6" : "4") }
        members["gateway"] = address.gateway.map(JSONValue.string)
        members["interface"] = address.interface.map { .number($0) }
        return .object(members)
    }

    private static func json(_ route: Route, _ version: CNIVersion) -> JSONValue {
        var members: [String: JSONValue] = ["dst": .string(route.destination)]
        members["gw"] = route.gateway.map(JSONValue.string)
        if version >= .v1_1_0 {
            members["mtu"] = route.mtu.map { .number($0) }
            members["advmss"] = route.advmss.map { .number($0) }
            members["priority"] = route.priority.map { .number($0) }
            members["table"] = route.table.map { .number($0) }
            members["scope"] = route.scope.map { .number($0) }
        }
        return .object(members)
    }
}

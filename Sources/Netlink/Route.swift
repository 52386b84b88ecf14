import CLinux
public import LinuxSystem

/// A route to somewhere over one link. A route with several next hops is several values.
public struct Route: Codable, Hashable, Sendable {
    /// Where it leads; ``IPPrefix/everything(_:)`` for a default route.
    public var destination: IPPrefix
    /// The next hop; nil when the destination is on the link itself.
    public var gateway: IPAddress?
    /// The outgoing link's number; nil for routes without one (blackhole, …).
    public var linkIndex: Int32?
    /// The routing table: 254 is main, 255 local.
    public var table: UInt32
    /// How far the destination is.
    public var scope: Address.Scope
    /// What happens to packets: 1 is unicast (RTN_UNICAST).
    public var type: UInt8
    /// Who made it: 2 is the kernel (RTPROT_KERNEL).
    public var origin: UInt8
    /// Smaller wins (RTA_PRIORITY); nil: none given.
    public var metric: UInt32?
    /// The gateway is reachable on the link though no address of the link says so (RTNH_F_ONLINK).
    public var onLink: Bool

    /// A route as a test or a caller describes it.
    public init(
        destination: IPPrefix, gateway: IPAddress? = nil, linkIndex: Int32?, table: UInt32 = 254,
        scope: Address.Scope = .universe, type: UInt8 = 1, origin: UInt8 = 3, metric: UInt32? = nil,
        onLink: Bool = false
    ) {
        self.destination = destination
        self.gateway = gateway
        self.linkIndex = linkIndex
        self.table = table
        self.scope = scope
        self.type = type
        self.origin = origin
        self.metric = metric
        self.onLink = onLink
    }

    /// Reads an RTM_NEWROUTE message: one value for each next hop, none for other messages, other families, cached
    /// routes and what makes no sense.
    public static func routes(_ message: NetlinkMessage) -> [Route] {
        guard message.type == Int(RTM_NEWROUTE), let header: rtmsg = message.payload.load(at: 0),
            header.rtm_flags & UInt32(RTM_F_CLONED) == 0, let family = IPAddress.Family(number: header.rtm_family)
        else { return [] }
        let attributes = Attributes(message.payload.dropFirst(MemoryLayout<rtmsg>.size))
        let address = attributes[Int(RTA_DST.rawValue)].flatMap { IPAddress(bytes: $0) } ?? .unspecified(family)
        guard address.family == family, let destination = IPPrefix(address, length: Int(header.rtm_dst_len)) else {
            return []
        }
        let route = Route(
            destination: destination, gateway: gateway(attributes), linkIndex: attributes.value(Int(RTA_OIF.rawValue)),
            table: attributes.value(Int(RTA_TABLE.rawValue)) ?? UInt32(header.rtm_table),
            scope: Address.Scope(rawValue: header.rtm_scope), type: header.rtm_type, origin: header.rtm_protocol,
            metric: attributes.value(Int(RTA_PRIORITY.rawValue)), onLink: header.rtm_flags & UInt32(RTNH_F_ONLINK) != 0)
        guard let hops = attributes[Int(RTA_MULTIPATH.rawValue)] else { return [route] }
        return nextHops(hops).map { hop in
            var route = route
            route.gateway = hop.gateway
            route.linkIndex = hop.linkIndex
            route.onLink = hop.onLink
            return route
        }
    }

    private static func nextHops(_ bytes: ArraySlice<UInt8>) -> [(gateway: IPAddress?, linkIndex: Int32, onLink: Bool)]
    {
        var hops: [(gateway: IPAddress?, linkIndex: Int32, onLink: Bool)] = []
        var rest = bytes
        while let hop: rtnexthop = rest.load(at: 0), hop.rtnh_len >= 8, Int(hop.rtnh_len) <= rest.count {
            let attributes = Attributes(rest.dropFirst(8).prefix(Int(hop.rtnh_len) - 8))
            hops.append((gateway(attributes), hop.rtnh_ifindex, Int32(hop.rtnh_flags) & RTNH_F_ONLINK != 0))
            rest = rest.dropFirst((Int(hop.rtnh_len) + 3) & ~3)
        }
        return hops
    }

    /// RTA_GATEWAY, or RTA_VIA where the gateway is of the other family: two bytes of family, then the address.
    private static func gateway(_ attributes: Attributes) -> IPAddress? {
        let bytes = attributes[Int(RTA_GATEWAY.rawValue)] ?? attributes[Int(RTA_VIA.rawValue)]?.dropFirst(2)
        return bytes.flatMap { IPAddress(bytes: $0) }
    }
}

extension RTNetlink {
    /// Every IPv4 and IPv6 route of the namespace, of every table.
    public func routes() throws(SystemError) -> [Route] {
        var request = MessageBuilder(type: Int(RTM_GETROUTE), flags: NLM_F_DUMP)
        request.append(rtmsg())
        return try dump(request, "list routes").flatMap { Route.routes($0) }
    }

    /// Makes a route over its link, in the place of one to the same destination with the same metric.
    ///
    /// - Parameter name: the link's name, for errors.
    public func setRoute(_ route: Route, name: String) throws(SystemError) {
        let family = route.destination.family
        var header = rtmsg()
        header.rtm_family = family.number
        header.rtm_dst_len = UInt8(truncatingIfNeeded: route.destination.length)
        header.rtm_table = UInt8(exactly: route.table) ?? UInt8(RT_TABLE_UNSPEC.rawValue)
        header.rtm_protocol = route.origin
        header.rtm_scope = route.scope.rawValue
        header.rtm_type = route.type
        if route.onLink { header.rtm_flags = UInt32(RTNH_F_ONLINK) }
        var request = MessageBuilder(type: Int(RTM_NEWROUTE), flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE)
        request.append(header)
        if route.destination.length > 0 { request.attribute(Int(RTA_DST.rawValue), route.destination.address.bytes) }
        if let gateway = route.gateway, gateway.family == family {
            request.attribute(Int(RTA_GATEWAY.rawValue), gateway.bytes)
        } else if let gateway = route.gateway {
            request.attribute(Int(RTA_VIA.rawValue), [gateway.family.number, 0] + gateway.bytes)
        }
        if let index = route.linkIndex { request.attribute(Int(RTA_OIF.rawValue), value: index) }
        if let metric = route.metric { request.attribute(Int(RTA_PRIORITY.rawValue), value: metric) }
        request.attribute(Int(RTA_TABLE.rawValue), value: route.table)
        _ = try perform(request, "set route to \(route.destination) over", name)
    }
}

import LinuxSystem
public import Netlink

extension NetworkPlan {
    /// Most links that are planned.
    public static let maximumLinks = 64

    /// Decides what the guest gets. Pure.
    ///
    /// - Parameters:
    ///   - links: every link of the pod's network namespace; lo, our own and the kernel's fallback tunnels are left out.
    ///   - addresses: every address of the namespace.
    ///   - routes: every route of the namespace; the main table's unicast routes count.
    ///   - request: what the pod asked for, and what is known of devices without links.
    /// - Throws: the first refusal.
    public init(
        links: [Link], addresses: [Address], routes: [Route], request: NetworkRequest
    ) throws(NetworkRefusal) {
        let assessment = NetworkAssessment(links: links, addresses: addresses, routes: routes, request: request)
        if let refusal = assessment.refusals.first { throw refusal }
        self = assessment.plan
    }

    /// Reads the calling thread's network namespace and decides.
    ///
    /// - Throws: `SystemError` or ``NetworkRefusal``.
    public init(reading netlink: RTNetlink, request: NetworkRequest) throws {
        try self.init(
            links: netlink.links(), addresses: netlink.addresses(), routes: netlink.routes(), request: request)
    }

    /// Reads the calling thread's network namespace and decides, when nothing but links and name servers is known.
    ///
    /// - Throws: `SystemError` or ``NetworkRefusal``.
    public init(reading netlink: RTNetlink, resolvConf: String) throws {
        try self.init(reading: netlink, request: NetworkRequest(resolvConf: resolvConf))
    }

    /// eth0 before all others, then by name, runs of digits by value.
    static func precedes(_ left: String, _ right: String) -> Bool {
        if (left == "eth0") != (right == "eth0") { return left == "eth0" }
        var (a, b) = (left.utf8[...], right.utf8[...])
        while let x = a.first, let y = b.first {
            let (digitsA, digitsB) = (a.prefix(while: isDigit), b.prefix(while: isDigit))
            if digitsA.isEmpty || digitsB.isEmpty {
                if x != y { return x < y }
                a = a.dropFirst()
                b = b.dropFirst()
                continue
            }
            // A link's name has at most 15 digits, which fit.
            let (m, n) = (Int(String(digitsA) ?? "") ?? .max, Int(String(digitsB) ?? "") ?? .max)
            if m != n { return m < n }
            a = a.dropFirst(digitsA.count)
            b = b.dropFirst(digitsB.count)
        }
        return a.isEmpty && b.isEmpty ? left < right : a.isEmpty
    }
}

private func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

/// What the guest can get of the pod's networks and what it cannot: a running guest keeps what it has although something
/// new is refused.
public struct NetworkAssessment: Equatable, Sendable {
    /// What the guest gets.
    public var plan: NetworkPlan
    /// What it does not get.
    public var refusals: [NetworkRefusal]

    /// Decides. Parameters are those of ``NetworkPlan/init(links:addresses:routes:request:)``. Pure.
    public init(links: [Link], addresses: [Address], routes: [Route], request: NetworkRequest) {
        plan = NetworkPlan(interfaces: [], dns: DNSConfiguration(resolvConf: request.resolvConf))
        refusals = []
        let chosen = links.filter { !$0.isIgnored }.sorted { NetworkPlan.precedes($0.name, $1.name) }
        guard chosen.count <= NetworkPlan.maximumLinks else {
            refusals.append(.tooManyLinks(found: chosen.count, limit: NetworkPlan.maximumLinks))
            return
        }
        for (number, link) in chosen.enumerated() {
            do throws(NetworkRefusal) {
                plan.interfaces.append(
                    try InterfacePlan(
                        link, number: number, addresses: addresses.filter { $0.linkIndex == link.index },
                        routes: routes.filter { $0.linkIndex == link.index }))
            } catch {
                refusals.append(error)
            }
        }
    }

    /// Reads the calling thread's network namespace and decides.
    ///
    /// - Throws: `SystemError`.
    public init(reading netlink: RTNetlink, request: NetworkRequest) throws {
        try self.init(
            links: netlink.links(), addresses: netlink.addresses(), routes: netlink.routes(), request: request)
    }
}

extension InterfacePlan {
    fileprivate init(_ link: Link, number: Int, addresses: [Address], routes: [Route]) throws(NetworkRefusal) {
        guard link.hardwareType == 1 else {  // ARPHRD_ETHER
            throw .notEthernet(link: link.name, kind: link.kind ?? "hardware type \(link.hardwareType)")
        }
        if link.kind == "ipvlan", link.ipvlanMode != .l2 {
            throw .routedIPvlan(link: link.name, mode: link.ipvlanMode.map { "\($0)" } ?? "unknown")
        }
        guard let mac = link.mac, mac.isStation else {
            throw .noStationAddress(link: link.name, found: link.mac?.description ?? "nothing")
        }
        let usable = addresses.filter {
            $0.scope != .host && !$0.flags.contains(.duplicate)
                && !($0.prefix.family == .v6 && $0.prefix.address.isLinkLocal)
        }
        self.init(
            link: link.name, number: number, mac: mac, mtu: link.mtu, addresses: usable.map(\.prefix),
            routes: Self.plan(routes, usable),
            // A veth passes every frame; the others keep a list of the multicast groups that their host has joined.
            needsAllMulticast: link.kind != "veth")
    }

    private static func plan(_ routes: [Route], _ addresses: [Address]) -> [RoutePlan] {
        // A peer's address is not in a network of ours until the route to it says so, and that route is planned.
        let networks = Set(addresses.filter { $0.peer == nil }.map(\.prefix.network))
        var planned: [RoutePlan] = []
        for route in routes where route.isForGuest {
            let destination = route.destination.network
            if route.gateway == nil && networks.contains(destination) { continue }
            let reachable = route.gateway.map { gateway in
                gateway.family == destination.family && gateway.isLinkLocal && gateway.family == .v6
                    || networks.contains { $0.contains(gateway) }
            }
            let plan = RoutePlan(
                destination, via: route.gateway, onLink: reachable == false, metric: route.plannedMetric)
            if !planned.contains(plan) { planned.append(plan) }
        }
        return planned.filter { $0.gateway == nil }
            + planned.filter { $0.gateway != nil && $0.isDefault }
            + planned.filter { $0.gateway != nil && !$0.isDefault }
    }
}

extension Route {
    /// A unicast route of the main table that a guest does not make by itself.
    fileprivate var isForGuest: Bool {
        table == 254 && type == 1 && !destination.address.isMulticast && !destination.address.isLoopback
            && !(destination.family == .v6 && destination.length > 0 && destination.address.isLinkLocal)
    }

    /// 1024 is what the kernel gives to an IPv6 route without a metric (IP6_RT_PRIO_USER), and 256 to one that comes
    /// from an address.
    fileprivate var plannedMetric: UInt32? {
        switch metric {
        case 0: nil
        case 1024 where destination.family == .v6: nil
        case 256 where destination.family == .v6 && origin == 2: nil
        default: metric
        }
    }
}

extension Link {
    /// Not the pod's: the loopback link, our own, and the tunnel devices that the kernel puts into every namespace while
    /// nobody has switched them on.
    fileprivate var isIgnored: Bool {
        let fallback: Set = [
            "tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6tnl0", "ip6_vti0", "ip6gre0",
        ]
        return flags.contains(.loopback) || OwnLink.isOwn(self) || fallback.contains(name) && !flags.contains(.up)
    }
}

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

extension InterfacePlan {
    /// Addresses that the guest shall have.
    ///
    /// A network that a route reaches through a gateway is not on the link, whatever the address' length says: CNI's ptp
    /// replaces the kernel's route so. A guest with that length would look for its neighbours in vain.
    ///
    /// - Parameter routes: those of the same link.
    static func usable(_ addresses: [Address], _ routes: [Route]) -> [Address] {
        let beyond = Set(routes.filter { $0.isForGuest && $0.gateway != nil }.map(\.destination.network))
        return addresses.filter {
            $0.scope != .host && !$0.flags.contains(.duplicate)
                && !($0.prefix.family == .v6 && $0.prefix.address.isLinkLocal)
        }.map { address in
            guard beyond.contains(address.prefix.network) else { return address }
            var alone = address
            alone.prefix = .host(address.prefix.address)
            return alone
        }
    }

    /// Routes that the guest shall have.
    ///
    /// - Parameter addresses: the usable ones of the same link.
    static func plan(_ routes: [Route], _ addresses: [Address]) -> [RoutePlan] {
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
        return ordered(planned)
    }

    /// Those on the link itself first, as the gateways of others may be there.
    static func ordered(_ routes: [RoutePlan]) -> [RoutePlan] {
        routes.filter { $0.gateway == nil } + routes.filter { $0.gateway != nil && $0.isDefault }
            + routes.filter { $0.gateway != nil && !$0.isDefault }
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

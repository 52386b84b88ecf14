extension GuestNetwork {
    /// cloud-init's network-config, version 2, which is netplan's.
    ///
    /// NICs are matched by MAC and keep the names that the guest gives them. A static configuration only: the pod's
    /// addresses are assigned, and a router advertisement or a DHCP server in the cluster has no say.
    var networkConfig: JSONText {
        .object([
            ("version", .number(2)),
            ("ethernets", .object(interfaces.map { ($0.name, $0.ethernet) })),
        ])
    }
}

extension GuestNetwork.Interface {
    fileprivate var ethernet: JSONText {
        var members: [(key: String, value: JSONText)] = [("match", .object([("macaddress", .string(mac))]))]
        if let mtu { members.append(("mtu", .number(mtu))) }
        members += [
            ("dhcp4", .bool(false)), ("dhcp6", .bool(false)), ("accept-ra", .bool(false)),
            ("addresses", .strings(addresses)),
        ]
        let gateways = [4, 6].compactMap { family in gateway(family: family).map { (family, $0) } }
        for (family, route) in gateways {
            members.append(("gateway\(family)", .string(route.via ?? "")))
        }
        let others = folded.filter { route in !gateways.contains { $0.1 == route } }
        if !others.isEmpty { members.append(("routes", .array(others.map(\.entry)))) }
        var dns: [(key: String, value: JSONText)] = []
        if !nameservers.isEmpty { dns.append(("addresses", .strings(nameservers))) }
        if !search.isEmpty { dns.append(("search", .strings(search))) }
        if !dns.isEmpty { members.append(("nameservers", .object(dns))) }
        return .object(members)
    }

    /// The routes without the detour that a CNI plugin takes with a /32: its link route to the gateway, beside the
    /// routes over it, says the same as `on-link` at those.
    private var folded: [GuestNetwork.Route] {
        let linkHosts = Set(routes.filter { $0.via == nil }.compactMap(\.host))
        let gateways = Set(routes.compactMap(\.via))
        return routes.compactMap { route in
            guard let via = route.via else {
                return route.host.map { gateways.contains($0) } == true ? nil : route
            }
            return GuestNetwork.Route(to: route.to, via: via, onLink: route.onLink || linkHosts.contains(via))
        }
    }

    /// The default route that goes into `gateway4` or `gateway6`. netplan calls them deprecated, but every guest
    /// knows them, while cloud-init 22.4 makes `::/64` of a route to `::/0` under NetworkManager and networkd. They
    /// hang on an address of the family and know no `on-link`.
    private func gateway(family: Int) -> GuestNetwork.Route? {
        guard addresses.contains(where: { $0.contains(":") == (family == 6) }) else { return nil }
        return folded.first { $0.to == (family == 6 ? "::/0" : "0.0.0.0/0") && $0.via != nil && !$0.onLink }
    }
}

extension GuestNetwork.Route {
    /// The destination's address when it is a single host.
    fileprivate var host: String? {
        let length = to.contains(":") ? "/128" : "/32"
        return to.hasSuffix(length) ? String(to.dropLast(length.count)) : nil
    }

    fileprivate var entry: JSONText {
        var members: [(key: String, value: JSONText)] = [("to", .string(to))]
        if let via {
            members.append(("via", .string(via)))
            if onLink { members.append(("on-link", .bool(true))) }
        } else {
            // The unspecified address is "no gateway" everywhere; without `via`, cloud-init 22.4 fails as a whole
            // where it writes /etc/network/interfaces or ifcfg files.
            members.append(("via", .string(to.contains(":") ? "::" : "0.0.0.0")))
            members.append(("scope", .string("link")))
        }
        return .object(members)
    }
}

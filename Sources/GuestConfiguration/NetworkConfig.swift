extension GuestNetwork {
    /// cloud-init's network-config, version 2, which is netplan's.
    ///
    /// NICs are matched by MAC and keep the names that the guest gives them: a vendor's image knows its NICs by the names
    /// of its kernel, which follow the PCI addresses, and those are in the pod's order; a `set-name` that is also the
    /// kernel's name of another NIC makes the names depend on which NIC was found first. A static configuration only: the
    /// pod's addresses are assigned, and a router advertisement or a DHCP server in the cluster has no say.
    var networkConfig: JSONText {
        .object([
            ("version", .number(2)),
            ("ethernets", .object(zip(interfaces, advisedRoutes).map { ($0.name, $0.ethernet($1)) })),
        ])
    }
}

extension GuestNetwork.Interface {
    fileprivate func ethernet(_ routes: [GuestNetwork.Route]) -> JSONText {
        var members: [(key: String, value: JSONText)] = [("match", .object([("macaddress", .string(mac))]))]
        if let mtu { members.append(("mtu", .number(mtu))) }
        members += [("dhcp4", .bool(false)), ("dhcp6", .bool(false)), ("accept-ra", .bool(false))]
        // The guest sets it up, and its boot does not wait for it.
        if addresses.isEmpty || !isUp { members.append(("optional", .bool(true))) }
        // IPv4 first: cloud-init hangs all routes on the first address.
        members.append(("addresses", .strings(addresses.filter { !$0.isV6 } + addresses.filter(\.isV6))))
        let gateways = [false, true].compactMap { isV6 in gateway(routes, isV6: isV6) }
        for route in gateways { members.append((route.isV6 ? "gateway6" : "gateway4", .string(route.gateway))) }
        // Of a default route of IPv6 with a metric cloud-init 22.4 makes `::/64`, and 26.2 fails as a whole where it writes
        // for NetworkManager and the NIC has an IPv4 address.
        let others = routes.filter { !gateways.contains($0) && !($0.isV6 && $0.isDefault && $0.metric != nil) }
        if !others.isEmpty { members.append(("routes", .array(others.map(\.entry)))) }
        var dns: [(key: String, value: JSONText)] = []
        if !nameservers.isEmpty { dns.append(("addresses", .strings(nameservers))) }
        if !search.isEmpty { dns.append(("search", .strings(search))) }
        if !dns.isEmpty { members.append(("nameservers", .object(dns))) }
        return .object(members)
    }

    /// The default route that goes into `gateway4` or `gateway6`. netplan calls them deprecated, but every guest
    /// knows them, while cloud-init 22.4 makes `::/64` of a route to `::/0` under NetworkManager and networkd. They
    /// hang on an address of the family, know no metric, and may be set before the link routes.
    private func gateway(_ routes: [GuestNetwork.Route], isV6: Bool) -> GuestNetwork.Route? {
        guard addresses.contains(where: { $0.isV6 == isV6 }) else { return nil }
        let links = routes.filter { $0.via == nil }.map(\.to)
        return routes.first { route in
            guard route.isDefault, route.isV6 == isV6, route.metric == nil, let via = route.via else { return false }
            return !links.contains(via + (isV6 ? "/128" : "/32"))
        }
    }
}

extension GuestNetwork.Route {
    fileprivate var entry: JSONText {
        var members: [(key: String, value: JSONText)] = [("to", .string(to)), ("via", .string(gateway))]
        if let metric { members.append(("metric", .number(metric))) }
        return .object(members)
    }
}

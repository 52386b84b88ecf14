extension GuestNetwork {
    /// OpenStack's `network_data.json`, as Nova's `get_network_metadata` makes it and its schema
    /// `doc/api_schemas/network_data.json` describes it.
    ///
    /// Beyond it go the metrics of routes and the search domains, which the format has no place for and cloud-init reads,
    /// and the name servers once more where cloud-init 22.4 looks for them under NetworkManager. A link has no `name`:
    /// cloud-init would give it to the NIC.
    var networkData: JSONText {
        var networks: [JSONText] = []
        for (interface, routes) in zip(interfaces, advisedRoutes) {
            // A network has one address; the routes are with a family's first one.
            var told: Set<Bool> = []
            for address in interface.addresses {
                let isV6 = address.isV6
                let own = told.insert(isV6).inserted ? routes.filter { $0.isV6 == isV6 } : []
                var network = interface.network(address, isV6: isV6, own, id: "network\(networks.count)")
                if address == interface.addresses.first { network += interface.resolution }
                networks.append(.object(network))
            }
        }
        var services: [JSONText] = []
        var known: Set<String> = []
        for interface in interfaces {
            for server in interface.nameservers where known.insert(server).inserted {
                services.append(.object(Self.service(server) + [("search", .strings(interface.search))]))
            }
        }
        return .object([
            ("links", .array(interfaces.map(\.link))), ("networks", .array(networks)), ("services", .array(services)),
        ])
    }

    fileprivate static func service(_ server: String) -> [(key: String, value: JSONText)] {
        [("type", .string("dns")), ("address", .string(server))]
    }
}

extension GuestNetwork.Interface {
    fileprivate var link: JSONText {
        .object([
            ("id", .string(name)), ("vif_id", .string(name)), ("type", .string("phy")),
            ("mtu", mtu.map { .number($0) } ?? .null), ("ethernet_mac_address", .string(mac)),
        ])
    }

    fileprivate func network(
        _ address: String, isV6: Bool, _ routes: [GuestNetwork.Route], id: String
    ) -> [(key: String, value: JSONText)] {
        let (host, mask) = address.split
        return [
            ("id", .string(id)), ("type", .string(isV6 ? "ipv6" : "ipv4")), ("link", .string(name)),
            ("ip_address", .string(host)), ("netmask", .string(mask)), ("routes", .array(routes.map(\.item))),
            ("network_id", .string(tags.first ?? name)),
            ("services", .array(nameservers.map { .object(GuestNetwork.service($0)) })),
        ]
    }

    fileprivate var resolution: [(key: String, value: JSONText)] {
        [("dns_nameservers", nameservers), ("dns_search", search)].filter { !$0.1.isEmpty }
            .map { ($0.0, .strings($0.1)) }
    }
}

extension GuestNetwork.Route {
    fileprivate var item: JSONText {
        let (network, mask) = to.split
        var members: [(key: String, value: JSONText)] = [
            ("network", .string(network)), ("netmask", .string(mask)), ("gateway", .string(gateway)),
        ]
        if let metric { members.append(("metric", .number(metric))) }
        return .object(members)
    }
}

extension String {
    /// The address and the netmask, written as an address of its family, of a text in CIDR form.
    fileprivate var split: (address: String, mask: String) {
        let parts = split(separator: "/", maxSplits: 1)
        let length = (parts.count > 1 ? Int(parts[1]) : nil) ?? (isV6 ? 128 : 32)
        let bits = isV6 ? 16 : 8
        let groups = (0..<(isV6 ? 8 : 4)).map { group in
            let ones = min(max(length - group * bits, 0), bits)
            return (1 << bits) - (1 << (bits - ones))
        }
        let address = parts.first.map(String.init) ?? self
        guard isV6 else { return (address, groups.map { String($0) }.joined(separator: ".")) }
        let set = groups.prefix { $0 != 0 }.map { String($0, radix: 16) }
        return (address, set.joined(separator: ":") + (set.count < 8 ? "::" : ""))
    }
}

import Netlink

/// The guest's and the host's end of a network between them, of one protocol.
struct MasqueradeEnds: Equatable {
    var guest: IPPrefix
    /// The guest's gateway, in the network's notation.
    var router: IPPrefix

    /// Those of a plan whose traffic leaves with the pod's address.
    static func ends(_ plan: InterfacePlan) -> [MasqueradeEnds] {
        plan.addresses.compactMap { guest in
            guard let gateway = plan.gateway(guest.family), let router = IPPrefix(gateway, length: guest.length) else {
                return nil
            }
            return MasqueradeEnds(guest: guest, router: router)
        }
    }

    /// What the address service has in the network: it advertises the networks of its own addresses, and the guest's own
    /// address must not be the host's.
    var service: IPPrefix? {
        let taken = [guest.address.bytes.last, router.address.bytes.last]
        guard let octet = (3...6 as ClosedRange<UInt8>).first(where: { !taken.contains($0) }) else { return nil }
        return IPAddress(bytes: guest.address.bytes.dropLast() + [octet]).flatMap {
            IPPrefix($0, length: guest.length)
        }
    }

    /// The protocol's name in rules.
    var words: String { guest.family == .v4 ? "ip" : "ip6" }
}

/// The rules of nftables that join the guest's network to the pod's (nft(8)), all in one table of the NIC's.
struct MasqueradeRules {
    let tap: String
    let link: String
    /// What is sent on to the guest; empty: every port.
    let ports: [Binding.Port]
    let ends: [MasqueradeEnds]

    init(_ plan: InterfacePlan, ports: [Binding.Port]) {
        (tap, link, self.ports) = (plan.tap, plan.link, ports)
        ends = MasqueradeEnds.ends(plan)
    }

    static func table(tap: String) -> String { "inet slipway_\(tap)" }

    /// Removes the table; none there is fine.
    static func removal(tap: String) -> String { "table \(table(tap: tap))\ndelete table \(table(tap: tap))\n" }

    /// Makes the table, in the place of an earlier one.
    var text: String {
        let own = ends.map { end in
            let others = end.guest.family == .v4 ? "169.254.0.0/16" : "fe80::/10"
            return "iifname \"\(tap)\" \(end.words) saddr != \(end.guest.address) \(end.words) saddr != \(others) drop"
        }
        let out = ends.map { "oifname \"\(link)\" \($0.words) saddr \($0.guest.address) masquerade" }
        // The host's own connections come from the guest's gateway: 127.0.0.1 is nowhere on a wire.
        let back = ends.map { end in
            "oifname \"\(tap)\" fib saddr type local \(end.words) daddr \(end.guest.address)"
                + " snat \(end.words) to \(end.router.address)"
        }
        let chains = [
            chain(
                "from_guest", "filter hook prerouting priority raw",
                own + ["iifname \"\(tap)\" ip daddr 127.0.0.0/8 drop"]),
            chain("arriving", "nat hook prerouting priority dstnat", sent("iifname \"\(link)\" fib daddr type local")),
            chain("own", "nat hook output priority -100", sent("fib daddr type local")),
            chain("leaving", "nat hook postrouting priority srcnat", out + back),
            chain(
                "through", "filter hook forward priority filter",
                ["iifname \"\(tap)\" oifname != \"\(link)\" drop", "oifname \"\(tap)\" iifname != \"\(link)\" drop"]),
        ]
        return Self.removal(tap: tap) + "table \(Self.table(tap: tap)) {\n" + chains.joined() + "}\n"
    }

    private func chain(_ name: String, _ hook: String, _ rules: [String]) -> String {
        let lines = ["type \(hook); policy accept"] + rules
        return "    chain \(name) {\n" + lines.map { "        \($0)\n" }.joined() + "    }\n"
    }

    /// Rules that send connections to the named ports on to the guest.
    ///
    /// - Parameter matching: their beginning.
    private func sent(_ matching: String) -> [String] {
        var chosen: [String] = ports.isEmpty ? ["meta l4proto { tcp, udp, sctp }"] : []
        for transport in Binding.Port.TransportProtocol.allCases {
            let numbers = Set(ports.filter { $0.transport == transport }.map(\.number)).sorted()
            if numbers.isEmpty { continue }
            chosen.append("\(transport) dport { \(numbers.map { "\($0)" }.joined(separator: ", ")) }")
        }
        return chosen.flatMap { ports in
            ends.map { end in
                "\(matching) meta nfproto \(end.guest.family == .v4 ? "ipv4" : "ipv6") \(ports)"
                    + " dnat \(end.words) to \(end.guest.address)"
            }
        }
    }
}

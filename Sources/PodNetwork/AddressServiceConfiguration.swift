import Netlink

/// The text of dnsmasq's configuration (dnsmasq(8)) that tells one pod's guest its addresses.
///
/// Only one of the guest's NICs is told a default route by DHCP, which knows no metrics: the best one. The routers of the
/// others are advertised with the preference "low" (RFC 4191) by IPv6.
///
/// It serves no DNS, keeps no lease file, reads no other file, and gives exactly the pod's addresses to exactly the NICs'
/// Ethernet addresses for ever. What it answers by DHCPv6 it says aloud: ``AddressServiceProcess`` listens.
public struct AddressServiceConfiguration: Equatable, Sendable {
    /// There is no link to answer on: nothing has to run.
    public let isEmpty: Bool
    private var lines: [String] = [
        "port=0", "no-hosts", "no-resolv", "no-ping", "leasefile-ro", "dhcp-authoritative", "bind-interfaces",
        "except-interface=lo", "log-facility=-", "quiet-dhcp", "quiet-ra",
    ]

    /// Makes the configuration.
    ///
    /// - Parameters:
    ///   - links: what ``NetworkBinding`` returned, in any order.
    ///   - hostName: the guest's name; its first label is told, if it is one that DHCP can carry.
    ///   - user: the account that dnsmasq changes to once it has its sockets.
    public init(_ links: [AddressServiceLink], dns: DNSConfiguration, hostName: String, user: String = "dnsmasq") {
        isEmpty = links.isEmpty
        lines.append("user=\(user)")
        let advertising = links.contains { !$0.plan.addresses(.v6).isEmpty }
        if advertising { lines.append("enable-ra") }
        let (bestV4, bestV6) = (Self.withBestDefault(links, .v4), Self.withBestDefault(links, .v6))
        for link in links {
            append(
                link, dns, Self.label(hostName), isDefaultV4: link.name == bestV4, isDefaultV6: link.name == bestV6)
        }
    }

    /// The name of the link whose default route has the smallest metric; the first NIC of those.
    private static func withBestDefault(_ links: [AddressServiceLink], _ family: IPAddress.Family) -> String? {
        let metrics = links.sorted { $0.plan.number < $1.plan.number }.compactMap { link in
            link.plan.routes.filter { $0.isDefault && $0.destination.family == family }
                .map { $0.metric ?? (family == .v4 ? 0 : 1024) }.min().map { (link.name, metric: $0) }
        }
        return metrics.min { $0.metric < $1.metric }?.0
    }

    /// The configuration file.
    public var text: String { lines.joined(separator: "\n") + "\n" }

    private mutating func append(
        _ link: AddressServiceLink, _ dns: DNSConfiguration, _ hostName: String?, isDefaultV4: Bool, isDefaultV6: Bool
    ) {
        let (name, plan) = (link.name, link.plan)
        // dnsmasq joins multicast groups on the link of this number: one made again under the name is another one.
        lines.append("# link \(link.index)")
        lines.append("interface=\(name)")
        var host = ["dhcp-host=\(plan.mac)"]
        // DHCP gives a client one IPv4 address.
        if let address = plan.addresses(.v4).first, let netmask = address.netmask {
            let network = address.network.address
            lines.append("shared-network=\(name),\(network)")
            add("dhcp-range=\(network),static,\(netmask),infinite")
            host.append("\(address.address)")
            appendOptionsV4(link, dns, isDefault: isDefaultV4)
        }
        let addresses = plan.addresses(.v6)
        for address in addresses {
            let prefix = Self.advertised(address)
            add("dhcp-range=\(prefix.network.address),static,\(prefix.length),infinite")
            host.append("[\(address.address)]")
        }
        if !addresses.isEmpty {
            // A lifetime of 0 says "not a default router" (RFC 4861, 4.2); 9000 s is the longest there.
            let preference = link.routes && !isDefaultV6 ? "low," : ""
            lines.append("ra-param=\(name),mtu:\(plan.guestMTU),\(preference)600,\(link.routes ? 9000 : 0)")
            let servers = dns.nameservers.filter { $0.family == .v6 }.map { "[\($0)]" }
            option(name, "option6:dns-server", servers)
            if !dns.search.isEmpty { option(name, "option6:domain-search", dns.search) }
        }
        if let hostName { host.append(hostName) }
        lines.append((host + ["infinite"]).joined(separator: ","))
    }

    private mutating func appendOptionsV4(_ link: AddressServiceLink, _ dns: DNSConfiguration, isDefault: Bool) {
        let (name, plan) = (link.name, link.plan)
        // An option without a value keeps dnsmasq from telling its own address.
        option(name, "option:router", isDefault ? plan.gateway(.v4).map { ["\($0)"] } ?? [] : [])
        option(name, "option:dns-server", dns.nameservers.filter { $0.family == .v4 }.map { "\($0)" })
        option(name, "option:mtu", ["\(plan.guestMTU)"])
        if let domain = dns.search.first {
            option(name, "option:domain-name", [domain])
            option(name, "option:domain-search", dns.search)
        }
        let routes = Self.classlessRoutes(plan, isDefault: isDefault)
        if !routes.isEmpty { option(name, "option:classless-static-route", routes) }
    }

    private mutating func option(_ link: String, _ name: String, _ values: [String]) {
        // dnsmasq tags a request with the name of the link that it came by.
        lines.append((["dhcp-option=tag:\(link)", name] + values).joined(separator: ","))
    }

    /// Two NICs in one network share its range.
    private mutating func add(_ line: String) {
        if !lines.contains(line) { lines.append(line) }
    }

    /// dnsmasq takes prefixes of 64 to 128 bits; of a shorter one the address's own /64 is told.
    private static func advertised(_ address: IPPrefix) -> IPPrefix {
        IPPrefix(address.address, length: max(64, address.length)) ?? address
    }

    /// Pairs of destination and router for option 121 (RFC 3442), empty when option 3 says it all. A router of 0.0.0.0 is
    /// "on this link". An option holds 255 octets: routes behind that are left out, which the order of the plan makes the
    /// least important ones.
    static func classlessRoutes(_ plan: InterfacePlan, isDefault: Bool) -> [String] {
        let routes = plan.routes.filter {
            $0.destination.family == .v4 && $0.gateway?.family != .v6 && (isDefault || !$0.isDefault)
        }
        guard routes.contains(where: { !$0.isDefault || $0.onLink || $0.gateway == nil }) else { return [] }
        let here = IPAddress.unspecified(.v4)
        var pairs: [(destination: IPPrefix, router: IPAddress)] = []
        for route in routes {
            if route.onLink, let gateway = route.gateway,
                !pairs.contains(where: { $0.router == here && $0.destination.contains(gateway) })
            {
                pairs.append((.host(gateway), here))
            }
            pairs.append((route.destination, route.gateway ?? here))
        }
        var size = 0
        return pairs.prefix { pair in
            size += 5 + (pair.destination.length + 7) / 8
            return size <= 255
        }.flatMap { ["\($0.destination)", "\($0.router)"] }
    }

    /// A host name's first label in letters, digits and hyphens (RFC 1123); nil if it is none.
    private static func label(_ name: String) -> String? {
        let label = name.prefix { $0 != "." }
        guard (1...63).contains(label.utf8.count), !label.hasPrefix("-"), !label.hasSuffix("-"),
            label.utf8.allSatisfy({ DNSConfiguration.isNameByte($0) && $0 != UInt8(ascii: "_") }),
            label != "infinite", label != "ignore", !label.utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else { return nil }
        return String(label)
    }
}

import Netlink

/// The link on which the address service hears one guest's NIC, and what it tells there.
public struct AddressServiceLink: Codable, Equatable, Sendable {
    /// The link's name.
    public var name: String
    /// Its number in the network namespace.
    public var index: Int32
    /// The NIC that is served.
    public var plan: InterfacePlan
    /// The link bears the IPv6 gateway's Ethernet address, so that the guest may take it for the router.
    public var routes: Bool

    /// A link of its parts.
    public init(name: String, index: Int32, plan: InterfacePlan, routes: Bool) {
        self.name = name
        self.index = index
        self.plan = plan
        self.routes = routes
    }

    /// The server's IPv4 address on every such link: in the reserved part of RFC 3927's block, which no host takes.
    static let serverV4 = IPPrefix("169.254.0.67/32")
    /// The server's and router's IPv6 address on every such link; the lower half spells the product's name, so that it
    /// does not collide with one made from an Ethernet address.
    static let serverV6 = IPPrefix("fe80::53:4c49:5057:4159/64")

    /// What the server's end needs. The host hears nothing but the guest's requests there, so none of it is ever
    /// announced or answered for on the pod's network.
    static func addresses(_ plan: InterfacePlan, linkIndex: Int32) -> [Address] {
        var addresses: [Address] = []
        if !plan.addresses(.v4).isEmpty, let serverV4 {
            addresses.append(Address(linkIndex: linkIndex, prefix: serverV4, scope: .link))
        }
        if !plan.addresses(.v6).isEmpty, let serverV6 {
            addresses.append(
                Address(
                    linkIndex: linkIndex, prefix: serverV6, scope: .link, flags: [.permanent, .noDuplicateDetection]))
        }
        // dnsmasq advertises the prefixes of its link's own addresses. The pod's own ones stand in for them: they
        // belong to this namespace already.
        for prefix in plan.addresses(.v6) {
            addresses.append(
                Address(
                    linkIndex: linkIndex, prefix: prefix,
                    flags: [.permanent, .noDuplicateDetection, .noPrefixRoute]))
        }
        return addresses
    }

    /// The priorities of ``redirects(_:to:)``: one a protocol, IPv4 and IPv6.
    static let priorities: [(priority: UInt16, frames: Redirect.FrameType)] = [(1, .ipv4), (2, .ipv6)]

    /// The guest's frames that are meant for the service, before all others. Only clients' ports match: a DHCP relay or
    /// server in the guest talks to the network.
    static func redirects(_ plan: InterfacePlan, to relay: Int32) -> [Redirect] {
        var redirects: [Redirect] = []
        if !plan.addresses(.v4).isEmpty {
            // Without IP options and not a fragment: ports are at octet 20.
            redirects.append(
                Redirect(
                    priority: 1, frames: .ipv4,
                    keys: [
                        U32Key(octet: 0x45, at: 0), U32Key(0, mask: 0x1fff, at: 4), U32Key(octet: 17, at: 9),
                        U32Key(68 << 16 | 67, at: 20),
                    ], to: relay))
        }
        if !plan.addresses(.v6).isEmpty, let server = serverV6?.address {
            let icmp = U32Key(octet: 58, at: 6)
            let keys: [[U32Key]] = [
                // DHCPv6.
                [U32Key(octet: 17, at: 6), U32Key(546 << 16 | 547, at: 40)],
                // Router solicitation.
                [icmp, U32Key(octet: 133, at: 40)],
                // Whatever is sent to the service itself: neighbour advertisements and solicitations.
                U32Key.address(server, at: 24),
                // Neighbour solicitation for the service's address, which goes to a multicast group.
                [icmp, U32Key(octet: 135, at: 40)] + U32Key.address(server, at: 48),
            ]
            redirects += keys.map { Redirect(priority: 2, frames: .ipv6, keys: $0, to: relay) }
        }
        return redirects
    }
}

extension InterfacePlan {
    /// The MTU that the guest is told, in bytes: the one asked for, at most the link's.
    public var guestMTU: UInt32 { min(settings.mtu ?? mtu, mtu) }
}

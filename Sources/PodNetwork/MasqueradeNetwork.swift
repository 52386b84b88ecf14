import Netlink

/// The network of a guest that shares its pod's address: a gateway that we are, and the guest, for each protocol of which
/// the pod has an address.
struct MasqueradeNetwork {
    /// The guest's addresses; the gateways are the first ones of their networks.
    var addresses: [IPPrefix] = []
    /// Default routes over the gateways.
    var routes: [RoutePlan] = []

    /// Networks from which one is taken that overlaps with nothing that the pod sees: the ones that virtual machines
    /// commonly have behind NAT first; the last (RFC 7335) is taken in any case.
    static let candidates: [IPAddress.Family: [String]] = [
        .v4: ["10.0.2.0/24", "172.31.255.0/24", "192.168.255.0/24", "100.127.255.0/24", "192.0.0.0/29"],
        .v6: ["fd10:0:2::/120", "fd10:0:2:1::/120"],
    ]

    /// - Parameters:
    ///   - pod: the interface with the pod's addresses and routes.
    ///   - earlier: what the guest has; its network stays while the pod keeps the protocols.
    init(beside pod: InterfacePlan, dns: DNSConfiguration, earlier: InterfacePlan?) {
        let families: [IPAddress.Family] = [.v4, .v6].filter { !pod.addresses($0).isEmpty }
        if let earlier, case .masquerade = earlier.binding, Set(earlier.addresses.map(\.family)) == Set(families) {
            (addresses, routes) = (earlier.addresses, earlier.routes)
            return
        }
        let seen =
            pod.addresses + pod.routes.filter { !$0.isDefault }.map(\.destination)
            + pod.routes.compactMap(\.gateway).map { .host($0) } + dns.nameservers.map { .host($0) }
        for family in families {
            let networks = (Self.candidates[family] ?? []).compactMap { IPPrefix($0) }
            let free = networks.first { network in
                !seen.contains { $0.contains(network.address) || network.contains($0.address) }
            }
            guard let network = free ?? networks.last, let gateway = network.host(1), let guest = network.host(2) else {
                continue
            }
            addresses.append(guest)
            routes.append(RoutePlan(.everything(family), via: gateway.address))
        }
    }
}

extension IPPrefix {
    /// An address of a network whose last octet is free, with the network's length.
    fileprivate func host(_ number: UInt8) -> IPPrefix? {
        IPAddress(bytes: network.address.bytes.dropLast() + [number]).flatMap { IPPrefix($0, length: length) }
    }
}

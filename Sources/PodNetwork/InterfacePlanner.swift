import Netlink

/// Decides about one interface of the pod. Its number is given later.
struct InterfacePlanner {
    let name: String
    let request: NetworkRequest
    /// What the guest has under this name.
    let earlier: InterfacePlan?

    var settings: InterfaceSettings { request.settings[name] ?? InterfaceSettings() }

    /// The network's name, of the pod's own annotation first.
    private var network: String? {
        request.selection[interface: name]?.network ?? request.status[interface: name]?.network
    }

    /// What plugins said, where no link says it: the cached result, or else the status.
    private var result: AttachmentResult {
        request.results[name] ?? request.status[interface: name]?.result ?? AttachmentResult()
    }

    /// The NIC for a link.
    func plan(
        _ link: Link, addresses: [Address], routes: [Route], dns: DNSConfiguration
    ) throws(NetworkRefusal) -> InterfacePlan {
        guard link.hardwareType == 1 else {  // ARPHRD_ETHER
            throw .notEthernet(link: name, kind: link.kind ?? "hardware type \(link.hardwareType)")
        }
        if link.kind == "ipvlan", link.ipvlanMode != .l2 {
            throw .routedIPvlan(link: name, mode: link.ipvlanMode.map { "\($0)" } ?? "unknown")
        }
        guard let linkMAC = link.mac, linkMAC.isStation else {
            throw .noStationAddress(link: name, found: link.mac?.description ?? "nothing")
        }
        let binding = try binding(of: link)
        try check(binding, mtu: link.mtu)
        let usable = InterfacePlan.usable(addresses, routes)
        var plan = InterfacePlan(
            link: name, linkIndex: link.index, number: 0, binding: binding, settings: settings, network: network,
            mac: mac(of: link, linkMAC, binding), linkMAC: linkMAC, mtu: min(settings.mtu ?? link.mtu, link.mtu),
            isUp: link.flags.isSuperset(of: [.up, .lowerUp]), addresses: usable.map(\.prefix),
            routes: InterfacePlan.plan(routes, usable),
            // A veth passes every frame; the others keep a list of the multicast groups that their host has joined.
            needsAllMulticast: binding == .tap && link.kind != "veth")
        switch binding {
        case .masquerade:
            let network = MasqueradeNetwork(beside: plan, dns: dns, earlier: earlier)
            plan.addresses = network.addresses
            plan.routes = network.routes
        case .hostDevice:
            // The hardware's carrier is the guest's, and the link is about to leave with its driver.
            plan.isUp = true
            if plan.addresses.isEmpty { takeResult(&plan) }
        case .vdpa, .vhostUser:
            if plan.addresses.isEmpty { takeResult(&plan) }
        case .tap, .macvtap: break
        }
        // Linux takes its routes and IPv6 addresses off a link that is switched off. The guest keeps what it was told until
        // the link is switched on again.
        if let earlier, !link.flags.contains(.up), earlier.binding.hasSameKind(as: binding) {
            (plan.addresses, plan.routes) = (earlier.addresses, earlier.routes)
        }
        return plan
    }

    /// The NIC for a device without a link.
    func planDevice() throws(NetworkRefusal) -> InterfacePlan {
        if let asked = settings.binding {
            throw .binding(link: name, asked: asked, problem: "the interface is a device without a link")
        }
        let binding = try binding(of: try device())
        let mtu = result.mtu
        try check(binding, mtu: mtu ?? .max)
        let given = result.mac ?? request.selection[interface: name]?.mac ?? MACAddress(bytes: generatedOctets)
        guard let mac = given, mac.isStation else {
            throw .noStationAddress(link: name, found: given?.description ?? "nothing")
        }
        var plan = InterfacePlan(
            link: name, number: 0, binding: binding, settings: settings, network: network, mac: mac,
            mtu: settings.mtu ?? mtu ?? 1500)
        takeResult(&plan)
        return plan
    }

    /// A function that the guest drives: what its link said when it was still there.
    func keep(_ taken: InterfacePlan) throws(NetworkRefusal) -> InterfacePlan {
        if let asked = settings.binding {
            throw .binding(link: name, asked: asked, problem: "the guest drives the function and there is no link")
        }
        try check(taken.binding, mtu: .max)
        var plan = taken
        plan.settings = settings
        plan.network = network ?? taken.network
        if let mtu = settings.mtu { plan.mtu = mtu }
        return plan
    }

    /// The guest's NIC keeps its address when the link is made anew beneath it, if the binding can give it to the link.
    private func mac(of link: Link, _ linkMAC: MACAddress, _ binding: Binding) -> MACAddress {
        guard let earlier, binding.hasTAP, earlier.binding.hasSameKind(as: binding) else { return linkMAC }
        return earlier.linkIndex != link.index || earlier.linkMAC == linkMAC ? earlier.mac : linkMAC
    }

    private func takeResult(_ plan: inout InterfacePlan) {
        let result = result
        plan.addresses = result.addresses.filter { !($0.family == .v6 && $0.address.isLinkLocal) }
        let networks = plan.addresses.map(\.network)
        var routes: [RoutePlan] = []
        for var route in result.routes {
            if route.gateway == nil && route.isDefault {
                route.gateway = result.gateways.first { $0.family == route.destination.family }
            }
            if let gateway = route.gateway {
                let isLinkLocal = gateway.family == .v6 && gateway.isLinkLocal
                route.onLink = !isLinkLocal && !networks.contains { $0.contains(gateway) }
            } else if networks.contains(route.destination.network) {
                continue
            }
            if !routes.contains(route) { routes.append(route) }
        }
        plan.routes = InterfacePlan.ordered(routes)
    }

    /// The octets of an address that is the same whenever it is made. FNV-1a; it need not be hard to guess.
    private var generatedOctets: [UInt8] {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in "\(request.identity)/\(name)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let octets = stride(from: 0, to: 48, by: 8).map { UInt8(truncatingIfNeeded: hash >> UInt64($0)) }
        // Locally administered, not a group.
        return octets.enumerated().map { $0.offset == 0 ? $0.element & 0xfc | 0x02 : $0.element }
    }
}

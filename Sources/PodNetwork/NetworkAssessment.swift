public import LinuxSystem
public import Netlink

/// What the guest can get of the pod's networks and what it cannot: a running guest keeps what it has although something
/// new is refused.
public struct NetworkAssessment: Equatable, Sendable {
    /// What the guest gets.
    public var plan: NetworkPlan
    /// What it does not get. An interface that the guest has and whose link is still the same stays in the plan as it
    /// is, although what changed is refused.
    public var refusals: [NetworkRefusal] = []

    /// Decides. Parameters are those of ``NetworkPlan/init(links:addresses:routes:request:)``. Pure.
    public init(links: [Link], addresses: [Address], routes: [Route], request: NetworkRequest) {
        plan = NetworkPlan(interfaces: [], dns: DNSConfiguration(resolvConf: request.resolvConf))
        let guest = Dictionary(request.guest.map { ($0.link, $0) }) { first, _ in first }
        let chosen = Dictionary(links.filter { !$0.isIgnored }.map { ($0.name, $0) }) { first, _ in first }
        let taken = request.guest.filter { $0.isTaken && chosen[$0.link] == nil && !request.released.contains($0.link) }
        let names = Set(chosen.keys).union(taken.map(\.link)).union(request.linklessNames(besides: Set(chosen.keys)))
        let ordered = Self.ordered(names, by: request.selection)

        var owners: [String: String] = [:]
        for name in ordered {
            let planner = InterfacePlanner(name: name, request: request, earlier: guest[name])
            do throws(NetworkRefusal) {
                var interface: InterfacePlan
                if let link = chosen[name] {
                    interface = try planner.plan(
                        link, addresses: addresses.filter { $0.linkIndex == link.index },
                        routes: routes.filter { $0.linkIndex == link.index }, dns: plan.dns)
                } else if let plan = try taken.first(where: { $0.link == name }).map(planner.keep) {
                    interface = plan
                } else {
                    interface = try planner.planDevice()
                }
                interface.vlans = links.filter { $0.isVLAN(over: interface) }.compactMap(\.vlan).sorted()
                // A function that shall leave the guest shows up as a link until its plugin takes it away.
                if case .hostDevice = interface.binding, request.released.contains(name) { continue }
                if let device = interface.binding.device {
                    if let owner = owners[device] { throw .deviceTaken(link: name, device: device, by: owner) }
                    owners[device] = name
                }
                plan.interfaces.append(interface)
            } catch {
                refusals.append(error)
                guard let kept = guest[name], let link = chosen[name], kept.linkIndex == link.index else { continue }
                if let device = kept.binding.device {
                    if owners[device] != nil { continue }
                    owners[device] = name
                }
                plan.interfaces.append(kept)
            }
        }
        if request.kept.isEmpty && request.guest.isEmpty {
            for name in Self.ordered(Set(request.settings.keys).subtracting(names), by: request.selection) {
                refusals.append(.unknownInterface(name: name, found: ordered))
            }
        }
        number(request)
        for index in plan.interfaces.indices {
            guard let kept = guest[plan.interfaces[index].link], !kept.needsOtherDevice(for: plan.interfaces[index])
            else { continue }
            plan.interfaces[index].deviceMTU = kept.deviceMTU
        }
    }

    /// Reads the calling thread's network namespace and decides.
    ///
    /// - Throws: `SystemError`.
    public init(reading netlink: RTNetlink, request: NetworkRequest) throws(SystemError) {
        self.init(
            links: try netlink.links(), addresses: try netlink.addresses(), routes: try netlink.routes(),
            request: request)
    }

    /// eth0, then as selected, then by name.
    static func ordered(_ names: Set<String>, by selection: NetworkSelection) -> [String] {
        var places: [String: Int] = [:]
        for (place, element) in selection.elements.enumerated() { places[element.interface] = place }
        places["eth0"] = -1
        return names.sorted { left, right in
            switch (places[left], places[right]) {
            case (let x?, let y?): x < y
            case (_?, nil): true
            case (nil, _?): false
            case (nil, nil): NetworkPlan.precedes(left, right)
            }
        }
    }

    /// Names that had a number keep it. A new one takes the lowest that no interface ever had, or, when there are no
    /// more, the lowest whose interface is away.
    private mutating func number(_ request: NetworkRequest) {
        let limit = min(max(request.numberLimit, 0), NetworkPlan.maximumLinks)
        let kept = request.kept.merging(request.guest.map { ($0.link, $0.number) }) { _, guest in guest }
        var used: Set<Int> = []
        var numbers: [String: Int] = [:]
        for interface in plan.interfaces {
            guard let number = kept[interface.link], (0..<limit).contains(number), used.insert(number).inserted else {
                continue
            }
            numbers[interface.link] = number
        }
        let remembered = Set(kept.values)
        var numbered: [InterfacePlan] = []
        for var interface in plan.interfaces {
            if numbers[interface.link] == nil {
                let free = (0..<limit).lazy.filter { !used.contains($0) }
                guard let number = free.first(where: { !remembered.contains($0) }) ?? free.first else {
                    refusals.append(
                        .tooManyLinks(link: interface.link, found: plan.interfaces.count, limit: limit))
                    continue
                }
                used.insert(number)
                numbers[interface.link] = number
            }
            guard let number = numbers[interface.link] else { continue }
            interface.number = number
            numbered.append(interface)
        }
        plan.interfaces = numbered
    }
}

extension NetworkRequest {
    /// Interfaces that something says have a device, without those that have a link.
    fileprivate func linklessNames(besides links: Set<String>) -> Set<String> {
        var names = Set(devices.keys)
        names.formUnion(results.filter { $0.value.pciAddress != nil }.keys)
        names.formUnion(status.elements.filter { $0.device != nil }.compactMap(\.interface))
        return names.subtracting(links).subtracting(released)
    }
}

extension InterfacePlan {
    /// A function whose link went away because the guest drives it.
    fileprivate var isTaken: Bool {
        if case .hostDevice = binding { linkIndex != 0 } else { false }
    }
}

extension Link {
    /// Whether its frames go through an interface's link, with a tag.
    fileprivate func isVLAN(over interface: InterfacePlan) -> Bool {
        vlan != nil && interface.linkIndex > 0 && parent == interface.linkIndex && linkNetnsID == nil
    }

    /// Not the pod's: the loopback link, our own, and the tunnel devices that the kernel puts into every namespace while
    /// nobody has switched them on.
    fileprivate var isIgnored: Bool {
        let fallback: Set = [
            "tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6tnl0", "ip6_vti0", "ip6gre0",
        ]
        return flags.contains(.loopback) || OwnLink.isOwn(self) || isOwnMacvtap
            || fallback.contains(name) && !flags.contains(.up)
    }

    /// One that was made over a link of the pod.
    private var isOwnMacvtap: Bool {
        kind == "macvtap" && OwnLink.number(tap: name) != nil
            && alias.map { $0.hasPrefix(OwnLink.aliasPrefix) } ?? true
    }
}

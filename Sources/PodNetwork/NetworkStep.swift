/// One thing to do so that a running guest's NICs become what a new plan says. Each carries all that it needs.
public enum NetworkStep: Codable, Equatable, Sendable {
    /// The NIC leaves the guest.
    case unplug(InterfacePlan)
    /// The NIC leaves the guest and comes back as another: its Ethernet address, binding or queues are new.
    case replug(from: InterfacePlan, to: InterfacePlan)
    /// The guest keeps its device and its Ethernet address; what carries its frames is taken off `from`'s link and
    /// joined to `to`'s (``InterfacePlan/linkIndex``, filters, ports).
    case rejoin(from: InterfacePlan, to: InterfacePlan)
    /// Another MTU, in the links that are ours and in what the guest is told.
    case setMTU(InterfacePlan)
    /// The guest sees a carrier, or none any more: ``InterfacePlan/hasCarrier``.
    case setLink(InterfacePlan)
    /// The guest is told other addresses, routes, or another name of the network.
    case readdress(InterfacePlan)
    /// A new NIC for the guest.
    case plug(InterfacePlan)
    /// The pod has other name servers.
    case setDNS(DNSConfiguration)

    /// The interface that it concerns; nil for ``setDNS(_:)``.
    public var link: String? {
        switch self {
        case .unplug(let plan), .setMTU(let plan), .setLink(let plan), .readdress(let plan), .plug(let plan),
            .replug(_, let plan), .rejoin(_, let plan):
            plan.link
        case .setDNS: nil
        }
    }
}

extension NetworkPlan {
    /// What to do so that a guest with these NICs gets those of another plan, in order: what leaves, what changes in the
    /// order of the plan, what comes. Nothing for what is the same. Pure.
    ///
    /// - Parameter plan: a plan that was made with this one's interfaces as ``NetworkRequest/guest``.
    public func steps(to plan: NetworkPlan) -> [NetworkStep] {
        []
    }

    /// The plan after a step. The steps of ``steps(to:)`` lead to the other plan, apart from the order of the
    /// interfaces: new ones come last.
    public mutating func apply(_ step: NetworkStep) {
    }
}

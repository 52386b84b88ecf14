public import Netlink

extension NetworkPlan {
    /// What to do so that a guest with these NICs gets those of another plan, in order: what leaves; what changes, in
    /// the order of the plan; what comes. Nothing for what is the same. Pure.
    ///
    /// - Parameter plan: a plan that was made with this one's interfaces as ``NetworkRequest/guest``.
    public func steps(to plan: NetworkPlan) -> [NetworkStep] {
        let old = Dictionary(interfaces.map { ($0.link, $0) }) { first, _ in first }
        let names = Set(plan.interfaces.map(\.link))
        let staying = interfaces.filter { names.contains($0.link) }
        var leaving: [NetworkStep] = interfaces.filter { !names.contains($0.link) }.map { .unplug($0) }
        var changing: [NetworkStep] = []
        var coming: [NetworkStep] = []
        for new in plan.interfaces {
            guard let old = old[new.link] else {
                coming.append(.plug(new))
                continue
            }
            let changes = old.steps(to: new)
            guard case .replug? = changes.first, new.isBlocked(by: staying) else {
                changing += changes
                continue
            }
            // Two NICs that swap their places or devices: both have to be free before one can be taken.
            leaving.append(.unplug(old))
            coming.append(.plug(new))
        }
        return leaving + changing + coming + (dns == plan.dns ? [] : [.setDNS(plan.dns)])
    }
}

extension NetworkPlan {
    /// What the guest has when frames that arrive on some links are not handed to it any more: their NICs are joined to
    /// nothing, and ``steps(to:)`` joins them anew. A link loses what hangs on it when it is moved to another network
    /// namespace, from where it comes back under the same number.
    ///
    /// - Parameter qdiscs: those of the pod's network namespace.
    public func joined(by qdiscs: [Qdisc]) -> NetworkPlan {
        let places = Set(qdiscs.filter(\.isIngress).map(\.linkIndex))
        var plan = self
        for index in interfaces.indices where !places.contains(interfaces[index].linkIndex) {
            switch interfaces[index].binding {
            case .tap, .macvtap: plan.interfaces[index].linkIndex = 0
            case .masquerade, .hostDevice, .vhostUser, .vdpa: break
            }
        }
        return plan
    }
}

extension InterfacePlan {
    fileprivate func steps(to new: InterfacePlan) -> [NetworkStep] {
        if needsOtherDevice(for: new) { return [.replug(from: self, to: new)] }
        var steps: [NetworkStep] = []
        if join != new.join { steps.append(.rejoin(from: self, to: new)) }
        if vlans != new.vlans { steps.append(.setVLANs(new)) }
        if size != new.size { steps.append(.setMTU(new)) }
        if carrier != new.carrier { steps.append(.setLink(new)) }
        if told != new.told { steps.append(.readdress(new)) }
        return steps
    }

    /// Whether another NIC has the number or the device.
    fileprivate func isBlocked(by others: [InterfacePlan]) -> Bool {
        others.contains { other in
            other.link != link
                && (other.number == number || binding.device != nil && other.binding.device == binding.device)
        }
    }
}

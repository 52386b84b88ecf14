import Netlink

/// One thing to do so that a running guest's NICs become what a new plan says. Each carries all that it needs.
public enum NetworkStep: Codable, Equatable, Sendable {
    /// The NIC leaves the guest.
    case unplug(InterfacePlan)
    /// The NIC leaves the guest and comes back as another: its Ethernet address, binding or queues are new, or its MTU is
    /// larger than the guest's device takes.
    case replug(from: InterfacePlan, to: InterfacePlan)
    /// The guest keeps its device and its Ethernet address; what carries its frames is taken off `from`'s link and
    /// joined to `to`'s: another ``InterfacePlan/linkIndex`` or ``InterfacePlan/linkMAC``, other filters, other ports.
    case rejoin(from: InterfacePlan, to: InterfacePlan)
    /// Other tags are those of links over the NIC's: ``InterfacePlan/vlans``.
    case setVLANs(InterfacePlan)
    /// Another MTU, in the links that are ours and in what the guest is told.
    case setMTU(InterfacePlan)
    /// The guest sees a carrier, or none any more: ``InterfacePlan/hasCarrier``.
    case setLink(InterfacePlan)
    /// The guest is told other addresses or routes, or another name of the network.
    case readdress(InterfacePlan)
    /// A new NIC for the guest.
    case plug(InterfacePlan)
    /// The pod has other name servers.
    case setDNS(DNSConfiguration)

    /// The interface that it concerns; nil for ``setDNS(_:)``.
    public var link: String? {
        switch self {
        case .unplug(let plan), .setVLANs(let plan), .setMTU(let plan), .setLink(let plan), .readdress(let plan),
            .plug(let plan),
            .replug(_, let plan), .rejoin(_, let plan):
            plan.link
        case .setDNS: nil
        }
    }

    /// The same for what the plan is by now, after a try that failed and may have done a part of it; nil for what can be
    /// left when nobody wants it any more.
    public func again(for plan: NetworkPlan) -> NetworkStep? {
        guard let new = plan.interfaces.first(where: { $0.link == link }) else { return nil }
        switch self {
        case .rejoin(let old, _): return .rejoin(from: old, to: new)
        case .setVLANs: return .setVLANs(new)
        case .setMTU: return .setMTU(new)
        case .setLink: return .setLink(new)
        case .readdress: return .readdress(new)
        case .plug, .unplug, .replug, .setDNS: return nil
        }
    }
}

extension NetworkPlan {
    /// The plan after a step. The steps of ``steps(to:)`` lead to the other plan, apart from the order of the
    /// interfaces: new ones come last.
    public mutating func apply(_ step: NetworkStep) {
        switch step {
        case .unplug(let old): interfaces.removeAll { $0.link == old.link }
        case .plug(let new): interfaces.append(new)
        case .setDNS(let new): dns = new
        case .replug(_, let new): change(new.link) { $0 = new }
        case .rejoin(_, let new): change(new.link) { $0.join = new.join }
        case .setVLANs(let new): change(new.link) { $0.vlans = new.vlans }
        case .setMTU(let new): change(new.link) { $0.size = new.size }
        case .setLink(let new): change(new.link) { $0.carrier = new.carrier }
        case .readdress(let new): change(new.link) { $0.told = new.told }
        }
    }

    private mutating func change(_ link: String, _ body: (inout InterfacePlan) -> Void) {
        for index in interfaces.indices where interfaces[index].link == link { body(&interfaces[index]) }
    }
}

// Every property of an InterfacePlan but its name is in one of these groups, or in what makes the device another one.
extension InterfacePlan {
    /// What the host's side of the NIC can follow while the guest keeps its device.
    struct Join: Equatable {
        var linkIndex: Int32
        var linkMAC: MACAddress
        var binding: Binding
        var isTrusted: Bool
        var ports: [Binding.Port]
        var needsAllMulticast: Bool
    }

    var join: Join {
        get {
            Join(
                linkIndex: linkIndex, linkMAC: linkMAC, binding: binding, isTrusted: settings.isTrusted,
                ports: settings.ports, needsAllMulticast: needsAllMulticast)
        }
        set {
            linkIndex = newValue.linkIndex
            linkMAC = newValue.linkMAC
            binding = newValue.binding
            settings.isTrusted = newValue.isTrusted
            settings.ports = newValue.ports
            needsAllMulticast = newValue.needsAllMulticast
        }
    }

    /// The MTU with what was asked.
    struct Size: Equatable {
        var mtu: UInt32
        var asked: UInt32?
    }

    var size: Size {
        get { Size(mtu: mtu, asked: settings.mtu) }
        set { (mtu, settings.mtu) = (newValue.mtu, newValue.asked) }
    }

    /// The link's carrier with what was asked.
    struct Carrier: Equatable {
        var isUp: Bool
        var asked: Bool
    }

    var carrier: Carrier {
        get { Carrier(isUp: isUp, asked: settings.isUp) }
        set { (isUp, settings.isUp) = (newValue.isUp, newValue.asked) }
    }

    /// What the guest is told, and names that change nothing.
    struct Told: Equatable {
        var addresses: [IPPrefix]
        var routes: [RoutePlan]
        var network: String?
        var asked: InterfaceSettings.BindingName?
    }

    var told: Told {
        get { Told(addresses: addresses, routes: routes, network: network, asked: settings.binding) }
        set {
            (addresses, routes) = (newValue.addresses, newValue.routes)
            (network, settings.binding) = (newValue.network, newValue.asked)
        }
    }

    /// Whether the guest needs another device for the new plan.
    func needsOtherDevice(for new: InterfacePlan) -> Bool {
        if new.mac != mac || new.number != number || !binding.hasSameKind(as: new.binding) { return true }
        // Linux's driver takes no MTU above the device's (virtio 1.2, 5.1.4, VIRTIO_NET_F_MTU).
        if binding.device == nil, new.mtu > deviceMTU { return true }
        let (old, asked) = (settings, new.settings)
        if asked.queues != old.queues || asked.rxRing != old.rxRing || asked.txRing != old.txRing { return true }
        switch binding {
        case .tap, .masquerade, .vhostUser, .vdpa: return false
        // QEMU holds a descriptor of the link itself, or the link's own function.
        case .macvtap, .hostDevice: return new.join != join
        }
    }
}

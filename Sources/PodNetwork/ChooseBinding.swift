import Netlink

extension InterfacePlanner {
    /// How a link's NIC is joined: as asked, else by a device behind it, else by the link's kind.
    func binding(of link: Link) throws(NetworkRefusal) -> Binding {
        switch settings.binding {
        case .tap:
            if link.kind == "macvtap" {
                throw .binding(
                    link: name, asked: .tap, problem: "the link is a macvtap, whose frames its own device alone gives")
            }
            return .tap
        case .masquerade:
            guard name == "eth0" else {
                throw .binding(
                    link: name, asked: .masquerade,
                    problem: "eth0 alone has the pod's address, which the other containers share")
            }
            if link.kind == "macvtap" {
                throw .binding(link: name, asked: .masquerade, problem: "the link is a macvtap")
            }
            return .masquerade(ports: settings.ports)
        case .macvtap:
            if link.kind == "macvtap" { return .macvtap(made: false) }
            if let problem = Self.macvtapProblem(link) {
                throw .binding(link: name, asked: .macvtap, problem: problem)
            }
            return .macvtap(made: true)
        case nil:
            if link.kind == "macvtap" { return .macvtap(made: false) }
            // A file of the node says more about a device than its link does.
            switch request.devices[name] {
            case .vdpa, .vhostUser: return try binding(of: request.devices[name])
            case .pci(let address): return .hostDevice(address: address)
            case .memif, nil: break
            }
            if let address = link.pciAddress.flatMap({ PCIAddress.canonical($0) }), request.pciDevices.contains(address)
            {
                return .hostDevice(address: address)
            }
            return .tap
        }
    }

    /// Why the kernel makes no macvtap over a link, or one that cannot have the link's address (macvlan.c).
    private static func macvtapProblem(_ link: Link) -> String? {
        switch link.kind {
        case "ipvlan":
            return
                "an ipvlan passes its parent's Ethernet address alone; leave the binding out, or let the network make "
                + "a macvtap"
        case "macvlan":
            return "a macvtap over a macvlan would be its sibling with the same address; leave the binding out, or let "
                + "the network make a macvtap"
        default:
            return link.master == nil
                ? nil
                : "the link is a port of a bridge, bond or the like, which receives its frames; leave the binding out"
        }
    }

    /// The device of an interface without a link, of a source that proves something.
    func device() throws(NetworkRefusal) -> DeviceInformation? {
        if let device = request.devices[name] { return device }
        if let text = request.results[name]?.pciAddress {
            guard let address = PCIAddress.canonical(text) else {
                throw .device(
                    link: name, found: AnnotationRefusal.printable(text), accepted: "a PCI address such as 0000:3b:02.1"
                )
            }
            return .pci(address: address)
        }
        guard let device = request.status[interface: name]?.device else { return nil }
        switch device {
        case .pci(let address):
            guard request.grantedFunctions.contains(address) else {
                throw .deviceNotGranted(link: name, device: address)
            }
        case .vdpa(let path, _, _), .vhostUser(let path, _):
            guard request.grants(path) else { throw .deviceNotGranted(link: name, device: path) }
        case .memif: break
        }
        return device
    }

    /// How the NIC of a device is joined.
    func binding(of device: DeviceInformation?) throws(NetworkRefusal) -> Binding {
        switch device {
        case .pci(let address): return .hostDevice(address: address)
        case .vdpa(let path, .vhost, _): return .vdpa(path: path)
        case .vdpa(_, .virtio, _):
            throw .device(
                link: name, found: "vDPA with the driver virtio, which the host uses itself",
                accepted: "vDPA with the driver vhost; set \"vdpaType\": \"vhost\" in the device plugin's configuration"
            )
        case .vhostUser(let path, let mode): return .vhostUser(path: path, listens: mode == .server)
        case .memif:
            throw .device(
                link: name, found: "a memif, which no machine can have",
                accepted: "vhost-user; set \"iftype\": \"vhostuser\" in the network's CNI configuration")
        case nil:
            throw .device(link: name, found: "unknown", accepted: "pci, vdpa, vhost-user")
        }
    }

    /// Whether the settings fit the binding.
    ///
    /// - Parameter mtu: the link's; UInt32.max when nobody knows it.
    func check(_ binding: Binding, mtu: UInt32) throws(NetworkRefusal) {
        let (settings, link) = (settings, name)
        func refuse(_ field: String, _ value: String, _ accepted: String) -> NetworkRefusal {
            .setting(link: link, field: field, found: value, accepted: accepted)
        }
        // The link of a running guest may shrink; its NIC follows.
        if let asked = settings.mtu, asked > mtu, earlier == nil {
            throw refuse(
                "mtu", "\(asked)", "at most \(mtu), which the link has; raise it in the network's configuration")
        }
        switch binding {
        case .hostDevice:
            let driver = "nothing for a PCI function, whose driver in the guest sets it"
            if let queues = settings.queues { throw refuse("queues", "\(queues)", driver) }
            if let ring = settings.rxRing { throw refuse("rx-ring", "\(ring)", driver) }
            if let ring = settings.txRing { throw refuse("tx-ring", "\(ring)", driver) }
            if !settings.isUp {
                throw refuse("link", "down", "up; \"link_state\" of the SR-IOV network's configuration sets it")
            }
            if settings.isTrusted {
                throw refuse("trust", "true", "false; \"trust\" of the SR-IOV network's configuration sets it")
            }
        case .vdpa:
            if !settings.isUp { throw refuse("link", "down", "up; the carrier is the device's, and QEMU passes it on") }
            if settings.isTrusted {
                throw refuse("trust", "true", "false; \"trust\" of the SR-IOV network's configuration sets it")
            }
            fallthrough
        case .tap, .masquerade, .macvtap:
            // QEMU gives other back ends a queue of 256 whatever is asked.
            if let ring = settings.txRing, ring > 256 {
                throw refuse("tx-ring", "\(ring)", "256; larger ones exist for vhost-user alone")
            }
        case .vhostUser:
            if settings.isTrusted {
                throw refuse("trust", "true", "false; what a guest may send is for the switch to say, as its flows do")
            }
        }
    }
}

extension NetworkRequest {
    /// Whether a path is one that the pod was given, or below one.
    fileprivate func grants(_ path: String) -> Bool {
        grantedPaths.contains { granted in
            !granted.isEmpty && granted != "/"
                && (path == granted || path.hasPrefix(granted.hasSuffix("/") ? granted : granted + "/"))
        }
    }
}

extension Binding {
    /// What no two NICs can share: a PCI address or a path.
    var device: String? {
        switch self {
        case .hostDevice(let address): address
        case .vhostUser(let path, _), .vdpa(let path): path
        case .tap, .masquerade, .macvtap: nil
        }
    }

    /// Whether they differ at most in what the TAP's side can follow.
    func hasSameKind(as other: Binding) -> Bool {
        if case .masquerade = self, case .masquerade = other { return true }
        return self == other
    }
}

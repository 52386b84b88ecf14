import CLinux
public import LinuxSystem
import Netlink

/// In what order a guest's frames are looked at.
enum FilterPriority {
    /// After the address service's, which has 1 and 2.
    static let redirect: UInt16 = 10
    static let rest: UInt16 = 20
}

extension NetworkBinding {
    /// A TAP that says what belongs to it, without addresses of its own.
    func makeTAP(_ plan: InterfacePlan, note: TapNote, owner: UInt32, multiQueue: Bool) throws(SystemError) {
        try LinkNumber.taps.first { (number) throws(SystemError) in
            let made = slipway_tap_create_numbered(plan.tap, owner, 1, multiQueue ? 1 : 0, UInt32(number))
            // A persistent TAP stays when its descriptor is closed; QEMU's is opened by name.
            FileDescriptor(owning: try check(made, "create TAP", plan.tap)).close()
        }
        // The note comes first: from here on removal knows what belongs to the TAP.
        try netlink.changeLink(plan.tap, LinkChange(mtu: plan.mtu, alias: note.text, noAutomaticIPv6: true))
        try Sysctl.write("ipv6", "disable_ipv6", 1, of: plan.tap)
        try netlink.changeLink(plan.tap, LinkChange(up: true))
        try netlink.addIngress(linkIndex: try index(plan.tap), name: plan.tap)
        try apply(note, mac: plan.mac)
    }

    /// Frames of the one leave by the other. The guest's side comes first: it answers before it is asked.
    func join(_ plan: InterfacePlan, _ link: Link) throws(SystemError) {
        let tap = try index(plan.tap)
        try filter(plan, tap: tap, .leave(by: link.index))
        if try !netlink.qdiscs().contains(where: { $0.linkIndex == link.index && $0.isIngress }) {
            try netlink.addIngress(linkIndex: link.index, name: link.name)
        }
        try redirect(plan, link, .leave(by: tap))
    }

    /// What arrives on the link is the guest's, but for frames of the VLANs that are links of the pod over it.
    func redirect(_ plan: InterfacePlan, _ link: Link, _ verdict: ProgramFilter.Verdict) throws(SystemError) {
        try netlink.setFilter(
            ProgramFilter(priority: FilterPriority.redirect, verdict, matching: .everything(but: plan.vlans)),
            linkIndex: link.index, name: link.name)
    }

    /// After the plan's ``InterfacePlan/vlans`` have changed. Doing it twice changes nothing.
    ///
    /// - Throws: `SystemError` with ENODEV when the link is gone.
    public func setVLANs(_ plan: InterfacePlan) throws(SystemError) {
        switch plan.binding {
        case .tap: try redirect(plan, try link(plan.link), .leave(by: try index(plan.tap)))
        case .macvtap(made: true): try redirect(plan, try link(plan.link), .arrive(on: try index(plan.tap)))
        case .macvtap, .masquerade, .hostDevice, .vhostUser, .vdpa: break
        }
    }

    /// What the guest may send goes where the verdict says, everything else is dropped: the host's stack is no party to
    /// the guest's network.
    func filter(_ plan: InterfacePlan, tap: Int32, _ verdict: ProgramFilter.Verdict) throws(SystemError) {
        let program =
            plan.settings.isTrusted
            ? .everything : SpoofingFilter.program(mac: plan.mac, addresses: plan.addresses.map(\.address))
        try netlink.setFilter(ProgramFilter(priority: FilterPriority.rest, .drop), linkIndex: tap, name: plan.tap)
        try netlink.setFilter(
            ProgramFilter(priority: FilterPriority.redirect, verdict, matching: program), linkIndex: tap, name: plan.tap
        )
    }

    /// The pair of links over which the address service talks to the guest alone.
    func makeService(_ plan: InterfacePlan, _ link: Link, _ number: Int) throws(SystemError) -> AddressServiceLink {
        let tap = try index(plan.tap)
        // A router advertisement makes its sender the router. The service's end therefore bears the gateway's Ethernet
        // address: what the guest sends to "the router" reaches the gateway. It has to be asked for now, as long as the
        // host still hears the answer.
        var router: MACAddress?
        let isMasquerade = if case .masquerade = plan.binding { true } else { false }
        if isMasquerade {
            router = try self.link(plan.tap).mac
        } else if let gateway = plan.gateway(.v6) {
            router = try netlink.resolve(gateway, linkIndex: link.index, name: link.name)
        }
        let (server, relay) = (OwnLink.server.name(number), OwnLink.relay.name(number))
        try netlink.createVeth(
            server, LinkChange(mtu: plan.mtu, mac: router), peer: relay, LinkChange(mtu: plan.mtu))
        try netlink.changeLink(server, LinkChange(noAutomaticIPv6: true))
        try Sysctl.write("ipv6", "disable_ipv6", 1, of: relay)
        try Sysctl.write("ipv6", "accept_ra", 0, of: server)
        // Sets the router flag in neighbour advertisements, without which guests drop the route (RFC 4861, 7.2.5).
        // Forwarding itself depends on the setting of `all`, which is not touched.
        try Sysctl.write("ipv6", "forwarding", 1, of: server)
        let serverIndex = try index(server)
        for var address in AddressServiceLink.addresses(plan, linkIndex: serverIndex) {
            // The host is in the guest's network itself.
            if isMasquerade, let end = MasqueradeEnds.ends(plan).first(where: { $0.guest == address.prefix }),
                let other = end.service
            {
                address.prefix = other
            }
            try netlink.addAddress(address, name: server)
        }
        try netlink.changeLink(relay, LinkChange(up: true))
        try netlink.changeLink(server, LinkChange(up: true))
        let relayIndex = try index(relay)
        try netlink.addIngress(linkIndex: relayIndex, name: relay)
        try netlink.setFilter(
            ProgramFilter(priority: FilterPriority.redirect, .leave(by: tap)), linkIndex: relayIndex, name: relay)
        for redirect in AddressServiceLink.redirects(plan, to: relayIndex) {
            try netlink.addRedirect(redirect, linkIndex: tap, name: plan.tap)
        }
        return AddressServiceLink(name: server, index: serverIndex, plan: plan, routes: router != nil)
    }
}

extension PacketProgram {
    /// Every frame but those with a tag of these numbers, which the kernel has taken out of the frame by now.
    static func everything(but vlans: [UInt16]) -> PacketProgram {
        guard !vlans.isEmpty else { return .everything }
        return PacketProgram { assembler in
            let (others, match) = (assembler.label(), assembler.label())
            assembler.loadTagPresence()
            assembler.jump(.equals(0), to: match)
            assembler.loadTag()
            assembler.and(0xfff)
            for vlan in vlans { assembler.jump(.equals(UInt32(vlan)), to: others) }
            assembler.place(match)
            assembler.match()
            assembler.place(others)
            assembler.reject()
        }
    }
}

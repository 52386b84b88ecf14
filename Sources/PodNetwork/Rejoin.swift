import Glibc
public import LinuxSystem
import Netlink

extension NetworkBinding {
    /// Joins a TAP to the link that has the plan's link name now: it was deleted and made again, as another link. The
    /// TAP and what hangs on it stay; the link gets the guest's Ethernet address, which the guest cannot change. Also
    /// after the plan's addresses or its trust have changed. Doing it twice changes nothing, and so does a try after one
    /// that failed in the middle.
    ///
    /// Nothing to do where frames pass no link of ours.
    ///
    /// - Throws: `SystemError` with ENODEV when the link or the TAP is gone, EEXIST when somebody else filters the link's
    ///   arriving frames, EOPNOTSUPP for a macvtap: it ends with its link.
    public func rejoin(_ plan: InterfacePlan) throws(SystemError) {
        if plan.binding.device != nil { return }
        guard plan.binding.hasTAP else { throw SystemError("rejoin", plan.tap, code: EOPNOTSUPP) }
        guard let tap = try netlink.links().first(where: { $0.name == plan.tap && OwnLink.isOwn($0) }) else {
            throw SystemError("find link", plan.tap, code: ENODEV)
        }
        let link = try link(plan.link)
        var note = tap.alias.flatMap { TapNote($0) }
        if case .masquerade(let ports) = plan.binding { return try rejoin(plan, ports: ports, link, note) }
        if note?.linkIndex != link.index {
            try refuseForeignFilter(link)
            note = try self.note(for: plan, link)
        } else if link.mac != plan.mac, note?.changes.mac == nil {
            note?.changes.mac = link.mac
        }
        guard let note else { throw SystemError("rejoin", plan.tap, code: EINVAL) }
        if note.text != tap.alias { try netlink.changeLink(plan.tap, LinkChange(alias: note.text)) }
        try apply(note, mac: plan.mac)
        try join(plan, link)
    }

    /// Gives the links that were made for a NIC its plan's MTU.
    ///
    /// - Throws: `SystemError` with ENODEV when they are gone.
    public func setMTU(_ plan: InterfacePlan) throws(SystemError) {
        switch plan.binding {
        case .macvtap(made: false), .hostDevice, .vhostUser, .vdpa: return
        case .tap, .masquerade, .macvtap(made: true): break
        }
        let own = try netlink.links().filter { OwnLink.isOwn($0) && OwnLink.tapName(of: $0.name) == plan.tap }
        guard own.contains(where: { $0.name == plan.tap }) else {
            throw SystemError("find link", plan.tap, code: ENODEV)
        }
        for link in own where link.mtu != plan.mtu { try netlink.changeLink(link.name, LinkChange(mtu: plan.mtu)) }
    }
}

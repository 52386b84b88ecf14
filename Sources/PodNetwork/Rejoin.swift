import Glibc
public import LinuxSystem
import Netlink

extension NetworkBinding {
    /// Joins a TAP to the link that has the plan's link name now: it was deleted and made again, as another link. The
    /// TAP and what hangs on it stay; the link gets the guest's Ethernet address, which the guest cannot change. Also
    /// after the plan's addresses or its trust have changed. Doing it twice changes nothing, and so does a try after one
    /// that failed in the middle.
    ///
    /// - Throws: `SystemError` with ENODEV when the link or the TAP is gone, EEXIST when somebody else filters the link's
    ///   arriving frames, EOPNOTSUPP for a binding without a TAP: it ends with its link.
    public func rejoin(_ plan: InterfacePlan) throws(SystemError) {
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

    /// Changes the MTU of a TAP and of what belongs to it, in bytes.
    public func setMTU(tap name: String, _ mtu: UInt32) throws(SystemError) {
        let own = try netlink.links().filter { OwnLink.isOwn($0) && OwnLink.tapName(of: $0.name) == name }
        guard own.contains(where: { $0.name == name }) else { throw SystemError("find link", name, code: ENODEV) }
        for link in own where link.mtu != mtu { try netlink.changeLink(link.name, LinkChange(mtu: mtu)) }
    }
}

import Glibc
public import LinuxSystem
import Netlink

extension NetworkBinding {
    /// Has a NIC that stays speak in the name of its plan's addresses, and makes the address service's end anew for
    /// them. The link may be another one by now, as for ``rejoin(_:)``.
    ///
    /// Where there is an IPv6 gateway, no frame reaches the guest for as long as it takes to answer once: the host has
    /// to hear it.
    ///
    /// - Returns: the address service's end; nil when there is nothing to answer with.
    /// - Throws: as ``rejoin(_:)``.
    public func readdress(_ plan: InterfacePlan) throws(SystemError) -> AddressServiceLink? {
        switch plan.binding {
        // Nobody answers for such a NIC, nor filters it by its addresses.
        case .hostDevice, .vhostUser, .vdpa: return nil
        // Nobody answers for this one.
        case .macvtap(let made):
            let name = made ? plan.tap : plan.link
            try filterLeaving(plan, tap: try index(name), name: name)
            return nil
        case .tap, .masquerade: break
        }
        guard let number = OwnLink.number(tap: plan.tap) else { throw SystemError("readdress", plan.tap, code: EINVAL) }
        let link = try link(plan.link)
        let tap = try index(plan.tap)
        for (priority, frames) in AddressServiceLink.priorities {
            try ignoringAbsence { () throws(SystemError) in
                try netlink.deleteFilters(priority: priority, frames, linkIndex: tap, name: plan.tap)
            }
        }
        try ignoringAbsence { () throws(SystemError) in try netlink.deleteLink(OwnLink.server.name(number)) }
        if plan.addresses.isEmpty {
            try rejoin(plan)
            return nil
        }
        if case .tap = plan.binding, plan.gateway(.v6) != nil {
            try ignoringAbsence { () throws(SystemError) in
                try netlink.deleteIngress(linkIndex: link.index, name: link.name)
            }
        }
        // Frames reach the guest again whatever becomes of the service.
        let service = Result { () throws(SystemError) in try makeService(plan, link, number) }
        try rejoin(plan)
        return try service.get()
    }
}

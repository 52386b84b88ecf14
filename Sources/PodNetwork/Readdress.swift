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
        // Nobody answers for such a NIC, nor filters it by its addresses.
        guard plan.binding.device == nil else { return nil }
        guard let number = OwnLink.number(tap: plan.tap) else { throw SystemError("readdress", plan.tap, code: EINVAL) }
        let link = try link(plan.link)
        let tap = try index(plan.tap)
        for (priority, frames) in AddressServiceLink.priorities {
            try ignoringAbsence { () throws(SystemError) in
                try netlink.deleteFilters(priority: priority, frames, linkIndex: tap, name: plan.tap)
            }
        }
        try ignoringAbsence { () throws(SystemError) in try netlink.deleteLink(OwnLink.server.name(number)) }
        var service: AddressServiceLink?
        if !plan.addresses.isEmpty {
            if plan.gateway(.v6) != nil {
                try ignoringAbsence { () throws(SystemError) in
                    try netlink.deleteIngress(linkIndex: link.index, name: link.name)
                }
            }
            service = try makeService(plan, link, number)
        }
        try rejoin(plan)
        return service
    }
}

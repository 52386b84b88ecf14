import CLinux
import Glibc
public import LinuxSystem
public import Netlink

/// Joins the guest's NICs to the pod's links and undoes it.
///
/// Every frame that arrives on the pod's link is handed to the TAP, and the other way round, before the host's network
/// stack sees it: the guest alone answers for the pod's addresses. Unless it is trusted, a guest speaks in its own name
/// only (``SpoofingFilter``). All calls block and belong on a thread inside the pod's network namespace
/// (`NetworkNamespace.run`).
public struct NetworkBinding: Sendable {
    let netlink: RTNetlink

    /// For the network namespace of the calling thread.
    public init() throws(SystemError) {
        netlink = try RTNetlink()
    }

    /// Makes the TAP and joins it to its link. What an earlier try left under the TAP's name is removed first; after a
    /// failure nothing is left.
    ///
    /// - Parameters:
    ///   - owner: the user that may open the TAP: QEMU's.
    ///   - multiQueue: the TAP takes one descriptor for each queue; whoever opens it has to ask for the same
    ///     (IFF_MULTI_QUEUE, which libvirt sets for a NIC with more than one queue).
    ///   - answering: frames that ask for addresses (DHCP, DHCPv6, router solicitations) go to the address service, for
    ///     those protocols of which the link has addresses; all others, and those of a link without addresses, go to
    ///     the network.
    /// - Returns: the address service's end, for ``AddressService``; nil when there is nothing to answer with.
    /// - Throws: `SystemError` with ENODEV when the link is gone, EEXIST when somebody else filters its arriving frames,
    ///   ENOENT when the kernel lacks a part of traffic control (cls_bpf, cls_u32, act_mirred, sch_ingress).
    @discardableResult
    public func bind(
        _ plan: InterfacePlan, owner: UInt32, multiQueue: Bool = false, answering: Bool = true
    ) throws(SystemError) -> AddressServiceLink? {
        try unbind(tap: plan.tap)
        // Frames pass hardware or a switch in user space, and there may be no link at all.
        if plan.binding.device != nil { return nil }
        guard let number = OwnLink.number(tap: plan.tap) else { throw SystemError("bind", plan.tap, code: EINVAL) }
        let link = try link(plan.link)
        do throws(SystemError) {
            switch plan.binding {
            case .tap:
                try refuseForeignFilter(link)
                try makeTAP(plan, note: try note(for: plan, link), owner: owner, multiQueue: multiQueue)
                var service: AddressServiceLink?
                if answering, !plan.addresses.isEmpty { service = try makeService(plan, link, number) }
                try join(plan, link)
                return service
            case .macvtap(let made):
                if made {
                    try makeMacvtap(plan, link, note: try note(for: plan, link))
                } else {
                    try adoptMacvtap(plan, link)
                }
                return nil
            case .masquerade(let ports):
                return try makeMasquerade(
                    plan, ports: ports, link, number: number, owner: owner, multiQueue: multiQueue,
                    answering: answering)
            case .hostDevice, .vhostUser, .vdpa: return nil
            }
        } catch {
            try? unbind(tap: plan.tap)
            throw error
        }
    }

    /// Removes a TAP and everything that belongs to it; the pod's link is as it was before ``bind(_:owner:multiQueue:answering:)``.
    /// Nothing there is fine.
    public func unbind(tap name: String) throws(SystemError) {
        try remove { $0 == name }
    }

    /// Removes every TAP of ours with everything that belongs to it. It needs the namespace and nothing else.
    public func unbindAll() throws(SystemError) {
        try remove { _ in true }
    }

    /// What the guest has sent, and how much of it was dropped because it did not speak in its own name, or because the
    /// pod's link was down, by the NIC's number. Since its TAP or macvtap was made; nothing of NICs that have none.
    public func counters() throws(SystemError) -> [Int: FrameCounters] {
        let arrivals = try netlink.arrivalCounters()
        var counters: [Int: FrameCounters] = [:]
        for link in try netlink.links() {
            let tap = OwnLink.isOwn(link) ? link.name : link.alias.flatMap { TapNote($0) }?.adopted
            if let number = tap.flatMap({ OwnLink.number(tap: $0) }) { counters[number] = arrivals[link.index] }
        }
        return counters
    }

    private func remove(_ isChosen: (_ tap: String) -> Bool) throws(SystemError) {
        let links = try netlink.links()
        for link in links {
            guard let note = link.alias.flatMap({ TapNote($0) }), let tap = note.adopted, note.linkIndex == link.index,
                isChosen(tap)
            else { continue }
            try release(link)
        }
        let own = links.filter { OwnLink.isOwn($0) && isChosen(OwnLink.tapName(of: $0.name)) }
        if own.isEmpty { return }
        let qdiscs = try netlink.qdiscs()
        for tap in own {
            guard let note = tap.alias.flatMap({ TapNote($0) }) else { continue }
            if note.masquerade != nil {
                let isThere = links.contains { $0.name == note.link }
                try removeMasquerade(note, tap: tap.name, link: isThere)
                continue
            }
            guard
                let link = links.first(where: { $0.index == note.linkIndex && !OwnLink.isOwn($0) })
            else { continue }
            if qdiscs.contains(where: { $0.linkIndex == link.index && $0.kind == "ingress" }) {
                try ignoringAbsence { () throws(SystemError) in
                    try netlink.deleteIngress(linkIndex: link.index, name: link.name)
                }
            }
            try ignoringAbsence { () throws(SystemError) in try undo(note.changes, on: link.name) }
        }
        // Relays go with their servers; the TAPs last, as their notes say what there is to undo.
        for link in own.filter({ $0.kind == "veth" }) + own.filter({ $0.kind != "veth" }) {
            try ignoringAbsence { () throws(SystemError) in try netlink.deleteLink(link.name) }
            // Where the kernel keeps /dev itself, it is gone by now.
            if link.kind == "macvtap" { try File.remove(MacvtapNode(link: link.name, index: link.index).path) }
        }
    }
}

extension NetworkBinding {
    /// Takes filter and note off a link that was used as it is.
    private func release(_ link: Link) throws(SystemError) {
        try ignoringAbsence { () throws(SystemError) in
            try netlink.deleteFilterHooks(linkIndex: link.index, name: link.name)
        }
        try ignoringAbsence { () throws(SystemError) in
            try netlink.changeLink(link.name, LinkChange(alias: ""))
        }
    }

    func ignoringAbsence(_ body: () throws(SystemError) -> Void) throws(SystemError) {
        do throws(SystemError) {
            try body()
        } catch {
            guard [ENODEV, ENOENT].contains(error.code) else { throw error }
        }
    }

    func link(_ name: String) throws(SystemError) -> Link {
        guard let link = try netlink.links().first(where: { $0.name == name }) else {
            throw SystemError("find link", name, code: ENODEV)
        }
        return link
    }

    func index(_ name: String) throws(SystemError) -> Int32 {
        let index = if_nametoindex(name)
        guard index > 0 else { throw .last("find link", name) }
        return Int32(index)
    }

    /// The place where arriving frames are filtered is there once.
    func refuseForeignFilter(_ link: Link) throws(SystemError) {
        if let other = try netlink.qdiscs().first(where: { $0.linkIndex == link.index && $0.isIngress }) {
            throw SystemError("add ingress qdisc to", "\(link.name) (it has \(other.kind) already)", code: EEXIST)
        }
    }
}

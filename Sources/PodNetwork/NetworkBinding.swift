import CLinux
import Glibc
public import LinuxSystem
import Netlink

/// Joins the guest's NICs to the pod's links and undoes it.
///
/// Every frame that arrives on the pod's link is handed to the TAP, and the other way round, before the host's network
/// stack sees it: the guest alone answers for the pod's addresses. All calls block and belong on a thread inside the
/// pod's network namespace (`NetworkNamespace.run`).
public struct NetworkBinding: Sendable {
    private let netlink: RTNetlink

    /// For the network namespace of the calling thread.
    public init() throws(SystemError) {
        netlink = try RTNetlink()
    }

    /// Makes the TAP and joins it to its link. What an earlier try left under the TAP's name is removed first; after a
    /// failure nothing is left.
    ///
    /// - Parameters:
    ///   - owner: the user that may open the TAP: QEMU's.
    ///   - multiQueue: the TAP takes one descriptor for each queue; whoever opens it has to ask for the same.
    ///   - answering: frames that ask for addresses (DHCP, DHCPv6, router solicitations) go to the address service, for
    ///     those protocols of which the link has addresses; all others, and those of a link without addresses, go to
    ///     the network.
    /// - Returns: the address service's end, for ``AddressService``; nil when there is nothing to answer with.
    /// - Throws: `SystemError` with ENODEV when the link is gone, EEXIST when somebody else filters its arriving frames.
    @discardableResult
    public func bind(
        _ plan: InterfacePlan, owner: UInt32, multiQueue: Bool = false, answering: Bool = true
    ) throws(SystemError) -> AddressServiceLink? {
        try unbind(tap: plan.tap)
        guard let number = OwnLink.number(tap: plan.tap) else { throw SystemError("bind", plan.tap, code: EINVAL) }
        guard let link = try netlink.links().first(where: { $0.name == plan.link }) else {
            throw SystemError("find link", plan.link, code: ENODEV)
        }
        if let other = try netlink.qdiscs().first(where: { $0.linkIndex == link.index && $0.isIngress }) {
            throw SystemError("add ingress qdisc to", "\(link.name) (it has \(other.kind) already)", code: EEXIST)
        }
        do throws(SystemError) {
            return try join(plan, link, number, owner, multiQueue, answering)
        } catch {
            try? unbind(tap: plan.tap)
            throw error
        }
    }

    private func join(
        _ plan: InterfacePlan, _ link: Link, _ number: Int, _ owner: UInt32, _ multiQueue: Bool, _ answering: Bool
    ) throws(SystemError) -> AddressServiceLink? {
        let note = TapNote(
            linkIndex: link.index, link: link.name,
            allMulticast: plan.needsAllMulticast && !link.flags.contains(.allMulticast))
        let raw = try check(slipway_tap_create(plan.tap, owner, 1, multiQueue ? 1 : 0), "create TAP", plan.tap)
        // A persistent TAP stays when its descriptor is closed; QEMU's is opened by name.
        FileDescriptor(owning: raw).close()
        // The note comes first: from here on removal knows what belongs to the TAP.
        try netlink.changeLink(plan.tap, LinkChange(mtu: plan.mtu, alias: note.text, noAutomaticIPv6: true))
        try Self.sysctl("disable_ipv6", 1, of: plan.tap)
        try netlink.changeLink(plan.tap, LinkChange(up: true))
        let tap = try index(plan.tap)

        var service: AddressServiceLink?
        if answering, !plan.addresses.isEmpty {
            service = try makeService(plan, link, number, tap)
        }
        try netlink.addIngress(linkIndex: tap, name: plan.tap)
        if service != nil {
            let relay = OwnLink.relay.name(number)
            for redirect in AddressServiceLink.redirects(plan, to: try index(relay)) {
                try netlink.addRedirect(redirect, linkIndex: tap, name: plan.tap)
            }
        }
        try netlink.addRedirect(
            Redirect(priority: 10, to: link.index), linkIndex: tap, name: plan.tap)
        if note.allMulticast { try netlink.changeLink(link.name, LinkChange(allMulticast: true)) }
        try netlink.addIngress(linkIndex: link.index, name: link.name)
        try netlink.addRedirect(Redirect(priority: 10, to: tap), linkIndex: link.index, name: link.name)
        return service
    }

    /// The pair of links over which the address service talks to the guest alone.
    private func makeService(
        _ plan: InterfacePlan, _ link: Link, _ number: Int, _ tap: Int32
    ) throws(SystemError) -> AddressServiceLink {
        // A router advertisement makes its sender the router. The service's end therefore bears the gateway's Ethernet
        // address: what the guest sends to "the router" reaches the gateway. It has to be asked for now, as long as the
        // host still hears the answer.
        var router: MACAddress?
        if let gateway = plan.gateway(.v6) {
            router = try netlink.resolve(gateway, linkIndex: link.index, name: link.name)
        }
        let (server, relay) = (OwnLink.server.name(number), OwnLink.relay.name(number))
        try netlink.createVeth(
            server, LinkChange(mtu: plan.mtu, mac: router), peer: relay, LinkChange(mtu: plan.mtu))
        try netlink.changeLink(server, LinkChange(noAutomaticIPv6: true))
        try Self.sysctl("disable_ipv6", 1, of: relay)
        try Self.sysctl("accept_ra", 0, of: server)
        // Sets the router flag in neighbour advertisements, without which guests drop the route (RFC 4861, 7.2.5).
        // Forwarding itself depends on the setting of `all`, which is not touched.
        try Self.sysctl("forwarding", 1, of: server)
        let serverIndex = try index(server)
        for address in AddressServiceLink.addresses(plan, linkIndex: serverIndex) {
            try netlink.addAddress(address, name: server)
        }
        try netlink.changeLink(relay, LinkChange(up: true))
        try netlink.changeLink(server, LinkChange(up: true))
        let relayIndex = try index(relay)
        try netlink.addIngress(linkIndex: relayIndex, name: relay)
        try netlink.addRedirect(Redirect(priority: 10, to: tap), linkIndex: relayIndex, name: relay)
        return AddressServiceLink(name: server, index: serverIndex, plan: plan, routes: router != nil)
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

    private func remove(_ isChosen: (_ tap: String) -> Bool) throws(SystemError) {
        let links = try netlink.links()
        let own = links.filter { OwnLink.isOwn($0) && isChosen(OwnLink.tapName(of: $0.name)) }
        if own.isEmpty { return }
        let qdiscs = try netlink.qdiscs()
        for tap in own {
            guard let note = tap.alias.flatMap({ TapNote($0) }),
                let link = links.first(where: { $0.index == note.linkIndex && !OwnLink.isOwn($0) })
            else { continue }
            if qdiscs.contains(where: { $0.linkIndex == link.index && $0.kind == "ingress" }) {
                try ignoringAbsence { () throws(SystemError) in
                    try netlink.deleteIngress(linkIndex: link.index, name: link.name)
                }
            }
            if note.allMulticast {
                try ignoringAbsence { () throws(SystemError) in
                    try netlink.changeLink(link.name, LinkChange(allMulticast: false))
                }
            }
        }
        // Relays go with their servers; the TAPs last, as their notes say what there is to undo.
        for link in own.filter({ $0.kind == "veth" }) + own.filter({ $0.kind == "tun" }) {
            try ignoringAbsence { () throws(SystemError) in try netlink.deleteLink(link.name) }
        }
    }

    private func ignoringAbsence(_ body: () throws(SystemError) -> Void) throws(SystemError) {
        do throws(SystemError) {
            try body()
        } catch {
            guard [ENODEV, ENOENT].contains(error.code) else { throw error }
        }
    }

    private func index(_ name: String) throws(SystemError) -> Int32 {
        let index = if_nametoindex(name)
        guard index > 0 else { throw .last("find link", name) }
        return Int32(index)
    }

    /// Writes `/proc/sys/net/ipv6/conf/LINK/KEY`, which leads into the calling thread's network namespace. A kernel
    /// without IPv6 has no such file and needs none.
    private static func sysctl(_ key: String, _ value: Int, of link: String) throws(SystemError) {
        do throws(SystemError) {
            try File.put("\(value)", into: "/proc/sys/net/ipv6/conf/\(link)/\(key)")
        } catch {
            guard error.code == ENOENT else { throw error }
        }
    }
}

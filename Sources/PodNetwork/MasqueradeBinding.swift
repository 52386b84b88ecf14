import CLinux
import Glibc
import LinuxSystem
import Netlink

extension NetworkBinding {
    /// Where Debian's nftables puts it.
    static let nft = "/usr/sbin/nft"

    /// A TAP with a network of its own, and the rules that join it to the pod's. The pod's other containers keep the
    /// pod's address and its ICMP.
    func makeMasquerade(
        _ plan: InterfacePlan, ports: [Binding.Port], _ link: Link, number: Int, owner: UInt32, multiQueue: Bool,
        answering: Bool
    ) throws(SystemError) -> AddressServiceLink? {
        var note = TapNote(linkIndex: link.index, link: link.name)
        note.masquerade = TapNote.Forwarding(
            v4: try Sysctl.read("ipv4/ip_forward"), v6: try Sysctl.read("ipv6/conf/all/forwarding"),
            acceptsRouters: try Sysctl.read("ipv6", "accept_ra", of: link.name))
        try makeTAP(plan, note: note, owner: owner, multiQueue: multiQueue)
        try makeRouter(plan)
        try rule(MasqueradeRules(plan, ports: ports).text, plan.tap)
        try startForwarding(note)
        var service: AddressServiceLink?
        if answering, !plan.addresses.isEmpty { service = try makeService(plan, link, number) }
        try filter(plan, tap: try index(plan.tap), .pass)
        return service
    }

    /// The TAP is the guest's router.
    private func makeRouter(_ plan: InterfacePlan) throws(SystemError) {
        var own = MasqueradeEnds.ends(plan).map(\.router)
        if own.contains(where: { $0.family == .v6 }) {
            try Sysctl.write("ipv6", "accept_ra", 0, of: plan.tap)
            try Sysctl.write("ipv6", "disable_ipv6", 0, of: plan.tap)
            // Without one the host does not ask for the guest's Ethernet address.
            own += [IPPrefix("fe80::1/64")].compactMap { $0 }
        }
        let tap = try index(plan.tap)
        let there = try netlink.addresses().filter { $0.linkIndex == tap }.map(\.prefix)
        for prefix in own where !there.contains(prefix) {
            let address = Address(linkIndex: tap, prefix: prefix, flags: [.permanent, .noDuplicateDetection])
            try netlink.addAddress(address, name: plan.tap)
        }
        // The pod's own 127.0.0.1 reaches the guest; what the guest sends there is dropped by the rules.
        try Sysctl.write("ipv4", "route_localnet", 1, of: plan.tap)
    }

    private func startForwarding(_ note: TapNote) throws(SystemError) {
        // A router does not listen to routers unless told to; the pod's link goes on doing so.
        if note.masquerade?.acceptsRouters == 1 { try Sysctl.write("ipv6", "accept_ra", 2, of: note.link) }
        try Sysctl.write("ipv4/ip_forward", 1)
        try Sysctl.write("ipv6/conf/all/forwarding", 1)
    }

    /// The rules name links, so that they hold for the new one; its ports and the guest's addresses may be others.
    func rejoin(_ plan: InterfacePlan, ports: [Binding.Port], _ link: Link, _ old: TapNote?) throws(SystemError) {
        guard var note = old, note.masquerade != nil else { throw SystemError("rejoin", plan.tap, code: EINVAL) }
        if note.linkIndex != link.index {
            note.linkIndex = link.index
            note.masquerade?.acceptsRouters = try Sysctl.read("ipv6", "accept_ra", of: link.name)
            try netlink.changeLink(plan.tap, LinkChange(alias: note.text))
        }
        try makeRouter(plan)
        try rule(MasqueradeRules(plan, ports: ports).text, plan.tap)
        try startForwarding(note)
        try filter(plan, tap: try index(plan.tap), .pass)
    }

    /// Takes the rules away and puts the namespace's forwarding back.
    ///
    /// - Parameter link: whether the pod's link is still there.
    func removeMasquerade(_ note: TapNote, tap: String, link: Bool) throws(SystemError) {
        guard let before = note.masquerade else { return }
        try rule(MasqueradeRules.removal(tap: tap), tap)
        if let v4 = before.v4 { try Sysctl.write("ipv4/ip_forward", v4) }
        if let v6 = before.v6 { try Sysctl.write("ipv6/conf/all/forwarding", v6) }
        if link, before.acceptsRouters == 1 { try Sysctl.write("ipv6", "accept_ra", 1, of: note.link) }
    }

    /// Runs nft(8) in the calling thread's namespace, all or nothing.
    private func rule(_ text: String, _ subject: String) throws(SystemError) {
        let (reader, writer) = try FileDescriptor.pipe()
        // The text is shorter than what a pipe holds.
        try writer.write(Array(text.utf8))
        writer.close()
        var spawn = Spawn(Self.nft, ["-f", "-"])
        spawn.descriptors = [0: reader]
        spawn.diesWithParent = true
        let (status, output) = try spawn.run(milliseconds: 5000, limit: 1024)
        guard status == .exited(0) else {
            let line = output.prefix { $0 != "\n" }
            throw SystemError("run \(Self.nft) for", "\(subject) (\(line))", code: EINVAL)
        }
    }
}

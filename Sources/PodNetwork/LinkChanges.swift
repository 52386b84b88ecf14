import Glibc
import LinuxSystem
import Netlink

extension NetworkBinding {
    /// What is to be changed on the pod's link for the guest's sake, with what was there before.
    func note(for plan: InterfacePlan, _ link: Link) throws(SystemError) -> TapNote {
        // A veth passes every frame; the others look at addresses and at the multicast groups that their host is in.
        let filters = plan.needsAllMulticast || plan.binding == .macvtap(made: true) && link.kind != "veth"
        let solicitations = try Sysctl.read("ipv6", "router_solicitations", of: link.name)
        return TapNote(
            linkIndex: link.index, link: link.name,
            changes: TapNote.LinkChanges(
                allMulticast: filters && !link.flags.contains(.allMulticast),
                promiscuous: filters && plan.settings.isTrusted && !link.flags.contains(.promiscuous),
                mac: link.mac == plan.mac ? nil : link.mac,
                // The answers go to the guest: the host would ask for ever (RFC 7559), in the guest's name.
                solicitations: solicitations == 0 ? nil : solicitations))
    }

    /// Changes the link as the note says. Doing it twice changes nothing.
    func apply(_ note: TapNote, mac: MACAddress) throws(SystemError) {
        if note.changes.solicitations != nil { try Sysctl.write("ipv6", "router_solicitations", 0, of: note.link) }
        let change = LinkChange(
            allMulticast: note.changes.allMulticast ? true : nil,
            promiscuous: note.changes.promiscuous ? true : nil, mac: note.changes.mac == nil ? nil : mac)
        if change != LinkChange() { try netlink.changeLink(note.link, change) }
    }

    func undo(_ changes: TapNote.LinkChanges, on link: String) throws(SystemError) {
        if let solicitations = changes.solicitations {
            try Sysctl.write("ipv6", "router_solicitations", solicitations, of: link)
        }
        let change = LinkChange(
            allMulticast: changes.allMulticast ? false : nil, promiscuous: changes.promiscuous ? false : nil,
            mac: changes.mac)
        if change != LinkChange() { try netlink.changeLink(link, change) }
    }
}

/// `/proc/sys/net/PATH` and `/proc/sys/net/FAMILY/conf/LINK/KEY`, which lead into the calling thread's network namespace.
enum Sysctl {
    static func read(_ family: String, _ key: String, of link: String) throws(SystemError) -> Int? {
        try read("\(family)/conf/\(link)/\(key)")
    }

    /// Nil where there is no such file: a kernel without IPv6 has none and needs none.
    static func read(_ path: String) throws(SystemError) -> Int? {
        do throws(SystemError) {
            let text = try File.text("/proc/sys/net/\(path)")
            return Int(text.prefix { $0 != "\n" })
        } catch {
            guard error.code == ENOENT else { throw error }
            return nil
        }
    }

    static func write(_ family: String, _ key: String, _ value: Int, of link: String) throws(SystemError) {
        try write("\(family)/conf/\(link)/\(key)", value)
    }

    /// Nothing to do where there is no such file.
    static func write(_ path: String, _ value: Int) throws(SystemError) {
        do throws(SystemError) {
            try File.put("\(value)", into: "/proc/sys/net/\(path)")
        } catch {
            guard error.code == ENOENT else { throw error }
        }
    }
}

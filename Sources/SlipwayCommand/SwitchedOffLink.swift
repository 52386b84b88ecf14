internal import FoundationEssentials
internal import LinuxSystem
internal import Netlink

/// What Linux takes off a link that is switched off: its routes, and its IPv6 addresses. `net set --link down` notes it,
/// `--link up` gives it back.
struct SwitchedOffLink: Codable, Equatable {
    /// The link's number, which another one of its name does not have.
    var linkIndex: Int32
    /// Its addresses that nobody would give it anew.
    var addresses: [Address]
    /// Its unicast routes of every table but the kernel's own.
    var routes: [Route]

    /// What a link has at this moment.
    init(_ link: Link, _ netlink: RTNetlink) throws(SystemError) {
        linkIndex = link.index
        addresses = try netlink.addresses().filter {
            $0.linkIndex == link.index && $0.prefix.family == .v6 && !$0.prefix.address.isLinkLocal
                && $0.flags.contains(.permanent)
        }
        // 255 is the kernel's table, 1 unicast, and 9 the origin of what router advertisements made.
        routes = try netlink.routes().filter {
            $0.linkIndex == link.index && $0.table != 255 && $0.type == 1 && $0.origin != 9
                && !($0.destination.family == .v6 && $0.destination.length > 0 && $0.destination.address.isLinkLocal)
        }
    }

    /// Gives the link, which is switched on, what it does not have.
    func giveBack(to link: Link, _ netlink: RTNetlink) throws(SystemError) {
        let there = Set(try netlink.addresses().filter { $0.linkIndex == link.index }.map(\.prefix))
        // The kernel's own routes (origin 2) come with the addresses, where they were there.
        let networks = Set(routes.filter { $0.origin == 2 }.map(\.destination))
        for var address in addresses where !there.contains(address.prefix) {
            address.flags = [.permanent, .noDuplicateDetection]
            if !networks.contains(address.prefix.network) { address.flags.insert(.noPrefixRoute) }
            try netlink.addAddress(address, name: link.name)
        }
        // Gateways are found by the routes to them.
        let own = routes.filter { $0.origin != 2 }
        for route in own.filter({ $0.gateway == nil }) + own.filter({ $0.gateway != nil }) {
            try netlink.setRoute(route, name: link.name)
        }
    }

    /// Reads a note; nil when there is none that is understood.
    init?(readingFrom path: String) {
        guard let json = try? File.read(path), let note = try? JSONDecoder().decode(Self.self, from: Data(json)) else {
            return nil
        }
        self = note
    }

    /// Writes the note.
    func write(to path: String) throws {
        try File.replace(path, with: Array(try JSONEncoder().encode(self)))
    }
}

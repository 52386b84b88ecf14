import Glibc
import LinuxSystem
import Netlink

/// A function's link in a pod's network namespace as it is before the function is taken from its driver. The link goes
/// with the driver; a new one comes with it, in the node's namespace, and nothing of the old one is on it.
public struct FunctionLink: Codable, Equatable, Sendable {
    /// Its name.
    public let name: String
    /// The namespace's file.
    public let namespace: String
    /// The administrator's note. CNI's host-device plugin keeps there what the link is called on the node.
    let alias: String?
    let mac: MACAddress?
    let mtu: UInt32
    let isUp: Bool
    /// Without those that the kernel makes by itself.
    let addresses: [Address]
    let routes: [Route]

    /// The link of a name.
    ///
    /// - Throws: `SystemError` with ENODEV when there is none.
    public init(_ name: String, in namespace: String) throws {
        self = try NetworkNamespace(path: namespace).runAndWait {
            let netlink = try RTNetlink()
            guard let link = try netlink.links().first(where: { $0.name == name }) else {
                throw SystemError("find link", name, code: ENODEV)
            }
            return FunctionLink(
                link, in: namespace, addresses: try netlink.addresses(), routes: try netlink.routes())
        }
    }

    /// - Parameters:
    ///   - addresses: all of the namespace.
    ///   - routes: all of the namespace.
    init(_ link: Link, in namespace: String, addresses: [Address], routes: [Route]) {
        name = link.name
        self.namespace = namespace
        alias = link.alias
        mac = link.mac
        mtu = link.mtu
        isUp = link.flags.contains(.up)
        self.addresses = addresses.filter {
            $0.linkIndex == link.index && $0.flags.contains(.permanent)
                && !($0.prefix.family == .v6 && $0.prefix.address.isLinkLocal)
        }
        // RTPROT_KERNEL and RTPROT_RA come by themselves.
        self.routes = routes.filter { $0.linkIndex == link.index && $0.origin != 2 && $0.origin != 9 }
    }

    /// Brings a link that has its name already to what this one was.
    ///
    /// - Throws: `SystemError` when its note or its state cannot be set. Addresses that the driver or the namespace refuse
    ///   are left out: whoever deletes the network asks for none.
    func restore() throws {
        try NetworkNamespace(path: namespace).runAndWait {
            let netlink = try RTNetlink()
            guard let link = try netlink.links().first(where: { $0.name == name }) else {
                throw SystemError("find link", name, code: ENODEV)
            }
            if let alias { try netlink.changeLink(name, LinkChange(alias: alias)) }
            // Some drivers leave both to the physical function.
            if let mac, mac != link.mac { try? netlink.changeLink(name, LinkChange(mac: mac)) }
            if mtu != link.mtu { try? netlink.changeLink(name, LinkChange(mtu: mtu)) }
            if isUp { try netlink.changeLink(name, LinkChange(up: true)) }
            for var address in addresses {
                address.linkIndex = link.index
                try? netlink.addAddress(address, name: name)
            }
            for var route in routes {
                route.linkIndex = link.index
                try? netlink.setRoute(route, name: name)
            }
        }
    }
}

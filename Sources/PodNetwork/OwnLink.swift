public import LinuxSystem
public import Netlink

/// The links that are added to a pod's network namespace. Names say whose they are; the number is the NIC's.
enum OwnLink: String, CaseIterable {
    /// The guest's NIC hangs on it.
    case tap = "slw"
    /// The address service listens on it.
    case server = "slwd"
    /// The other end of `server`: what leaves here arrives there.
    case relay = "slwp"

    static let aliasPrefix = "slipway "

    /// The link's name for a NIC's number.
    func name(_ number: Int) -> String { "\(rawValue)\(number)" }

    /// The number in a TAP's name; nil for other names.
    static func number(tap name: String) -> Int? {
        guard name.hasPrefix(tap.rawValue) else { return nil }
        let digits = name.dropFirst(tap.rawValue.count)
        guard (1...3).contains(digits.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(digits)
    }

    /// Whether we made it: by name and driver, and for a TAP by the note on it, if it has one yet.
    static func isOwn(_ link: Link) -> Bool {
        if number(tap: link.name) != nil {
            return ["tun", "macvtap"].contains(link.kind) && link.alias.map { $0.hasPrefix(aliasPrefix) } ?? true
        }
        return link.kind == "veth"
            && [server, relay].contains { kind in
                link.name.hasPrefix(kind.rawValue)
                    && number(tap: tap.rawValue + link.name.dropFirst(kind.rawValue.count)) != nil
            }
    }
}

extension Link {
    /// Whether it was added to the pod's namespace for the guest, beside the links that are the pod's.
    public var isMadeForGuest: Bool { OwnLink.isOwn(self) }
}

extension OwnLink {
    /// The name of the TAP that one of our links belongs to.
    static func tapName(of name: String) -> String {
        for kind in [server, relay] where name.hasPrefix(kind.rawValue) {
            return tap.rawValue + name.dropFirst(kind.rawValue.count)
        }
        return name
    }
}

extension NetworkMonitor {
    /// Tells what happens in the pod's network namespace, which is the calling thread's, but for our own links.
    public static func ofPod() throws(SystemError) -> NetworkMonitor {
        try NetworkMonitor { OwnLink.isOwn($0) }
    }
}

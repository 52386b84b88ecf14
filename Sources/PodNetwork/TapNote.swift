import Netlink

/// The note on a TAP: which of the pod's links it is joined to, and what was changed there. It lives as long as what it
/// describes, so that everything can be undone by somebody who knows the namespace alone.
struct TapNote: Equatable {
    /// The pod's link, by number: a link that was deleted and made again under its name has nothing to undo.
    var linkIndex: Int32
    var link: String
    /// What was changed on the link.
    var changes = LinkChanges()
    /// On a link that is used as it is: the name that a TAP would have.
    var adopted: String?

    /// What to put back in the namespace; nil: the NIC has no network of its own.
    var masquerade: Forwarding?

    /// What was set before the namespace became a router; nil: there is no such setting.
    struct Forwarding: Equatable {
        /// `net.ipv4.ip_forward`.
        var v4: Int?
        /// `net.ipv6.conf.all.forwarding`.
        var v6: Int?
        /// `net.ipv6.conf.LINK.accept_ra`.
        var acceptsRouters: Int?

        /// The numbers in order, `-` for none.
        var text: String { [v4, v6, acceptsRouters].map { $0.map { "\($0)" } ?? "-" }.joined(separator: ",") }

        init(v4: Int?, v6: Int?, acceptsRouters: Int?) {
            (self.v4, self.v6, self.acceptsRouters) = (v4, v6, acceptsRouters)
        }

        init?(_ text: String) {
            let numbers = text.split(separator: ",").map { Int($0) }
            guard numbers.count == 3 else { return nil }
            self.init(v4: numbers[0], v6: numbers[1], acceptsRouters: numbers[2])
        }
    }

    /// What to put back on the pod's link.
    struct LinkChanges: Equatable {
        /// Reception of all multicast frames was switched on, and was off before.
        var allMulticast = false
        /// Reception of all frames was switched on, and was off before.
        var promiscuous = false
        /// The Ethernet address before; nil: it was not changed.
        var mac: MACAddress?
        /// How often the host asked for routers before (`router_solicitations`); nil: it was not changed.
        var solicitations: Int?
    }

    var text: String {
        var words = ["slipway", "link", "\(linkIndex)", link]
        if changes.allMulticast { words.append("allmulticast") }
        if changes.promiscuous { words.append("promiscuous") }
        if let mac = changes.mac { words.append("mac=\(mac)") }
        if let solicitations = changes.solicitations { words.append("solicitations=\(solicitations)") }
        if let masquerade { words.append("masquerade=\(masquerade.text)") }
        if let adopted { words.append("adopted=\(adopted)") }
        return words.joined(separator: " ")
    }

    init(linkIndex: Int32, link: String, changes: LinkChanges = LinkChanges()) {
        self.linkIndex = linkIndex
        self.link = link
        self.changes = changes
    }

    init?(_ text: String) {
        // The kernel allows no blanks in a link's name.
        let words = text.split(separator: " ")
        guard words.count >= 4, words[0] == "slipway", words[1] == "link", let index = Int32(words[2]) else {
            return nil
        }
        self.init(linkIndex: index, link: String(words[3]))
        for word in words.dropFirst(4) {
            let key = word.prefix { $0 != "=" }
            let value = String(word.dropFirst(key.count + 1))
            switch key {
            case "allmulticast": changes.allMulticast = true
            case "promiscuous": changes.promiscuous = true
            case "mac": changes.mac = MACAddress(value)
            case "masquerade": masquerade = Forwarding(value)
            case "adopted": adopted = value
            case "solicitations": changes.solicitations = Int(value)
            default: break
            }
        }
    }
}

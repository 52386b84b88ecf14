/// A link of the pod that cannot become a NIC of the guest.
public enum NetworkRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// It carries packets, not Ethernet frames.
    case notEthernet(link: String, kind: String)
    /// It routes instead of switching: no ARP, no broadcast, so that a guest behind it is never found.
    case routedIPvlan(link: String, mode: String)
    /// It has no Ethernet address that a NIC can have.
    case noStationAddress(link: String, found: String)
    /// The namespace has more links than a machine can have NICs.
    case tooManyLinks(found: Int, limit: Int)

    /// A sentence that names the link, what was found, what is accepted and what would help.
    public var description: String {
        switch self {
        case .notEthernet(let link, let kind):
            "link \(link) of the pod is of kind \(kind), which carries no Ethernet frames; accepted are Ethernet links "
                + "such as veth, macvlan or ipvlan in mode l2; attach this network by a CNI plugin that makes one"
        case .routedIPvlan(let link, let mode):
            "link \(link) of the pod is an ipvlan in mode \(mode), which does not switch frames; accepted is mode l2; "
                + "set \"mode\": \"l2\" in the network's CNI configuration"
        case .noStationAddress(let link, let found):
            "link \(link) of the pod has \(found) as Ethernet address; accepted is a unicast address that is not zero"
        case .tooManyLinks(let found, let limit):
            "the pod has \(found) links; accepted are at most \(limit)"
        }
    }
}

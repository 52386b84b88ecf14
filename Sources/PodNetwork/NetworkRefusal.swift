/// A link or device of the pod that cannot become a NIC of the guest, or not as the pod asked.
public enum NetworkRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// It carries packets, not Ethernet frames.
    case notEthernet(link: String, kind: String)
    /// It routes instead of switching: no ARP, no broadcast, so that a guest behind it is never found.
    case routedIPvlan(link: String, mode: String)
    /// It has no Ethernet address that a NIC can have.
    case noStationAddress(link: String, found: String)
    /// The namespace has more links than a machine can have NICs.
    case tooManyLinks(link: String, found: Int, limit: Int)
    /// The pod asks for a binding that its link cannot have.
    case binding(link: String, asked: InterfaceSettings.BindingName, problem: String)
    /// The pod asks for something that the NIC cannot have.
    case setting(link: String, field: String, found: String, accepted: String)
    /// The pod has settings for an interface that it does not have.
    case unknownInterface(name: String, found: [String])
    /// A device that no machine can have.
    case device(link: String, found: String, accepted: String)
    /// A file of the node about an interface's device that cannot be used.
    case deviceInformation(link: String, problem: String)
    /// An annotation names a device that nobody gave to the pod.
    case deviceNotGranted(link: String, device: String)
    /// Another NIC of the pod has the device already.
    case deviceTaken(link: String, device: String, by: String)

    /// The interface that it concerns.
    public var link: String {
        switch self {
        case .notEthernet(let link, _), .routedIPvlan(let link, _), .noStationAddress(let link, _),
            .binding(let link, _, _), .setting(let link, _, _, _), .unknownInterface(let link, _),
            .device(let link, _, _), .deviceInformation(let link, _), .deviceNotGranted(let link, _),
            .deviceTaken(let link, _, _), .tooManyLinks(let link, _, _):
            link
        }
    }

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
        case .tooManyLinks(let link, let found, let limit):
            "link \(link) finds no place among the guest's NICs: the pod has \(found) links, and at most \(limit) are "
                + "accepted; detach another network, or start the pod with a larger slipway.dev/hot-nics"
        case .binding(let link, let asked, let problem):
            "\(InterfaceSettings.annotation): \(link): binding=\(asked.rawValue) is not possible, as \(problem)"
        case .setting(let link, let field, let found, let accepted):
            "\(InterfaceSettings.annotation): \(link): \(field) is \(found); accepted: \(accepted)"
        case .unknownInterface(let name, let found):
            "\(InterfaceSettings.annotation): the pod has no interface \(name); "
                + (found.isEmpty ? "it has none at all" : "it has \(found.joined(separator: ", "))")
        case .device(let link, let found, let accepted):
            "the device of interface \(link) is \(found); accepted: \(accepted)"
        case .deviceInformation(let link, let problem):
            "the device information of interface \(link) is left out: \(problem)"
        case .deviceNotGranted(let link, let device):
            "\(NetworkStatus.annotation) names \(device) for interface \(link), which the pod was not given; accepted "
                + "are devices of the pod's resource limits and paths that are mounted into it"
        case .deviceTaken(let link, let device, let other):
            "the device of interface \(link), \(device), is that of interface \(other) already; accepted is one "
                + "interface for each device"
        }
    }
}

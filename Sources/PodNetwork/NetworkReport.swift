import FoundationEssentials
import LinuxSystem
public import Netlink

/// The guest's NICs as the sandbox sees them: what `network.json` in a pod's state directory holds.
///
/// The sandbox replaces the file at every change; readers see the old or the new one as a whole.
public struct NetworkReport: Codable, Equatable, Sendable {
    /// The layout's version.
    public var version = 1
    /// The NICs, by number.
    public var interfaces: [InterfaceReport]
    /// Networks that were attached by hand, by interface.
    public var attachments: [AttachmentReport]

    /// A status of its parts.
    public init(interfaces: [InterfaceReport] = [], attachments: [AttachmentReport] = []) {
        self.interfaces = interfaces
        self.attachments = attachments
    }

    /// Largest file that is read, in bytes.
    public static let sizeLimit = 1 << 20

    /// Reads a file; nil when there is none, as before the machine is made.
    ///
    /// - Throws: `SystemError`, or `DecodingError` when it is no status.
    public init?(readingFrom path: String) throws {
        guard File.exists(path) else { return nil }
        let json = try File.read(path, limit: Self.sizeLimit)
        self = try JSONDecoder().decode(NetworkReport.self, from: Data(json))
    }

    /// Replaces the file.
    public func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try File.replace(path, with: Array(try encoder.encode(self)))
    }
}

/// One NIC of the guest.
public struct InterfaceReport: Codable, Equatable, Sendable {
    /// The link's name in the pod's network namespace.
    public var link: String
    /// The NIC's number among the guest's root ports; nil: it has no place there.
    public var number: Int?
    /// How it is joined to the link, ``Binding/description``; nil: it is not.
    public var binding: String?
    /// The guest's address on the Ethernet.
    public var mac: MACAddress?
    /// Bytes.
    public var mtu: UInt32?
    /// Its addresses.
    public var addresses: [IPPrefix]
    /// The network's name, where it is known.
    public var network: String?
    /// Whether the guest has it.
    public var state: State
    /// Its place in the guest as the guest's kernel names it, `0000:05:00.0`; nil while it is not known.
    public var guestAddress: String?
    /// What the guest's agent calls it; nil where none has answered.
    public var guestName: String?
    /// How many frames of the guest's were dropped since it has the NIC: it did not speak in its own name, or the link was
    /// down. The kernel knows, and the sandbox does not write it down; nil: nobody has looked, or nobody counts.
    public var dropped: UInt64?

    /// Whether the guest has a NIC, and how it stands with it.
    public enum State: Equatable, Sendable {
        /// The guest has it, with a carrier.
        case up
        /// The guest has it, without a carrier.
        case down
        /// It is being given to the guest.
        case plugging
        /// It is being taken from the guest.
        case unplugging
        /// The guest does not have it, or not as its link wants it; a sentence says why.
        case failed(reason: String)

        /// The state in a word.
        public var word: String {
            switch self {
            case .up: "up"
            case .down: "down"
            case .plugging: "plugging"
            case .unplugging: "unplugging"
            case .failed: "failed"
            }
        }

        /// Why, of one that has failed.
        public var reason: String? { if case .failed(let reason) = self { reason } else { nil } }
    }

    /// A NIC of its parts.
    public init(
        link: String, number: Int? = nil, binding: String? = nil, mac: MACAddress? = nil, mtu: UInt32? = nil,
        addresses: [IPPrefix] = [], network: String? = nil, state: State, guestAddress: String? = nil,
        guestName: String? = nil
    ) {
        self.link = link
        self.number = number
        self.binding = binding
        self.mac = mac
        self.mtu = mtu
        self.addresses = addresses
        self.network = network
        self.state = state
        self.guestAddress = guestAddress
        self.guestName = guestName
    }

    /// Whether the guest drives a PCI function: then the link is not in the pod's namespace.
    public var isFunction: Bool { binding?.hasPrefix("hostdev ") == true }

    /// A NIC as it was planned.
    public init(_ plan: InterfacePlan, state: State, guestAddress: String? = nil, guestName: String? = nil) {
        self.init(
            link: plan.link, number: plan.number, binding: "\(plan.binding)", mac: plan.mac, mtu: plan.mtu,
            addresses: plan.addresses, network: plan.network, state: state, guestAddress: guestAddress,
            guestName: guestName)
    }
}

extension InterfaceReport.State: Codable {
    private enum Key: String, CodingKey { case name, reason }

    /// Reads `{"name": "failed", "reason": "…"}`.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        let word = try container.decode(String.self, forKey: .name)
        let states: [Self] = [
            .up, .down, .plugging, .unplugging,
            .failed(reason: try container.decodeIfPresent(String.self, forKey: .reason) ?? ""),
        ]
        guard let state = states.first(where: { $0.word == word }) else {
            throw DecodingError.dataCorruptedError(
                forKey: .name, in: container,
                debugDescription:
                    "is \"\(word)\"; one of \(states.map(\.word).joined(separator: ", ")) is accepted")
        }
        self = state
    }

    /// Writes the word, and the reason where there is one.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(word, forKey: .name)
        try container.encodeIfPresent(reason, forKey: .reason)
    }
}

/// A network that was attached by hand.
public struct AttachmentReport: Codable, Equatable, Sendable {
    /// The link's name in the pod's network namespace.
    public var interface: String
    /// The network's name.
    public var network: String
    /// What stands in the way: plugins that have not come to their end, or that have failed; nil: it is made.
    public var problem: String?

    /// An attachment of its parts.
    public init(interface: String, network: String, problem: String? = nil) {
        self.interface = interface
        self.network = network
        self.problem = problem
    }
}

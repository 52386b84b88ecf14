import FoundationEssentials
import LinuxSystem

/// What the guest has of the pod's networks at this moment, as the sandbox writes it into its state directory for
/// whoever looks (`network.json`).
public struct NetworkReport: Codable, Equatable, Sendable {
    /// The layout.
    public var version = 1
    /// The guest's NICs by number, and after them the links that did not become one.
    public var nics: [NIC]

    /// A report.
    public init(nics: [NIC]) {
        self.nics = nics
    }

    /// A NIC of the guest, or a link that could not become one.
    public struct NIC: Codable, Equatable, Sendable {
        /// The link's name in the pod's network namespace.
        public var link: String
        /// Its number; nil when it was refused.
        public var number: Int?
        /// The network's name as the pod's annotation has it.
        public var network: String?
        /// What joins it: `tap`, `masquerade`, `macvtap`, `hostdev ADDRESS`, `vhost-user PATH`, `vdpa PATH`.
        public var binding: String?
        /// The guest's Ethernet address.
        public var mac: String?
        /// Bytes.
        public var mtu: UInt32?
        /// Its addresses with their prefix lengths.
        public var addresses: [String]
        /// Where the guest finds it, `0000:01:00.0`.
        public var pciAddress: String?
        /// What the guest's agent calls it; nil where no agent was asked or has answered.
        public var guestName: String?
        /// How it is.
        public var state: State
        /// What went wrong, or what is waited for; nil: nothing.
        public var reason: String?

        /// A NIC that the guest has.
        public init(
            _ plan: InterfacePlan, state: State, reason: String? = nil, pciAddress: String? = nil,
            guestName: String? = nil
        ) {
            link = plan.link
            number = plan.number
            network = plan.network
            binding = "\(plan.binding)"
            mac = "\(plan.mac)"
            mtu = plan.mtu
            addresses = plan.addresses.map { "\($0)" }
            self.pciAddress = pciAddress
            self.guestName = guestName
            self.state = state
            self.reason = reason
        }

        /// A link that did not become a NIC.
        public init(refused link: String, _ reason: String) {
            self.link = link
            addresses = []
            state = .failed
            self.reason = reason
        }
    }

    /// How a NIC is.
    public enum State: String, Codable, CaseIterable, Sendable {
        /// The guest has it, and its link carries frames.
        case up
        /// The guest has it, and sees no carrier.
        case down
        /// The guest has it, and is asked to let go of it.
        case unplugging
        /// What was to be done could not be done; it is tried again where that may help.
        case failed
    }

    /// Reads a report.
    ///
    /// - Throws: `SystemError` when the file cannot be read, `DecodingError` when it is not a report.
    public init(readingFrom path: String) throws {
        self = try JSONDecoder().decode(Self.self, from: Data(try File.read(path, limit: 1 << 20)))
    }

    /// Replaces the file.
    public func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try File.replace(path, with: Array(try encoder.encode(self)) + [UInt8(ascii: "\n")])
    }
}

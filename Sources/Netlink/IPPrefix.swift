/// An address with a prefix length: an interface's address in its network, or a route's destination.
public struct IPPrefix: Hashable, Sendable, Codable, LosslessStringConvertible {
    /// The address; bits behind the prefix may be set.
    public let address: IPAddress
    /// Number of leading bits that name the network, 0 to 32 or 128.
    public let length: Int

    /// Nil when the length does not fit the address.
    public init?(_ address: IPAddress, length: Int) {
        guard (0...address.family.bits).contains(length) else { return nil }
        self.address = address
        self.length = length
    }

    /// Parses `address/length`.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])),
            (1...3).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let length = Int(parts[1])
        else { return nil }
        self.init(address, length: length)
    }

    init(unchecked address: IPAddress, length: Int) {
        self.address = address
        self.length = length
    }

    /// `0.0.0.0/0` or `::/0`: where the default route leads.
    public static func everything(_ family: IPAddress.Family) -> IPPrefix {
        IPPrefix(unchecked: .unspecified(family), length: 0)
    }

    /// One address alone: /32 or /128.
    public static func host(_ address: IPAddress) -> IPPrefix {
        IPPrefix(unchecked: address, length: address.family.bits)
    }

    /// The protocol.
    public var family: IPAddress.Family { address.family }

    /// The same prefix with every bit behind it cleared.
    public var network: IPPrefix {
        let bytes = address.bytes.enumerated().map { index, byte in
            let kept = min(8, max(0, length - index * 8))
            return byte & ~UInt8(truncatingIfNeeded: 0xff >> kept)
        }
        return IPPrefix(unchecked: IPAddress(unchecked: bytes), length: length)
    }

    /// IPv4's dotted mask of the length; nil for IPv6.
    public var netmask: IPAddress? {
        guard family == .v4 else { return nil }
        return IPPrefix(unchecked: IPAddress(unchecked: [255, 255, 255, 255]), length: length).network.address
    }

    /// Whether the address lies in the network.
    public func contains(_ other: IPAddress) -> Bool {
        other.family == family && IPPrefix(unchecked: other, length: length).network == network
    }

    /// `address/length`.
    public var description: String { "\(address)/\(length)" }

    /// Decodes the text form.
    public init(from decoder: any Decoder) throws {
        self = try decodeText(IPPrefix.self, "a prefix such as 10.88.0.5/16 or fd00::5/64", from: decoder)
    }

    /// Encodes the text form.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A 48-bit Ethernet address.
public struct MACAddress: Hashable, Sendable, Codable, LosslessStringConvertible {
    /// The six octets in transmission order.
    public let bytes: [UInt8]

    /// Nil unless there are exactly six octets.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 6 else { return nil }
        self.bytes = Array(bytes)
    }

    /// Parses six hexadecimal octets of two digits each, separated by colons; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 6 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            guard part.utf8.count == 2, part.allSatisfy(\.isHexDigit), let byte = UInt8(part, radix: 16) else {
                return nil
            }
            bytes.append(byte)
        }
        self.bytes = bytes
    }

    /// Whether it can be a station's own address: neither all zero nor a group address (IEEE 802.3, 3.2.3).
    public var isStation: Bool { bytes[0] & 1 == 0 && bytes.contains { $0 != 0 } }

    /// Lower-case octets separated by colons.
    public var description: String { bytes.map { hexadecimal($0, digits: 2) }.joined(separator: ":") }

    /// Decodes the text form.
    public init(from decoder: any Decoder) throws {
        self = try decodeText(MACAddress.self, "a MAC address such as 0a:58:0a:58:00:05", from: decoder)
    }

    /// Encodes the text form.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

func hexadecimal(_ value: some BinaryInteger, digits: Int = 1) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
}

func decodeText<Value: LosslessStringConvertible>(
    _ type: Value.Type, _ accepted: String, from decoder: any Decoder
) throws -> Value {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let value = Value(text) else {
        throw DecodingError.dataCorruptedError(
            in: container, debugDescription: "\"\(text)\" was found, \(accepted) is accepted")
    }
    return value
}

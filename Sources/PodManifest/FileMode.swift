/// Permission bits as manifests write them: `0644` and `0o644` are octal, `420` is decimal, as in YAML 1.1.
public struct FileMode: Codable, Hashable, Sendable {
    /// 0 to 0o777.
    public let bits: UInt32

    /// Reads the text of a number.
    public init(parsing text: String) throws(ManifestError) {
        let number =
            text.hasPrefix("0o")
            ? UInt32(text.dropFirst(2), radix: 8)
            : text.hasPrefix("0") ? UInt32(text, radix: 8) : UInt32(text)
        guard let number, number <= 0o777 else {
            throw ManifestError("", "\"\(text)\" is no file mode; 0 to 0777 (511) is")
        }
        bits = number
    }

    /// Reads a number or its text.
    public init(from decoder: any Decoder) throws {
        self = try decoder.parse { text throws(ManifestError) in try FileMode(parsing: text) }
    }

    /// Writes octal text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode("0" + String(bits, radix: 8))
    }
}

import Glibc

/// An IPv4 or IPv6 address.
public struct IPAddress: Hashable, Sendable, Codable, LosslessStringConvertible {
    /// Which of the two protocols an address belongs to.
    public enum Family: String, Hashable, Sendable, Codable {
        /// IPv4, four octets.
        case v4
        /// IPv6, sixteen octets.
        case v6

        /// Bits in an address.
        public var bits: Int { self == .v4 ? 32 : 128 }
        /// The kernel's number (`AF_INET`, `AF_INET6`).
        public var number: UInt8 { UInt8(truncatingIfNeeded: self == .v4 ? AF_INET : AF_INET6) }

        /// The family with the kernel's number; nil for any other.
        public init?(number: UInt8) {
            switch Int32(number) {
            case AF_INET: self = .v4
            case AF_INET6: self = .v6
            default: return nil
            }
        }
    }

    /// Four or sixteen octets in network order.
    public let bytes: [UInt8]

    /// Nil unless there are four or sixteen octets.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.bytes = Array(bytes)
    }

    /// Parses what inet_pton(3) accepts; no zone, no prefix length.
    public init?(_ text: String) {
        // inet_pton stops at a zero byte, which a Swift string may contain.
        guard text.utf8.count <= 45, !text.utf8.contains(0) else { return nil }
        let isV6 = text.utf8.contains(UInt8(ascii: ":"))
        var bytes = [UInt8](repeating: 0, count: isV6 ? 16 : 4)
        guard inet_pton(isV6 ? AF_INET6 : AF_INET, text, &bytes) == 1 else { return nil }
        self.bytes = bytes
    }

    /// Every bit zero: `0.0.0.0` or `::`.
    public static func unspecified(_ family: Family) -> IPAddress {
        IPAddress(unchecked: [UInt8](repeating: 0, count: family.bits / 8))
    }

    /// The link-local IPv6 address that a station makes of its Ethernet address (RFC 4291, appendix A).
    public static func linkLocal(of mac: MACAddress) -> IPAddress {
        let m = mac.bytes
        return IPAddress(
            unchecked: [0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]])
    }

    init(unchecked bytes: [UInt8]) { self.bytes = bytes }

    /// The protocol.
    public var family: Family { bytes.count == 4 ? .v4 : .v6 }

    /// fe80::/10 (RFC 4291) or 169.254.0.0/16 (RFC 3927).
    public var isLinkLocal: Bool {
        family == .v4 ? bytes[0] == 169 && bytes[1] == 254 : bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80
    }

    /// ff00::/8 (RFC 4291) or 224.0.0.0/4 (RFC 5771).
    public var isMulticast: Bool { family == .v4 ? bytes[0] & 0xf0 == 0xe0 : bytes[0] == 0xff }

    /// ::1 or 127.0.0.0/8.
    public var isLoopback: Bool {
        family == .v4 ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1
    }

    /// Dotted quad, or the canonical text form of RFC 5952.
    public var description: String {
        guard family == .v6 else { return bytes.map { String($0) }.joined(separator: ".") }
        if bytes.prefix(10).allSatisfy({ $0 == 0 }) && bytes[10] == 0xff && bytes[11] == 0xff {
            return "::ffff:" + bytes[12...].map { String($0) }.joined(separator: ".")
        }
        let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
        guard let run = longestZeroRun(groups) else {
            return groups.map { hexadecimal($0) }.joined(separator: ":")
        }
        let head = groups[..<run.lowerBound].map { hexadecimal($0) }.joined(separator: ":")
        let tail = groups[run.upperBound...].map { hexadecimal($0) }.joined(separator: ":")
        return head + "::" + tail
    }

    /// RFC 5952, 4.2: the longest run of at least two zero groups, the first one of equals.
    private func longestZeroRun(_ groups: [UInt16]) -> Range<Int>? {
        var best: Range<Int>?
        var start = 0
        while start < groups.count {
            guard groups[start] == 0 else {
                start += 1
                continue
            }
            let end = groups[start...].firstIndex { $0 != 0 } ?? groups.count
            if end - start >= 2 && end - start > (best?.count ?? 0) { best = start..<end }
            start = end
        }
        return best
    }

    /// Decodes the text form.
    public init(from decoder: any Decoder) throws {
        self = try decodeText(IPAddress.self, "an IPv4 or IPv6 address", from: decoder)
    }

    /// Encodes the text form.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// Text that is not JSON: where, and why.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Bytes before the place.
    public let offset: Int
    /// What is wrong there.
    public let problem: String
    /// `byte 12: …`.
    public var description: String { "byte \(offset): \(problem)" }
}

extension JSONValue {
    /// How many arrays and objects may lie in one another.
    public static let depthLimit = 64

    /// Reads one value with nothing but blanks around it. Invalid UTF-8 in strings is repaired.
    public init(parsing bytes: [UInt8]) throws(JSONError) {
        var parser = JSONParser(bytes)
        self = try parser.document()
    }
}

/// Reads strictly as RFC 8259 says, in one pass, with a bound on depth: the text may come from a plugin that lies.
private struct JSONParser {
    private let bytes: [UInt8]
    private var at = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private func failure(_ problem: String) -> JSONError { JSONError(offset: at, problem: problem) }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipBlanks() {
        while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d { at += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        at += 1
        return true
    }

    mutating func document() throws(JSONError) -> JSONValue {
        skipBlanks()
        guard next != nil else { throw failure("nothing is there") }
        let value = try value(depth: 0)
        skipBlanks()
        guard next == nil else { throw failure("more follows the value") }
        return value
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        switch next {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw failure("the text ends where a value is expected")
        case UInt8(ascii: "-")?: return .number(try number())
        case let byte? where (0x30...0x39).contains(byte): return .number(try number())
        default: throw failure("no value begins like this")
        }
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
        for byte in word.utf8 { guard take(byte) else { throw failure("\(word) is expected") } }
        return value
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        guard depth < JSONValue.depthLimit else { throw failure("deeper than \(JSONValue.depthLimit) levels") }
        at += 1
        var members: [String: JSONValue] = [:]
        skipBlanks()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            skipBlanks()
            guard next == UInt8(ascii: "\"") else { throw failure("a key is expected") }
            let key = try string()
            skipBlanks()
            guard take(UInt8(ascii: ":")) else { throw failure("a colon is expected") }
            skipBlanks()
            members[key] = try value(depth: depth + 1)
            skipBlanks()
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { throw failure("a comma or the end of the object is expected") }
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        guard depth < JSONValue.depthLimit else { throw failure("deeper than \(JSONValue.depthLimit) levels") }
        at += 1
        var values: [JSONValue] = []
        skipBlanks()
        if take(UInt8(ascii: "]")) { return .array(values) }
        while true {
            skipBlanks()
            values.append(try value(depth: depth + 1))
            skipBlanks()
            if take(UInt8(ascii: "]")) { return .array(values) }
            guard take(UInt8(ascii: ",")) else { throw failure("a comma or the end of the array is expected") }
        }
    }

    private mutating func digits() throws(JSONError) {
        let start = at
        while let byte = next, (0x30...0x39).contains(byte) { at += 1 }
        guard at > start else { throw failure("a digit is expected") }
    }

    private mutating func number() throws(JSONError) -> String {
        let start = at
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { try digits() }
        if take(UInt8(ascii: ".")) { try digits() }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            at += 1
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try digits()
        }
        return String(decoding: bytes[start..<at], as: UTF8.self)
    }

    private mutating func string() throws(JSONError) -> String {
        at += 1
        var text: [UInt8] = []
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                at += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                at += 1
                text += String(try escape()).utf8
            case ..<0x20: throw failure("a control character in a string")
            default:
                text.append(byte)
                at += 1
            }
        }
        throw failure("the text ends in a string")
    }

    private mutating func escape() throws(JSONError) -> Unicode.Scalar {
        guard let byte = next else { throw failure("the text ends in a string") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try scalar()
        default: throw failure("an unknown escape in a string")
        }
    }

    /// After `\u`; a lone half of a surrogate pair becomes U+FFFD, as in Go.
    private mutating func scalar() throws(JSONError) -> Unicode.Scalar {
        let high = try unit()
        if let scalar = Unicode.Scalar(high) { return scalar }
        let place = at
        guard (0xd800..<0xdc00).contains(high), take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
            at = place
            return "\u{fffd}"
        }
        let low = try unit()
        guard (0xdc00..<0xe000).contains(low) else {
            at = place
            return "\u{fffd}"
        }
        return Unicode.Scalar(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)) ?? "\u{fffd}"
    }

    private mutating func unit() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw failure("four hexadecimal digits are expected")
            }
            value = value << 4 | UInt32(digit)
            at += 1
        }
        return value
    }
}

import FoundationEssentials
import Netlink

/// Reads JSON of which only size and well-formedness are known.
///
/// - Parameters:
///   - name: the annotation or file, for the refusal.
///   - limit: most bytes.
func decodeJSON<Value: Decodable>(
    _ type: Value.Type, _ json: some Collection<UInt8>, name: String, limit: Int, accepted: String
) throws(AnnotationRefusal) -> Value {
    guard json.count <= limit else {
        throw AnnotationRefusal(name, found: "\(json.count) bytes", accepted: "at most \(limit)")
    }
    do {
        return try JSONDecoder().decode(type, from: Data(json))
    } catch let error as DecodingError {
        throw AnnotationRefusal(name, error, accepted: accepted)
    } catch {
        throw AnnotationRefusal(name, found: "\(error)", accepted: accepted)
    }
}

extension AnnotationRefusal {
    fileprivate init(_ name: String, _ error: DecodingError, accepted: String) {
        switch error {
        case .typeMismatch(let type, let context):
            self.init(name, context.codingPath, found: "another kind of value", accepted: Self.name(type))
        case .valueNotFound(let type, let context):
            self.init(name, context.codingPath, found: "null", accepted: Self.name(type))
        case .keyNotFound(let key, let context):
            self.init(name, context.codingPath + [key], found: "nothing", accepted: "a value")
        case .dataCorrupted(let context):
            self.init(
                name, context.codingPath, found: "no valid JSON, or a number that does not fit its field",
                accepted: accepted)
        @unknown default:
            self.init(name, found: "\(error)", accepted: accepted)
        }
    }

    /// A first number in the path is the place in the list.
    private init(_ name: String, _ path: [any CodingKey], found: String, accepted: String) {
        let index = path.first?.intValue
        let keys = path.dropFirst(index == nil ? 0 : 1).map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }
        self.init(
            name, element: index.map { Self.element($0) } ?? "", field: keys.joined(separator: "."), found: found,
            accepted: accepted)
    }

    /// How the place in a list is named, counted from 1 as readers count.
    static func element(_ index: Int) -> String { "element \(index + 1)" }

    private static func name(_ type: any Any.Type) -> String {
        switch type {
        case is String.Type: "a string"
        case is any FixedWidthInteger.Type: "a whole number that fits"
        case is any ExpressibleByArrayLiteral.Type: "a list"
        default: "an object"
        }
    }
}

/// Words of the annotations.
enum Word {
    /// What the kernel takes as a link's name (dev_valid_name), of printable ASCII.
    static func isInterface(_ text: String) -> Bool {
        (1...15).contains(text.utf8.count) && text != "." && text != ".."
            && text.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") }
    }

    /// What ``isInterface(_:)`` accepts, for refusals.
    static let interfaces = "a link's name: 1 to 15 characters without blank, / and :"

    /// A Kubernetes object's name: an RFC 1123 subdomain in lower case.
    static func isObject(_ text: String) -> Bool {
        func isInner(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") }
        return (1...253).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) || isInner($0) }
            && [text.utf8.first, text.utf8.reversed().first].allSatisfy { $0.map(isInner) == false }
    }

    /// What ``isObject(_:)`` accepts, for refusals.
    static let objects = "a name of lower-case letters, digits, - and ., at most 253"

    /// Six octets in any of Go's forms: `0a:58:…`, `0a-58-…`, `0a58.0a58.0005`.
    static func mac(_ text: String) -> MACAddress? {
        guard text.utf8.count <= 17 else { return nil }
        let digits = text.filter { $0 != ":" && $0 != "-" && $0 != "." }
        guard digits.utf8.count == 12, digits.allSatisfy({ $0.isASCII && $0.isHexDigit }) else { return nil }
        let bytes = stride(from: 0, to: 12, by: 2).compactMap { offset in
            UInt8(digits.dropFirst(offset).prefix(2), radix: 16)
        }
        return MACAddress(bytes: bytes)
    }

    /// An address with or without prefix length; without one it is of full length.
    static func prefix(_ text: String) -> IPPrefix? {
        IPPrefix(text) ?? IPAddress(text).map { .host($0) }
    }

    /// An absolute path without steps upward that a socket's name can hold (unix(7)).
    static func isPath(_ text: String) -> Bool {
        text.hasPrefix("/") && text.utf8.count <= 107 && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
            && !text.split(separator: "/").contains("..")
    }
}

import FoundationEssentials

/// A `config.json` that cannot be used: where, what was found, what is accepted.
public struct SpecError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The field, as a path from the document's root: `linux.namespaces[1].type`.
    public let field: String
    /// What is wrong and what would be right.
    public let problem: String

    /// An error at a field.
    public init(_ field: String, _ problem: String) {
        self.field = field
        self.problem = problem
    }

    /// `config.json: FIELD: PROBLEM`.
    public var description: String { field.isEmpty ? "config.json: \(problem)" : "config.json: \(field): \(problem)" }
}

extension Spec {
    /// Largest `config.json` that is read. The kubelet's limit for a whole pod object is 1.5 MiB.
    public static let maximumSize = 8 << 20

    /// Decodes the JSON text.
    ///
    /// - Throws: ``SpecError`` that names the field.
    public static func decode(_ json: some Sequence<UInt8>) throws(SpecError) -> Spec {
        do {
            return try JSONDecoder().decode(Spec.self, from: Data(json))
        } catch let error as DecodingError {
            throw SpecError(error)
        } catch {
            throw SpecError("", "not readable: \(error)")
        }
    }

    /// Decodes `linux.resources` alone, as Task.Update carries it.
    public static func decodeResources(_ json: some Sequence<UInt8>) throws(SpecError) -> Resources {
        do {
            return try JSONDecoder().decode(Resources.self, from: Data(json))
        } catch let error as DecodingError {
            throw SpecError(error)
        } catch {
            throw SpecError("", "not readable: \(error)")
        }
    }
}

extension Decoder {
    /// A word of a closed set; the refusal names the words that are in it.
    func word<Word: RawRepresentable<String> & CaseIterable>() throws -> Word {
        let text = try singleValueContainer().decode(String.self)
        guard let word = Word(rawValue: text) else {
            let words = Word.allCases.map(\.rawValue).joined(separator: ", ")
            throw DecodingError.dataCorrupted(
                .init(codingPath: codingPath, debugDescription: "is \"\(text)\"; one of \(words) is accepted"))
        }
        return word
    }
}

extension Spec.Namespace.Kind {
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    public init(from decoder: any Decoder) throws { self = try decoder.word() }
}

extension Spec.Device.Kind {
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    public init(from decoder: any Decoder) throws { self = try decoder.word() }
}

extension SpecError {
    init(_ error: DecodingError) {
        switch error {
        case .typeMismatch(let type, let context):
            self.init(Self.path(context.codingPath), "has another type; \(Self.name(type)) is expected")
        case .valueNotFound(let type, let context):
            self.init(Self.path(context.codingPath), "is null; \(Self.name(type)) is expected")
        case .keyNotFound(let key, let context):
            self.init(Self.path(context.codingPath + [key]), "is missing")
        case .dataCorrupted(let context):
            // The decoder tells neither where a number is that does not fit, nor that it is one.
            let isText = context.codingPath.isEmpty
            self.init(
                Self.path(context.codingPath),
                isText ? "is no valid JSON, or has a number that does not fit its field" : context.debugDescription)
        @unknown default:
            self.init("", "\(error)")
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        keys.reduce(into: "") { path, key in
            if let index = key.intValue {
                path += "[\(index)]"
            } else {
                path += path.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
    }

    private static func name(_ type: any Any.Type) -> String {
        switch type {
        case is String.Type: "a string"
        case is Bool.Type: "true or false"
        case is any FixedWidthInteger.Type: "a whole number"
        default: "\(type)"
        }
    }
}

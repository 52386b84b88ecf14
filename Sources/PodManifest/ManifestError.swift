/// Why a manifest cannot be played, with the place in it.
public struct ManifestError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The field, as `spec.containers[0].resources.limits.cpu`; may begin with the document's kind and name.
    public let field: String
    /// What was found, what is accepted, what would help.
    public let reason: String

    /// Makes an error about one field.
    public init(_ field: String, _ reason: String) {
        self.field = field
        self.reason = reason
    }

    /// The same error with its field below another one.
    public func below(_ parent: String) -> ManifestError {
        ManifestError(field.isEmpty ? parent : "\(parent).\(field)", reason)
    }

    /// `field: reason`.
    public var description: String { field.isEmpty ? reason : "\(field): \(reason)" }
}

extension Decoder {
    /// Reads a scalar by its text and keeps the place of what is refused.
    func parse<Value>(_ parse: (String) throws(ManifestError) -> Value) throws -> Value {
        let text = try singleValueContainer().decode(String.self)
        do {
            return try parse(text)
        } catch {
            throw DecodingError.dataCorrupted(
                .init(codingPath: codingPath, debugDescription: error.reason, underlyingError: error))
        }
    }
}

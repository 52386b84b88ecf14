public import FoundationEssentials

/// A ConfigMap or a Secret with its values decoded.
public struct DataObject: Equatable, Sendable {
    /// Which of the two.
    public enum Kind: String, Sendable {
        case configMap = "ConfigMap"
        case secret = "Secret"
    }

    /// Which of the two.
    public let kind: Kind
    /// Its name.
    public let name: String
    /// Its namespace.
    public let namespace: String
    /// Bytes by key. Keys are single path components.
    public let data: [String: Data]
}

/// The manifest's form of both kinds.
struct DataDocument: Codable {
    var metadata: ObjectMeta
    var data: [String: String]?
    var binaryData: [String: String]?
    var stringData: [String: String]?

    func object(_ kind: DataObject.Kind, name: String, namespace: String) throws(ManifestError) -> DataObject {
        var values: [String: Data] = [:]
        for (key, text) in data ?? [:] {
            values[key] = kind == .configMap ? Data(text.utf8) : try Self.decode(text, "data.\(key)")
        }
        for (key, text) in binaryData ?? [:] { values[key] = try Self.decode(text, "binaryData.\(key)") }
        for (key, text) in stringData ?? [:] { values[key] = Data(text.utf8) }
        for key in values.keys.sorted() where !Self.isKey(key) {
            throw ManifestError(
                "data",
                "\"\(key)\" is no key: up to 253 letters, digits, '-', '_' and '.' are, without a leading \"..\"")
        }
        return DataObject(kind: kind, name: name, namespace: namespace, data: values)
    }

    private static func decode(_ text: String, _ field: String) throws(ManifestError) -> Data {
        guard let data = Data(base64Encoded: String(text.filter { !$0.isWhitespace })) else {
            throw ManifestError(
                field, "is not base64; plain text goes into stringData of a Secret or data of a ConfigMap")
        }
        return data
    }

    private static func isKey(_ key: String) -> Bool {
        (1...253).contains(key.utf8.count) && key != "." && !key.hasPrefix("..")
            && key.utf8.allSatisfy { Names.isAlphanumeric($0) || [0x2d, 0x2e, 0x5f].contains($0) }
    }
}

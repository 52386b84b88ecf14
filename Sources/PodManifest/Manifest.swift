internal import Yams

/// A manifest file: one or more Pods, and the ConfigMaps and Secrets that they use.
public struct Manifest: Equatable, Sendable {
    /// In the file's order, at least one.
    public let pods: [Pod]
    /// ConfigMaps and Secrets in the file's order.
    public let objects: [DataObject]
    /// Sentences about fields that are not played and whose absence may be noticed.
    public let warnings: [String]

    /// The largest file that is read, in bytes: a Pod with a few ConfigMaps of their full 1 MiB.
    public static let sizeLimit = 16 << 20

    /// Reads a YAML stream of one or more documents.
    ///
    /// - Throws: `ManifestError` naming the document and the field; unknown kinds, unknown words and volume sources
    ///   that are not played are refused, other unknown fields become ``warnings``.
    public init(yaml: String) throws(ManifestError) {
        guard yaml.utf8.count <= Self.sizeLimit else {
            throw ManifestError("", "the manifest has \(yaml.utf8.count) bytes; up to \(Self.sizeLimit) are read")
        }
        var pods: [Pod] = []
        var objects: [DataObject] = []
        var warnings: [String] = []
        for (index, node) in try Self.documents(yaml).enumerated() {
            if node == Node("") || node.null != nil { continue }
            guard let mapping = node.mapping else {
                throw ManifestError("document \(index + 1)", "is not a mapping of fields")
            }
            guard let kind = mapping["kind"]?.string, !kind.isEmpty else {
                throw ManifestError("document \(index + 1)", "has no kind; Pod, ConfigMap and Secret are played")
            }
            let place = mapping["metadata"]?.mapping?["name"]?.string.map { "\(kind) \"\($0)\"" } ?? kind
            do throws(ManifestError) {
                switch (mapping["apiVersion"]?.string, kind) {
                case ("v1", "Pod"):
                    warnings += try ManifestFields.check(node).map { "\(place): \($0)" }
                    let pod: Pod = try Self.decode(node)
                    try pod.check()
                    pods.append(pod)
                case ("v1", "ConfigMap"): objects.append(try Self.object(node, .configMap))
                case ("v1", "Secret"): objects.append(try Self.object(node, .secret))
                case (let version, "Pod"), (let version, "ConfigMap"), (let version, "Secret"):
                    throw ManifestError("apiVersion", "\"\(version ?? "")\" found; \(kind) is of v1")
                default:
                    throw ManifestError(
                        "kind",
                        "\(kind) is not played here; Pod, ConfigMap and Secret are. A Pod template of a"
                            + " workload can be written as a Pod")
                }
            } catch {
                throw error.below(place)
            }
        }
        guard !pods.isEmpty else { throw ManifestError("", "the manifest has no Pod") }
        self.pods = pods
        self.objects = objects
        self.warnings = warnings
    }

    /// The ConfigMap or Secret of that name in that namespace.
    public func object(_ kind: DataObject.Kind, _ name: String, in namespace: String) -> DataObject? {
        objects.first { $0.kind == kind && $0.name == name && $0.namespace == namespace }
    }

    private static func documents(_ yaml: String) throws(ManifestError) -> [Node] {
        do {
            var stream = try Yams.compose_all(yaml: yaml)
            var documents: [Node] = []
            while let document = stream.next() { documents.append(document) }
            // The stream ends at an error and keeps it.
            if let error = stream.error { throw error }
            return documents
        } catch {
            throw ManifestError("", "the manifest is not YAML: \(error)")
        }
    }

    private static func object(_ node: Node, _ kind: DataObject.Kind) throws(ManifestError) -> DataObject {
        let document: DataDocument = try decode(node)
        let (name, namespace) = try document.metadata.checkedName()
        return try document.object(kind, name: name, namespace: namespace)
    }

    private static func decode<Value: Decodable>(_ node: Node) throws(ManifestError) -> Value {
        do {
            return try YAMLDecoder().decode(Value.self, from: node)
        } catch let error as DecodingError {
            throw ManifestError(error)
        } catch let error as ManifestError {
            throw error
        } catch {
            throw ManifestError("", "\(error)")
        }
    }
}

extension ManifestError {
    fileprivate init(_ error: DecodingError) {
        func field(_ path: [any CodingKey]) -> String {
            path.reduce("") { text, key in
                if let index = key.intValue { return "\(text)[\(index)]" }
                return text.isEmpty ? key.stringValue : "\(text).\(key.stringValue)"
            }
        }
        switch error {
        case .keyNotFound(let key, let context): self.init(field(context.codingPath + [key]), "is missing")
        case .typeMismatch(let type, let context):
            self.init(field(context.codingPath), "is of another type than \(type): \(context.debugDescription)")
        case .valueNotFound(let type, let context):
            self.init(field(context.codingPath), "is empty where a \(type) is needed")
        case .dataCorrupted(let context):
            if let inner = context.underlyingError as? ManifestError {
                self.init(field(context.codingPath), inner.reason)
            } else {
                self.init(field(context.codingPath), context.debugDescription)
            }
        @unknown default: self.init("", "\(error)")
        }
    }
}

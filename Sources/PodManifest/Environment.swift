internal import CRIProtocol

/// A container's variables, resolved in the kubelet's order: envFrom, then env; later ones win.
struct Environment {
    private(set) var values: [(name: String, value: String)] = []

    mutating func set(_ name: String, _ value: String) {
        values.removeAll { $0.name == name }
        values.append((name, value))
    }

    /// The value of a variable, if set.
    subscript(name: String) -> String? { values.first { $0.name == name }?.value }

    /// Replaces `$(NAME)` by the variable where it is set and leaves it where it is not; `$$` stands for `$`.
    func expand(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[rest.index(after: dollar)...]
            if rest.first == "$" {
                result += "$"
                rest = rest.dropFirst()
            } else if rest.first == "(", let end = rest.firstIndex(of: ")") {
                let name = String(rest[rest.index(after: rest.startIndex)..<end])
                result += self[name] ?? "$(\(name))"
                rest = rest[rest.index(after: end)...]
            } else {
                result += "$"
            }
        }
        return result + rest
    }
}

extension Environment {
    /// Resolves a container's variables.
    ///
    /// - Parameter field: reads a pod's field by path; nil for an unknown path.
    init(
        _ container: Container, objects: (DataObject.Kind, String) -> DataObject?, field: (String) -> String?,
        place: String
    ) throws(ManifestError) {
        for (index, source) in (container.envFrom ?? []).enumerated() {
            let at = "\(place).envFrom[\(index)]"
            let references: [(DataObject.Kind, EnvironmentSource.Reference?)] = [
                (.configMap, source.configMapRef), (.secret, source.secretRef),
            ]
            for (kind, reference) in references {
                guard let reference else { continue }
                guard let object = objects(kind, reference.name) else {
                    if reference.optional == true { continue }
                    throw .missing(kind, reference.name, at)
                }
                for (key, data) in object.data.sorted(by: { $0.key < $1.key }) {
                    set((source.prefix ?? "") + key, String(decoding: data, as: UTF8.self))
                }
            }
        }
        for (index, variable) in (container.env ?? []).enumerated() {
            let at = "\(place).env[\(index)]"
            if let source = variable.valueFrom {
                if let path = source.fieldRef?.fieldPath {
                    guard let value = field(path) else {
                        throw ManifestError(
                            "\(at).valueFrom.fieldRef.fieldPath", "\"\(path)\" is not a field played here")
                    }
                    set(variable.name, value)
                }
                if let reference = source.configMapKeyRef {
                    try set(variable.name, reference, .configMap, objects, "\(at).valueFrom.configMapKeyRef")
                }
                if let reference = source.secretKeyRef {
                    try set(variable.name, reference, .secret, objects, "\(at).valueFrom.secretKeyRef")
                }
            } else {
                set(variable.name, expand(variable.value ?? ""))
            }
        }
    }

    private mutating func set(
        _ name: String, _ reference: EnvironmentVariable.KeyReference, _ kind: DataObject.Kind,
        _ objects: (DataObject.Kind, String) -> DataObject?, _ place: String
    ) throws(ManifestError) {
        if let data = objects(kind, reference.name)?.data[reference.key] {
            set(name, String(decoding: data, as: UTF8.self))
        } else if reference.optional != true {
            throw .missing(kind, "\(reference.name)\" with a key \"\(reference.key)", place)
        }
    }
}

extension ManifestError {
    static func missing(_ kind: DataObject.Kind, _ name: String, _ place: String) -> ManifestError {
        ManifestError(place, "no \(kind.rawValue) \"\(name)\" in this file and namespace; add it, or mark it optional")
    }
}

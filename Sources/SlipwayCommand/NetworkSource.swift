internal import CNI
internal import LinuxSystem
internal import Yams

/// Where the configuration of a network comes from: the node's directory, or a file in one of three forms.
enum NetworkSource {
    /// Reads a network's configuration.
    ///
    /// - Throws: `CNIError`, `SystemError`, `CommandFailure`.
    static func read(
        _ network: String?, file: String?, directory: NetworkDirectory
    ) throws -> NetworkConfiguration {
        guard let file else {
            return try directory.find(network ?? "")
        }
        let bytes = try File.read(file, limit: NetworkConfiguration.sizeLimit)
        return try parse(bytes, network, source: file, directory: directory)
    }

    static func parse(
        _ bytes: [UInt8], _ network: String?, source: String, directory: NetworkDirectory
    ) throws -> NetworkConfiguration {
        if let json = try? JSONValue(parsing: bytes), json.object?["kind"] == nil {
            let configuration = try NetworkConfiguration(json, source: source)
            guard network == nil || network == configuration.name else {
                throw CNIError.noNetwork(name: network ?? "", directory: source, others: [configuration.name])
            }
            return configuration
        }
        let definitions = try definitions(bytes, source: source)
        let fitting = definitions.filter { network == nil || network == $0.name || network == $0.path }
        guard let definition = fitting.first else {
            throw CNIError.noNetwork(name: network ?? "", directory: source, others: definitions.map(\.path))
        }
        guard fitting.count == 1 else {
            throw CommandFailure(
                .usage,
                "\(source) has \(fitting.count) networks; name one of \(fitting.map(\.path).joined(separator: ", "))")
        }
        // As Multus has it: a definition without configuration stands for the node's of its name.
        guard let text = definition.config else { return try directory.find(definition.name) }
        return try NetworkConfiguration(
            parsing: Array(text.utf8), source: "\(source): \(definition.path): spec.config",
            defaultName: definition.name)
    }

    private struct Definition {
        var name: String
        var namespace: String?
        var config: String?
        var path: String { namespace.map { "\($0)/\(name)" } ?? name }
    }

    /// The NetworkAttachmentDefinitions (NPWG, version 1) of a YAML stream, which JSON is a case of.
    private static func definitions(_ bytes: [UInt8], source: String) throws -> [Definition] {
        func refuse(_ field: String, _ problem: String) -> CNIError {
            .configuration(source: source, field: field, problem: problem)
        }
        var documents: [Node] = []
        do {
            var stream = try Yams.compose_all(yaml: String(decoding: bytes, as: UTF8.self))
            while let document = stream.next() { documents.append(document) }
            // The stream ends at an error and keeps it.
            if let error = stream.error { throw error }
        } catch {
            throw refuse("", "is neither JSON nor YAML: \(error)")
        }
        let definitions: [Definition] = try documents.compactMap { node in
            if node.null != nil || node == Node("") { return nil }
            guard let kind = node.mapping?["kind"]?.string, kind == "NetworkAttachmentDefinition" else {
                let found = node.mapping?["kind"]?.string.map { "\"\($0)\" was found" } ?? "is missing"
                throw refuse(
                    "kind",
                    "\(found); NetworkAttachmentDefinition is accepted, and JSON as in .conf and .conflist files")
            }
            let metadata = node.mapping?["metadata"]?.mapping
            guard let name = metadata?["name"]?.string else { throw refuse("metadata.name", "is missing") }
            let config = node.mapping?["spec"]?.mapping?["config"]?.string
            return Definition(
                name: name, namespace: metadata?["namespace"]?.string, config: config.flatMap { $0.isEmpty ? nil : $0 })
        }
        guard !definitions.isEmpty else { throw refuse("", "holds no NetworkAttachmentDefinition") }
        return definitions
    }
}

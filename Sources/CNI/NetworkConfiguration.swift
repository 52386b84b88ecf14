/// A network's configuration: the plugins to call, in order (CNI specification, section 1).
public struct NetworkConfiguration: Equatable, Sendable {
    /// The network's name, which plugins keep their state under.
    public let name: String
    /// The version that is spoken with its plugins.
    public let version: CNIVersion
    /// CHECK is not to be asked.
    public let disablesCheck: Bool
    /// At least one.
    public let plugins: [Plugin]
    /// The whole configuration, a list and never a single plugin's, from which it can be read again.
    public let json: JSONValue

    /// One plugin's part.
    public struct Plugin: Equatable, Sendable {
        /// The name of its executable.
        public let type: String
        /// The runtime's data that it takes (`capabilities` that are true).
        public let capabilities: Set<String>
        /// Its configuration as it was written.
        public let members: [String: JSONValue]
    }

    /// Largest configuration that is read, in bytes.
    public static let sizeLimit = 1 << 20
    /// Most plugins of a configuration.
    public static let pluginLimit = 32

    /// Reads a list (`.conflist`) or a single plugin's configuration (`.conf`).
    ///
    /// - Parameters:
    ///   - source: what is read, for messages.
    ///   - defaultName: the name of a configuration that has none, as a NetworkAttachmentDefinition gives it.
    /// - Throws: `CNIError.configuration`.
    public init(parsing json: [UInt8], source: String, defaultName: String? = nil) throws(CNIError) {
        guard json.count <= Self.sizeLimit else {
            throw .configuration(source: source, field: "", problem: "is longer than \(Self.sizeLimit) bytes")
        }
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: json)
        } catch {
            throw .configuration(source: source, field: "", problem: "is no JSON: \(error)")
        }
        try self.init(value, source: source, defaultName: defaultName)
    }

    /// Reads a value.
    ///
    /// - Throws: `CNIError.configuration`.
    public init(_ value: JSONValue, source: String, defaultName: String? = nil) throws(CNIError) {
        func refuse(_ field: String, _ problem: String) -> CNIError {
            .configuration(source: source, field: field, problem: problem)
        }
        guard var members = value.object else { throw refuse("", "is \(value.kind); an object is accepted") }
        if members["name"] == nil, let defaultName { members["name"] = .string(defaultName) }
        guard let name = members["name"]?.string else { throw refuse("name", "is missing; a network has a name") }
        guard Self.isName(name) else {
            throw refuse(
                "name",
                "\"\(CNIText.printable(name))\" was found; letters, digits, \"_\", \".\" and \"-\" after a letter or "
                    + "digit are accepted")
        }
        version = try Self.version(members, refuse)
        disablesCheck = try Self.truth(members, "disableCheck", refuse)
        let parts: [JSONValue]
        if let list = members["plugins"] {
            guard let array = list.array else { throw refuse("plugins", "is \(list.kind); an array is accepted") }
            parts = array
        } else {
            parts = [.object(members)]
            members = ["name": .string(name), "cniVersion": .string(version.rawValue), "plugins": .array(parts)]
        }
        guard (1...Self.pluginLimit).contains(parts.count) else {
            throw refuse("plugins", "has \(parts.count) elements; 1 to \(Self.pluginLimit) are accepted")
        }
        var plugins: [Plugin] = []
        for (index, part) in parts.enumerated() {
            plugins.append(try Self.plugin(part, value.object?["plugins"] == nil ? "" : "plugins[\(index)].", refuse))
        }
        self.name = name
        self.plugins = plugins
        json = .object(members)
    }

    /// The network with a device that the pod was given by a device plugin, in the words that Multus adds to the first
    /// plugin's configuration: `deviceID` for SR-IOV's, `pciBusID` for host-device.
    ///
    /// - Throws: `CNIError.configuration`.
    public func giving(device: String) throws(CNIError) -> NetworkConfiguration {
        var members = json.object ?? [:]
        var parts = members["plugins"]?.array ?? []
        if var first = parts.first?.object {
            first["deviceID"] = .string(device)
            first["pciBusID"] = .string(device)
            parts[0] = .object(first)
        }
        members["plugins"] = .array(parts)
        return try NetworkConfiguration(.object(members), source: name)
    }

    private static func plugin(
        _ value: JSONValue, _ place: String, _ refuse: (String, String) -> CNIError
    ) throws(CNIError) -> Plugin {
        guard let members = value.object else {
            throw refuse(String(place.dropLast()), "is \(value.kind); an object is accepted")
        }
        guard let type = members["type"]?.string else {
            throw refuse("\(place)type", "is missing; it names the plugin's executable")
        }
        guard isExecutableName(type) else {
            throw refuse(
                "\(place)type",
                "\"\(CNIText.printable(type))\" was found; the name of an executable without slashes is accepted")
        }
        var capabilities: Set<String> = []
        for (name, isOn) in members["capabilities"]?.object ?? [:] where isOn == .bool(true) {
            capabilities.insert(name)
        }
        return Plugin(type: type, capabilities: capabilities, members: members)
    }

    /// `cniVersion`, or the newest of `cniVersions` (1.1.0) that is known here.
    private static func version(
        _ members: [String: JSONValue], _ refuse: (String, String) -> CNIError
    ) throws(CNIError) -> CNIVersion {
        let offered = (members["cniVersions"]?.array ?? []).compactMap(\.string) + [members["cniVersion"]?.string ?? ""]
        if let newest = offered.compactMap(CNIVersion.init).max() { return newest }
        let found = offered.filter { !$0.isEmpty }.map { CNIText.printable($0, limit: 32) }.joined(separator: ", ")
        throw refuse(
            "cniVersion",
            (found.isEmpty ? "is missing" : "\"\(found)\" was found") + "; accepted are \(CNIVersion.words)")
    }

    /// A Boolean, or, as libcni takes it, its word.
    private static func truth(
        _ members: [String: JSONValue], _ key: String, _ refuse: (String, String) -> CNIError
    ) throws(CNIError) -> Bool {
        guard let value = members[key] else { return false }
        if let truth = value.bool { return truth }
        switch value.string?.lowercased() {
        case "true": return true
        case "false": return false
        default: throw refuse(key, "\(CNIText.printable(value.text, limit: 64)) was found; true and false are accepted")
        }
    }

    /// What libcni accepts as names of networks and containers: both become parts of paths.
    static func isName(_ text: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
        }
        guard let first = text.utf8.first, isAlphanumeric(first), text.utf8.count <= 200 else { return false }
        return text.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x5f || $0 == 0x2e || $0 == 0x2d }
    }

    private static func isExecutableName(_ text: String) -> Bool {
        (1...255).contains(text.utf8.count) && text != "." && text != ".."
            && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x2f && $0 != 0x7f }
    }
}

extension NetworkConfiguration {
    /// What the plugin reads from its standard input: its part, with the network's name and version, the result of those
    /// before it, and the runtime's data that it takes.
    func input(for plugin: Plugin, previous: CNIResult?, capabilities: [String: JSONValue]) -> [UInt8] {
        var members = plugin.members
        members["name"] = .string(name)
        members["cniVersion"] = .string(version.rawValue)
        if let previous { members["prevResult"] = previous.json(version) }
        let taken = capabilities.filter { plugin.capabilities.contains($0.key) }
        if !taken.isEmpty { members["runtimeConfig"] = .object(taken) }
        return Array(JSONValue.object(members).text.utf8)
    }
}

import Glibc

/// A result that cannot be believed: the field and what is wrong with it.
public struct ResultError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The field, as a path from the result's root.
    public let field: String
    /// What was found and what is accepted.
    public let problem: String
    /// `ips[0].address: …`.
    public var description: String { field.isEmpty ? problem : "\(field): \(problem)" }
}

extension CNIResult {
    /// Most interfaces, addresses, routes and name servers of a result.
    public static let countLimit = 256
    /// Versions of results that are read; those before 0.3.0 have another form.
    static let versions = ["0.1.0", "0.2.0", "0.3.0"] + CNIVersion.allCases.map(\.rawValue)

    /// Reads a result of any version.
    ///
    /// - Parameter version: what it is in where it does not say, as early plugins do not.
    public init(parsing json: [UInt8], version: String? = nil) throws(ResultError) {
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: json)
        } catch {
            throw ResultError(
                field: "",
                problem: json.isEmpty ? "nothing was printed" : "\(error), in \"\(Self.beginning(json))\"")
        }
        try self.init(value, version: version)
    }

    /// Reads a value.
    public init(_ value: JSONValue, version: String? = nil) throws(ResultError) {
        guard let members = value.object else {
            throw ResultError(field: "", problem: "is \(value.kind); an object is accepted")
        }
        let fields = Fields(members, "")
        guard let version = try fields.text("cniVersion") ?? version, Self.versions.contains(version) else {
            throw ResultError(
                field: "cniVersion",
                problem: "\"\(CNIText.printable(try fields.text("cniVersion") ?? "", limit: 32))\" was found; accepted "
                    + "are \(Self.versions.joined(separator: ", "))")
        }
        self.init()
        dns = try Self.dns(fields)
        if version == "0.1.0" || version == "0.2.0" {
            try readOld(fields)
            return
        }
        for fields in try fields.objects("interfaces") {
            interfaces.append(
                Interface(
                    name: try fields.text("name") ?? "", mac: try fields.text("mac"), mtu: try fields.number("mtu"),
                    sandbox: try fields.text("sandbox"), pciID: try fields.text("pciID"),
                    socketPath: try fields.text("socketPath")))
        }
        for fields in try fields.objects("ips") {
            var address = Address(try fields.prefix("address"), gateway: try fields.address("gateway"))
            if let index = try fields.number("interface") {
                guard index >= 0, index < interfaces.count else {
                    throw fields.failure(
                        "interface", "\(index) was found; the result has \(interfaces.count) interfaces")
                }
                address.interface = Int(index)
            }
            addresses.append(address)
        }
        routes = try Self.routes(fields)
    }

    /// `ip4` and `ip6` of 0.1.0 and 0.2.0.
    private mutating func readOld(_ fields: Fields) throws(ResultError) {
        for key in ["ip4", "ip6"] {
            guard let family = try fields.object(key) else { continue }
            addresses.append(Address(try family.prefix("ip"), gateway: try family.address("gateway")))
            routes += try Self.routes(family)
        }
    }

    private static func routes(_ fields: Fields) throws(ResultError) -> [Route] {
        var routes: [Route] = []
        for fields in try fields.objects("routes") {
            routes.append(
                Route(
                    try fields.prefix("dst"), gateway: try fields.address("gw"), mtu: try fields.number("mtu"),
                    advmss: try fields.number("advmss"), priority: try fields.number("priority"),
                    table: try fields.number("table"), scope: try fields.number("scope")))
        }
        return routes
    }

    private static func dns(_ fields: Fields) throws(ResultError) -> DNS {
        guard let fields = try fields.object("dns") else { return DNS() }
        return DNS(
            nameservers: try fields.texts("nameservers"), domain: try fields.text("domain"),
            search: try fields.texts("search"), options: try fields.texts("options"))
    }

    /// What the text begins with, for people.
    static func beginning(_ bytes: [UInt8]) -> String {
        CNIText.printable(String(decoding: bytes.prefix(512), as: UTF8.self), limit: 120)
    }
}

/// The members of an object, and where it is. Of `null` and of empty texts nothing is said: Go writes both for nothing.
private struct Fields {
    let members: [String: JSONValue]
    let place: String

    init(_ members: [String: JSONValue], _ place: String) {
        self.members = members
        self.place = place
    }

    func failure(_ key: String, _ problem: String) -> ResultError {
        ResultError(field: place + key, problem: problem)
    }

    private func value(_ key: String) -> JSONValue? { members[key] == .null ? nil : members[key] }

    private func mismatch(_ key: String, _ value: JSONValue, _ accepted: String) -> ResultError {
        failure(key, "\(CNIText.printable(value.text, limit: 64)) was found, \(accepted) is accepted")
    }

    func text(_ key: String) throws(ResultError) -> String? {
        guard let value = value(key) else { return nil }
        // The longest that a Unix socket's or a namespace's path may be.
        guard let text = value.string, text.utf8.count <= 4096 else { throw mismatch(key, value, "a string") }
        return text.isEmpty ? nil : text
    }

    func number(_ key: String) throws(ResultError) -> Int64? {
        guard let value = value(key) else { return nil }
        guard let number = value.integer else { throw mismatch(key, value, "a whole number") }
        return number
    }

    func object(_ key: String) throws(ResultError) -> Fields? {
        guard let value = value(key) else { return nil }
        guard let members = value.object else { throw mismatch(key, value, "an object") }
        return Fields(members, "\(place)\(key).")
    }

    private func array(_ key: String) throws(ResultError) -> [JSONValue] {
        guard let value = value(key) else { return [] }
        guard let values = value.array else { throw mismatch(key, value, "an array") }
        guard values.count <= CNIResult.countLimit else {
            throw failure(key, "has \(values.count) elements; up to \(CNIResult.countLimit) are read")
        }
        return values
    }

    func objects(_ key: String) throws(ResultError) -> [Fields] {
        var all: [Fields] = []
        for (index, value) in try array(key).enumerated() {
            guard let members = value.object else { throw mismatch("\(key)[\(index)]", value, "an object") }
            all.append(Fields(members, "\(place)\(key)[\(index)]."))
        }
        return all
    }

    func texts(_ key: String) throws(ResultError) -> [String] {
        var all: [String] = []
        for (index, value) in try array(key).enumerated() {
            guard let text = value.string, text.utf8.count <= 4096 else {
                throw mismatch("\(key)[\(index)]", value, "a string")
            }
            all.append(text)
        }
        return all
    }

    func address(_ key: String) throws(ResultError) -> String? {
        guard let text = try text(key) else { return nil }
        guard Self.bits(of: text) != nil else { throw mismatch(key, .string(text), "an IP address") }
        return text
    }

    func prefix(_ key: String) throws(ResultError) -> String {
        guard let text = try text(key) else { throw failure(key, "is missing") }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let bits = Self.bits(of: String(parts[0])), (1...3).contains(parts[1].utf8.count),
            parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(parts[1]), length <= bits
        else { throw mismatch(key, .string(text), "an IP address with a prefix length") }
        return text
    }

    private static func bits(of address: String) -> Int? {
        var buffer: (UInt64, UInt64) = (0, 0)
        guard !address.utf8.contains(0) else { return nil }
        if inet_pton(AF_INET, address, &buffer) == 1 { return 32 }
        return inet_pton(AF_INET6, address, &buffer) == 1 ? 128 : nil
    }
}

import LinuxSystem

/// libcni's cache of results: what containerd, Multus and others got from the plugins that they called.
public struct ResultCache: Sendable {
    /// Where libcni keeps it unless it is told otherwise.
    public static let defaultPath = "/var/lib/cni/results"

    private let path: String

    /// A directory, which need not be there.
    public init(_ path: String = ResultCache.defaultPath) { self.path = path }

    /// A result and where it is from.
    public struct Entry: Equatable, Sendable {
        /// The network's name.
        public let network: String
        /// What its plugins made.
        public let result: CNIResult
        /// The runtime's data that the plugins were given (`deviceID`, `CNIDeviceInfoFile`, …).
        public let capabilities: [String: JSONValue]
    }

    /// The results for an interface of a container, by network. There may be several: Multus' own beside that of the
    /// network it delegated to.
    ///
    /// - Throws: `CNIError.unreadable` when a file of that container and interface is no cached result.
    public func entries(container: String, interface: String) throws(CNIError) -> [Entry] {
        guard NetworkConfiguration.isName(container), PluginArguments.isLinkName(interface) else { return [] }
        let suffix = "-\(container)-\(interface)"
        var entries: [Entry] = []
        for name in (try? File.list(path)) ?? [] where name.hasSuffix(suffix) {
            let network = String(name.dropLast(suffix.count))
            guard !network.isEmpty else { continue }
            let file = "\(path)/\(name)"
            let bytes: [UInt8]
            do throws(SystemError) {
                // The configuration in base64, the result, the arguments.
                bytes = try File.read(file, limit: 4 << 20)
            } catch {
                // The attachment is being deleted.
                if error.code == 2 { continue }
                throw .unreadable(path: file, problem: error.description)
            }
            entries.append(try Self.entry(bytes, network: network, file: file))
        }
        return entries
    }

    /// The result for an interface of a container; nil when there is none.
    public func result(container: String, interface: String) throws(CNIError) -> CNIResult? {
        let results = try entries(container: container, interface: interface).map(\.result)
        return results.first { !$0.interfaces.isEmpty || !$0.addresses.isEmpty } ?? results.first
    }

    /// Decodes a file: an object of kind `cniCacheV1`, or, as libcni wrote before 0.7, the result alone.
    public static func entry(_ json: [UInt8], network: String, file: String) throws(CNIError) -> Entry {
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: json)
        } catch {
            throw .unreadable(path: file, problem: "is no JSON: \(error)")
        }
        let isNew = value.object?["kind"]?.string == "cniCacheV1"
        do throws(ResultError) {
            return Entry(
                network: network,
                result: try CNIResult(isNew ? value.object?["result"] ?? .null : value, version: "0.1.0"),
                capabilities: isNew ? value.object?["capabilityArgs"]?.object ?? [:] : [:])
        } catch {
            throw .unreadable(path: file, problem: error.description)
        }
    }
}

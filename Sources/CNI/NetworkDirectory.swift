import LinuxSystem

/// The node's directory of network configurations, by default `/etc/cni/net.d`.
public struct NetworkDirectory: Sendable {
    /// Where the container runtime looks for its own.
    public static let defaultPath = "/etc/cni/net.d"

    private let path: String

    /// A directory, which need not be there.
    public init(_ path: String = NetworkDirectory.defaultPath) { self.path = path }

    /// The configuration that says it is `name`, else the one in the file `name`, with or without its suffix. Lists come
    /// before single plugins, and files in the order of their names, as in libcni.
    ///
    /// - Throws: `CNIError.noNetwork` with the names that there are; `.configuration` when the file of that name cannot
    ///   be used.
    public func find(_ name: String) throws(CNIError) -> NetworkConfiguration {
        let names = (try? File.list(path)) ?? []
        let files =
            names.filter { $0.hasSuffix(".conflist") } + names.filter { $0.hasSuffix(".conf") }
            + names.filter { $0.hasSuffix(".json") }
        var others: [String] = []
        var byFile: NetworkConfiguration?
        var refusal: CNIError?
        for file in files {
            let stem = file.split(separator: ".").dropLast().joined(separator: ".")
            do throws(CNIError) {
                let configuration = try Self.read("\(path)/\(file)")
                if configuration.name == name { return configuration }
                if byFile == nil, file == name || stem == name { byFile = configuration }
                others.append(configuration.name)
            } catch {
                if file == name || stem == name { refusal = error }
                others.append("\(CNIText.printable(file)), which cannot be read")
            }
        }
        if let byFile { return byFile }
        if let refusal { throw refusal }
        throw .noNetwork(name: name, directory: path, others: others)
    }

    /// Reads a `.conflist` or `.conf` file.
    public static func read(_ file: String) throws(CNIError) -> NetworkConfiguration {
        let json: [UInt8]
        do throws(SystemError) {
            json = try File.read(file, limit: NetworkConfiguration.sizeLimit)
        } catch {
            throw .system(error)
        }
        return try NetworkConfiguration(parsing: json, source: file)
    }
}

import FoundationEssentials
import LinuxSystem

/// The node's settings, from `/etc/slipway/config.json` (JSON with comments: JSON5). Every key has a default, so that
/// the file may be absent; a key that is not known is refused by name.
public struct Configuration: Equatable, Sendable {
    /// Where the file is unless the runtime handler's `ConfigPath` names another.
    public static let defaultPath = "/etc/slipway/config.json"

    /// How guests are executed.
    public enum Accelerator: String, Codable, Sendable, CaseIterable {
        /// KVM where it is proven to work on this node, else TCG.
        case auto
        /// KVM or nothing.
        case kvm
        /// QEMU's own translator, which runs everywhere.
        case tcg
    }

    /// What a handler with this file promises of its machines.
    public enum Profile: String, Codable, Sendable, CaseIterable {
        /// Whatever the pod's resource lines give.
        case standard
        /// CPUs of the pod's own and huge pages, or the pod is refused.
        case highPerformance = "high-performance"
    }

    /// `profile`.
    public var profile = Profile.standard
    /// `accelerator`.
    public var accelerator = Accelerator.auto
    /// `users.first` and `users.count`: QEMU's user and group ids, one a pod. They should be nobody else's on the node.
    public var users: ClosedRange<UInt32> = 250_000...259_999
    /// `defaults.vcpus`: for pods without a CPU limit.
    public var defaultVCPUs = 1
    /// `defaults.memory`: bytes of guest RAM for pods without a memory limit.
    public var defaultMemory: UInt64 = 512 << 20
    /// `overhead`: bytes that QEMU itself may take beyond the guest's RAM before the kernel ends it. The RuntimeClass's
    /// `overhead.podFixed` tells Kubernetes of it.
    public var overhead: UInt64 = 320 << 20
    /// `annotations`: namespace or `*` → the `slipway.dev/` names that its pods may use, or `*`.
    public var annotations: [String: [String]] = ["*": ["*"]]
    /// `cache`: where the node's probed capabilities are kept.
    public var cache = "/var/cache/slipway"

    /// The defaults.
    public init() {}

    /// Reads a file; nil path: the default one, which may be absent.
    ///
    /// - Throws: ``ConfigurationError``.
    public static func load(_ path: String?) throws(ConfigurationError) -> Configuration {
        let file = path ?? defaultPath
        if path == nil && !File.exists(file) { return Configuration() }
        return try Configuration(json: try text(of: file), file: file)
    }

    private static func text(of file: String) throws(ConfigurationError) -> [UInt8] {
        do {
            return try File.read(file)
        } catch {
            throw ConfigurationError(file: file, key: "", problem: "\(error)")
        }
    }

    /// Decodes the text of a file, over that of its `base` where it names one.
    public init(json: [UInt8], file: String = Self.defaultPath) throws(ConfigurationError) {
        try self.init(json: json, file: file, over: nil)
    }

    private init(json: [UInt8], file: String, over base: Configuration?) throws(ConfigurationError) {
        let decoder = JSONDecoder()
        decoder.allowsJSON5 = true
        do {
            let document = try decoder.decode(Document.self, from: Data(json), configuration: base ?? Configuration())
            guard let path = document.base else {
                self = document.configuration
                return
            }
            guard base == nil else {
                throw ConfigurationError(key: "base", problem: "is \"\(path)\"; a base has none of its own")
            }
            let below = try Configuration(json: Self.text(of: path), file: path, over: Configuration())
            self = try decoder.decode(Document.self, from: Data(json), configuration: below).configuration
        } catch let error as ConfigurationError {
            throw ConfigurationError(
                file: error.file.isEmpty ? file : error.file, key: error.key, problem: error.problem)
        } catch let DecodingError.typeMismatch(_, context) {
            throw ConfigurationError(file: file, context)
        } catch let DecodingError.valueNotFound(_, context) {
            throw ConfigurationError(file: file, context)
        } catch let DecodingError.keyNotFound(key, context) {
            let path = (context.codingPath + [key]).map(\.stringValue).joined(separator: ".")
            throw ConfigurationError(file: file, key: path, problem: "is missing")
        } catch let DecodingError.dataCorrupted(context) where context.codingPath.isEmpty {
            // The decoder tells neither where a number is that does not fit, nor that it is one.
            throw ConfigurationError(
                file: file, key: "", problem: "is no valid JSON, or has a number that does not fit its key")
        } catch let DecodingError.dataCorrupted(context) {
            throw ConfigurationError(file: file, context)
        } catch {
            throw ConfigurationError(file: file, key: "", problem: "\(error)")
        }
    }

    /// Whether pods of a namespace may use an annotation, by its name without the prefix.
    public func allows(annotation name: String, in namespace: String) -> Bool {
        let names = annotations[namespace] ?? annotations["*"] ?? []
        return names.contains("*") || names.contains(name)
    }
}

/// A configuration that cannot be used.
public struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file.
    public let file: String
    /// The key, as a path from the root.
    public let key: String
    /// What is wrong and what is accepted.
    public let problem: String

    init(file: String = "", key: String, problem: String) {
        self.file = file
        self.key = key
        self.problem = problem
    }

    init(file: String, _ context: DecodingError.Context) {
        self.init(
            file: file, key: context.codingPath.map(\.stringValue).joined(separator: "."),
            problem: context.debugDescription)
    }

    /// `FILE: KEY: PROBLEM`.
    public var description: String { [file, key, problem].filter { !$0.isEmpty }.joined(separator: ": ") }
}

/// The file's shape. Decoding by hand, because unknown keys have to be refused.
private struct Document: DecodableWithConfiguration {
    var configuration: Configuration
    /// The file whose settings hold where this one says nothing.
    var base: String?

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder, configuration below: Configuration) throws {
        configuration = below
        let root = try Self.container(
            decoder, ["accelerator", "base", "users", "defaults", "annotations", "cache", "overhead", "profile"])
        base = try root.decodeIfPresent(String.self, forKey: Key("base"))
        if let word = try root.decodeIfPresent(String.self, forKey: Key("profile")) {
            guard let profile = Configuration.Profile(rawValue: word) else {
                let words = Configuration.Profile.allCases.map(\.rawValue).joined(separator: ", ")
                throw ConfigurationError(key: "profile", problem: "is \"\(word)\"; one of \(words) is accepted")
            }
            configuration.profile = profile
        }
        if let word = try root.decodeIfPresent(String.self, forKey: Key("accelerator")) {
            guard let accelerator = Configuration.Accelerator(rawValue: word) else {
                let words = Configuration.Accelerator.allCases.map(\.rawValue).joined(separator: ", ")
                throw ConfigurationError(key: "accelerator", problem: "is \"\(word)\"; one of \(words) is accepted")
            }
            configuration.accelerator = accelerator
        }
        if root.contains(Key("users")) {
            let users = try Self.container(try root.superDecoder(forKey: Key("users")), ["first", "count"])
            let first = try users.decode(UInt32.self, forKey: Key("first"))
            let count = try users.decode(UInt32.self, forKey: Key("count"))
            guard first > 0, count > 0, first.addingReportingOverflow(count).overflow == false else {
                throw ConfigurationError(
                    key: "users", problem: "first \(first), count \(count): both have to be above 0 and fit 32 bits")
            }
            configuration.users = first...(first + count - 1)
        }
        if root.contains(Key("defaults")) {
            let defaults = try Self.container(try root.superDecoder(forKey: Key("defaults")), ["vcpus", "memory"])
            configuration.defaultVCPUs =
                try defaults.decodeIfPresent(Int.self, forKey: Key("vcpus")) ?? configuration.defaultVCPUs
            configuration.defaultMemory =
                try defaults.decodeIfPresent(UInt64.self, forKey: Key("memory")) ?? configuration.defaultMemory
            guard (1...255).contains(configuration.defaultVCPUs) else {
                throw ConfigurationError(
                    key: "defaults.vcpus", problem: "is \(configuration.defaultVCPUs); 1 to 255 is accepted")
            }
            guard configuration.defaultMemory >= 64 << 20 else {
                throw ConfigurationError(
                    key: "defaults.memory",
                    problem: "is \(configuration.defaultMemory); \(64 << 20) (64 MiB) and more is accepted")
            }
        }
        configuration.annotations =
            try root.decodeIfPresent([String: [String]].self, forKey: Key("annotations")) ?? configuration.annotations
        configuration.overhead =
            try root.decodeIfPresent(UInt64.self, forKey: Key("overhead")) ?? configuration.overhead
        configuration.cache = try root.decodeIfPresent(String.self, forKey: Key("cache")) ?? configuration.cache
    }

    private static func container(
        _ decoder: any Decoder, _ known: Set<String>
    ) throws -> KeyedDecodingContainer<Key> {
        let container = try decoder.container(keyedBy: Key.self)
        if let unknown = container.allKeys.map(\.stringValue).sorted().first(where: { !known.contains($0) }) {
            let path = (decoder.codingPath.map(\.stringValue) + [unknown]).joined(separator: ".")
            throw ConfigurationError(
                key: path, problem: "is not known; known here: \(known.sorted().joined(separator: ", "))")
        }
        return container
    }
}

/// The shim's command line as containerd writes it: Go's flag syntax (one dash or two, the value in the next word or
/// behind `=`; the first word that is no flag is the action).
public struct ShimArguments: Equatable, Sendable {
    /// What containerd wants done.
    public enum Action: Equatable, Sendable {
        /// Start a sandbox, or name the one that a container belongs to.
        case start
        /// Remove what is left of a container.
        case delete
        /// Tell about the runtime.
        case info
        /// Tell the version.
        case version
    }

    /// A command line that cannot be used.
    public struct Unusable: Error, Equatable, CustomStringConvertible {
        /// The sentence.
        public let description: String
    }

    /// What to do.
    public var action: Action
    /// `-namespace`.
    public var namespace = ""
    /// `-id`.
    public var id = ""
    /// `-address`: containerd's gRPC socket.
    public var address = ""
    /// `-publish-binary`: containerd's own binary.
    public var publishBinary = ""
    /// `-bundle`; only `delete` has it.
    public var bundle = ""
    /// `-debug`.
    public var debug = false

    /// Parses the words after the program's name.
    public init(_ words: [String]) throws(Unusable) {
        var rest = words[...]
        var action: Action?
        func value(_ name: String, _ given: String?) throws(Unusable) -> String {
            if let given { return given }
            guard let next = rest.popFirst() else { throw Unusable(description: "flag needs an argument: -\(name)") }
            return next
        }
        while let word = rest.popFirst() {
            if word == "--" || word == "-" || !word.hasPrefix("-") {
                // "--" ends the flags; what follows it is the action.
                switch word == "--" ? rest.popFirst() : word {
                case "start": action = .start
                case "delete": action = .delete
                case nil: break
                case let other?: throw Unusable(description: "\"\(other)\" is no action; start and delete are")
                }
                break
            }
            let flag = word.dropFirst(word.hasPrefix("--") ? 2 : 1)
            guard let first = flag.first, first != "-", first != "=" else {
                throw Unusable(description: "bad flag syntax: \(word)")
            }
            let parts = flag.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let name = parts.first ?? ""
            let given = parts.count > 1 ? parts[1] : nil
            switch name {
            case "namespace": namespace = try value(name, given)
            case "id": id = try value(name, given)
            case "address": address = try value(name, given)
            case "publish-binary": publishBinary = try value(name, given)
            case "bundle": bundle = try value(name, given)
            case "socket": _ = try value(name, given)
            case "debug": debug = try Self.bool(name, given)
            case "info": action = .info
            case "v", "version": action = .version
            default: throw Unusable(description: "flag provided but not defined: -\(name)")
            }
        }
        guard let action else { throw Unusable(description: "no action; start, delete, -info and -v are accepted") }
        self.action = action
        if action == .start || action == .delete {
            guard !id.isEmpty, !namespace.isEmpty else {
                throw Unusable(description: "-namespace and -id have to be given")
            }
        }
    }

    /// What Go's `strconv.ParseBool` takes; the flag alone is true.
    private static func bool(_ name: String, _ text: String?) throws(Unusable) -> Bool {
        switch text {
        case nil, "1", "t", "T", "TRUE", "true", "True": return true
        case "0", "f", "F", "FALSE", "false", "False": return false
        case let other?: throw Unusable(description: "invalid boolean value \"\(other)\" for -\(name)")
        }
    }
}

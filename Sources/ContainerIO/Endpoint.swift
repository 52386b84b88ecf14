/// Where a stream of a container goes, as containerd writes it into the stdio fields of Create and Exec
/// (runtime v2 README, "IO").
public enum Endpoint: Equatable, Sendable {
    /// Nowhere.
    case none
    /// A FIFO, or a plain file where the path is not a FIFO.
    case fifo(String)
    /// A file that is appended to.
    case file(String)
    /// A logging program: its path and its arguments.
    case binary(String, [String])

    /// A URI that names no endpoint we know.
    public struct Unknown: Error, Equatable, CustomStringConvertible {
        /// The text.
        public let uri: String
        /// The sentence.
        public var description: String {
            "stdio: \"\(uri)\" is not accepted; an absolute path, file://, binary:// or nothing is"
        }
    }

    /// Parses a path or URI.
    public init(_ uri: String) throws(Unknown) {
        if uri.isEmpty {
            self = .none
        } else if uri.hasPrefix("/") {
            self = .fifo(uri)
        } else if uri.hasPrefix("fifo:///") {
            self = .fifo(String(uri.dropFirst("fifo://".count)))
        } else if uri.hasPrefix("file:///") {
            self = .file(String(uri.dropFirst("file://".count)))
        } else if uri.hasPrefix("binary:///") {
            let rest = uri.dropFirst("binary://".count)
            let parts = rest.split(separator: "?", maxSplits: 1)
            guard let path = parts.first, !path.isEmpty else { throw Unknown(uri: uri) }
            // Every key and its value is an argument of its own; an empty value is left out.
            let query = parts.count > 1 ? parts[1].split(separator: "&") : []
            let arguments = query.flatMap { pair in
                pair.split(separator: "=", maxSplits: 1).map { Self.percentDecoded(String($0)) }
            }
            self = .binary(Self.percentDecoded(String(path)), arguments.filter { !$0.isEmpty })
        } else {
            throw Unknown(uri: uri)
        }
    }

    private static func percentDecoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The streams of one process of a container.
public struct Stdio: Equatable, Sendable {
    /// As given, for State to echo.
    public var stdin = ""
    /// As given.
    public var stdout = ""
    /// As given; unused with a terminal.
    public var stderr = ""
    /// Whether a terminal was asked for.
    public var terminal = false

    /// Paths as containerd gave them.
    public init(stdin: String = "", stdout: String = "", stderr: String = "", terminal: Bool = false) {
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.terminal = terminal
    }
}

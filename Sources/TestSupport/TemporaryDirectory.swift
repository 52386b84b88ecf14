internal import Glibc
public import LinuxSystem

/// A directory of a test's own below `/tmp`, removed with it.
public final class TemporaryDirectory: Sendable {
    /// The directory.
    public let path: String

    /// Makes an empty directory.
    public init() throws(SystemError) {
        var template = Array("/tmp/slipway-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError.last("mkdtemp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? File.removeTree(path) }

    /// The path of a name in it.
    public func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    /// Writes a file in it, with missing directories.
    @discardableResult
    public func write(_ name: String, _ text: String, mode: UInt32 = 0o600) throws(SystemError) -> String {
        let file = self(name)
        if let slash = file.lastIndex(of: "/") { try File.makeDirectory(String(file[..<slash])) }
        try FileDescriptor.open(file, O_WRONLY | O_CREAT | O_TRUNC, mode: mode).write(Array(text.utf8))
        return file
    }

    /// Makes a FIFO in it.
    public func fifo(_ name: String) throws(SystemError) -> String {
        guard mkfifo(self(name), 0o600) == 0 else { throw .last("mkfifo", self(name)) }
        return self(name)
    }
}

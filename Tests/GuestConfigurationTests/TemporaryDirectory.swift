import Glibc
import LinuxSystem

/// A directory of a test's own, removed with it.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/slipway-seed-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError.last("mkdtemp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? File.removeTree(path) }

    func write(_ name: String, _ bytes: some Collection<UInt8>) throws {
        if let slash = name.lastIndex(of: "/") { try File.makeDirectory("\(path)/\(name[..<slash])") }
        try FileDescriptor.open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600).write(bytes)
    }

    func link(_ name: String, to target: String) throws {
        guard symlink(target, "\(path)/\(name)") == 0 else { throw SystemError.last("symlink", name) }
    }

    func open() throws -> FileDescriptor {
        try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY)
    }
}

/// The output of a program that has to succeed.
@discardableResult
func run(_ program: String, _ arguments: String...) throws -> String {
    let (status, output) = try Spawn(program, arguments).run(milliseconds: 60_000, limit: 1 << 22)
    guard status == .exited(0) else { throw SystemError("\(program) \(arguments): \(status) \(output)", code: EIO) }
    return output
}

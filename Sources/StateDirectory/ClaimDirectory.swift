import Glibc
import LinuxSystem

/// A directory below the root of all sandboxes whose files say what belongs to one sandbox alone. Files are replaced as
/// a whole, and written under one lock.
struct ClaimDirectory {
    /// Larger files were not written by us.
    static let limit = 1 << 16

    let path: String

    init(_ name: String, root: String) { path = "\(root)/\(name)" }

    /// Runs a function under the lock; makes the directory where it is missing.
    func locked<Value>(milliseconds: Int32, _ body: () throws -> Value) throws -> Value {
        try File.makeDirectory(path)
        return try ExclusiveLock.hold("\(path)/.lock", milliseconds: milliseconds, body)
    }

    /// The claims' names, sorted; none where there is no directory.
    func names() throws(SystemError) -> [String] {
        do throws(SystemError) {
            return try File.list(path).filter { !$0.hasPrefix(".") && !$0.hasSuffix(".new") }
        } catch {
            guard error.code == ENOENT else { throw error }
            return []
        }
    }

    /// Removes what a process that was killed while it wrote has left. Only under the lock: who writes has it.
    func removeLeftovers() throws(SystemError) {
        for name in try File.list(path) where name.hasSuffix(".new") { remove(name) }
    }

    /// A claim's content; nil when it is not there. Never blocks, whatever kind of file it is.
    func read(_ name: String) throws(SystemError) -> [UInt8]? {
        do throws(SystemError) {
            let file = try FileDescriptor.open("\(path)/\(name)", O_RDONLY | O_NONBLOCK | O_NOFOLLOW)
            return try file.readToEnd(limit: Self.limit)
        } catch {
            guard error.code == ENOENT else { throw SystemError("read", "\(path)/\(name)", code: error.code) }
            return nil
        }
    }

    /// Replaces a claim.
    func write(_ name: String, _ bytes: [UInt8]) throws(SystemError) {
        try File.replace("\(path)/\(name)", with: bytes)
    }

    /// Removes a claim, or what somebody put in its place.
    func remove(_ name: String) { try? File.removeTree("\(path)/\(name)") }
}

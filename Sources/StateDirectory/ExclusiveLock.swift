import Glibc
import LinuxSystem

/// A lock that sandbox processes take in turn: flock(2) on a file, free again when its holder ends in whatever way.
public enum ExclusiveLock {
    /// Somebody has kept the lock for too long: a process that is stopped, or a disk or kernel that does not answer.
    public struct Busy: Error, Equatable, CustomStringConvertible {
        /// The lock's file.
        public let path: String
        /// How long it was waited for.
        public let milliseconds: Int32
        /// The sentence for people.
        public var description: String {
            "\(path): another process has held the lock for \(milliseconds) ms; "
                + "`fuser -v \(path)` shows which, and ending it would help"
        }
    }

    /// Runs a function while no other process, and no other thread of this one, holds the lock. Blocks.
    ///
    /// - Parameters:
    ///   - path: the lock's file, which is made where it is missing and never removed.
    ///   - milliseconds: how long to wait for the lock at most.
    /// - Throws: ``Busy``, `SystemError` when the file cannot be opened, or what the function throws.
    public static func hold<Value>(
        _ path: String, milliseconds: Int32, _ body: () throws -> Value
    ) throws -> Value {
        let file = try FileDescriptor.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
        let deadline = Clock.milliseconds + Int64(milliseconds)
        // flock(2) knows no time limit; a blocking one in a stopped neighbour's shadow would never end.
        while flock(file.raw, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else { throw SystemError.last("flock", path) }
            guard Clock.milliseconds < deadline else { throw Busy(path: path, milliseconds: milliseconds) }
            _ = poll(nil, 0, Int32.random(in: 1...3))
        }
        // Explicitly: a child that another thread has just forked has a copy of the descriptor until it calls exec.
        defer { _ = flock(file.raw, LOCK_UN) }
        return try body()
    }
}

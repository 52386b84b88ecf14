import CLinux
import Glibc

/// A network namespace by a descriptor that keeps it alive.
public struct NetworkNamespace: Sendable {
    /// The open namespace file.
    public let descriptor: FileDescriptor

    /// Opens a namespace file, for example `/var/run/netns/cni-…` or `/proc/PID/ns/net`.
    public init(path: String) throws(SystemError) {
        descriptor = try FileDescriptor.open(path, O_RDONLY)
    }

    /// Whether the path leads to a namespace. A file that a namespace was mounted on stays when it is unmounted.
    public static func isThere(_ path: String) -> Bool {
        (try? File.fileSystem(path))?.type == 0x6e73_6673  // NSFS_MAGIC, linux/magic.h
    }

    /// Runs a blocking function on a fresh thread inside the namespace. The thread ends with it, so that no pool thread
    /// is ever left in a foreign namespace; sockets that the function opens stay in the namespace and may be used from
    /// anywhere afterwards.
    public func run<Success: Sendable>(_ body: @escaping @Sendable () throws -> Success) async throws -> Success {
        let descriptor = descriptor
        return try await Thread.run("netns") {
            try check(slipway_setns(descriptor.raw, CLONE_NEWNET), "setns")
            return try body()
        }
    }

    /// ``run(_:)`` for callers that may block.
    public func runAndWait<Success: Sendable>(_ body: @escaping @Sendable () throws -> Success) throws -> Success {
        let descriptor = descriptor
        return try Thread.runAndWait("netns") {
            try check(slipway_setns(descriptor.raw, CLONE_NEWNET), "setns")
            return try body()
        }
    }

}

// sched.h has it behind _GNU_SOURCE.
private let CLONE_NEWNET: Int32 = 0x4000_0000

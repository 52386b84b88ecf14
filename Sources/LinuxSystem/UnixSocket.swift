import CLinux
import Glibc

/// Unix stream sockets by path.
public enum UnixSocket {
    /// Longest path that fits `sockaddr_un` with its terminating zero (unix(7)).
    public static let maximumPathLength = 107

    /// Binds and listens; the socket file gets `mode`.
    ///
    /// - Throws: `SystemError` with EADDRINUSE when the path exists, ENAMETOOLONG when it does not fit.
    public static func listen(
        _ path: String, mode: UInt32 = 0o600, backlog: Int32 = 128
    ) throws(SystemError) -> FileDescriptor {
        let socket = try make()
        try withAddress(path) { address, length throws(SystemError) in
            guard bind(socket.raw, address, length) == 0 else { throw .last("bind", path) }
        }
        // Nobody can connect before listen(2). The umask would be every thread's.
        guard chmod(path, mode) == 0 else { throw .last("chmod", path) }
        guard Glibc.listen(socket.raw, backlog) == 0 else { throw .last("listen", path) }
        return socket
    }

    /// Connects to a listening socket.
    ///
    /// - Parameter milliseconds: how long to wait where more connections wait to be accepted than the listener wants, and
    ///   with what is written later where the other end does not read; nil: for ever.
    /// - Throws: `SystemError` with ETIMEDOUT when the time is up.
    public static func connect(_ path: String, milliseconds: Int32? = nil) throws(SystemError) -> FileDescriptor {
        let socket = try make()
        if let milliseconds {
            var time = timeval(tv_sec: Int(milliseconds / 1000), tv_usec: Int(milliseconds % 1000) * 1000)
            let size = socklen_t(MemoryLayout<timeval>.size)
            guard setsockopt(socket.raw, SOL_SOCKET, SO_SNDTIMEO, &time, size) == 0 else { throw .last("SO_SNDTIMEO") }
        }
        try withAddress(path) { address, length throws(SystemError) in
            while Glibc.connect(socket.raw, address, length) != 0 {
                if errno == EAGAIN { throw SystemError("connect", path, code: ETIMEDOUT) }
                if errno != EINTR { throw .last("connect", path) }
            }
        }
        return socket
    }

    /// Accepts one connection, blocking.
    public static func accept(_ listener: FileDescriptor) throws(SystemError) -> FileDescriptor {
        while true {
            let raw = slipway_accept(listener.raw)
            if raw >= 0 { return FileDescriptor(owning: raw) }
            if raw != -EINTR && raw != -ECONNABORTED { throw SystemError("accept", code: raw) }
        }
    }

    /// A connected pair.
    public static func pair() throws(SystemError) -> (FileDescriptor, FileDescriptor) {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw .last("socketpair")
        }
        return (FileDescriptor(owning: ends[0]), FileDescriptor(owning: ends[1]))
    }

    /// The user at the other end (SO_PEERCRED, unix(7)).
    public static func peerUser(_ socket: FileDescriptor) throws(SystemError) -> UInt32 {
        var pid: Int32 = 0
        var uid: UInt32 = 0
        var gid: UInt32 = 0
        try check(slipway_peer_credentials(socket.raw, &pid, &uid, &gid), "SO_PEERCRED")
        return uid
    }

    /// The path that a connected socket was bound to, or else its peer; nil for a socket of another kind or without a peer,
    /// and where neither has a path (getsockname(2), getpeername(2)).
    public static func path(connected socket: FileDescriptor) -> String? {
        guard let peer = path(of: socket, getpeername), let own = path(of: socket, getsockname) else { return nil }
        return [own, peer].first { !$0.isEmpty }
    }

    private static func path(
        of socket: FileDescriptor,
        _ name: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> String? {
        var address = sockaddr_un()
        var length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name(socket.raw, $0, &length) }
        }
        guard result == 0, address.sun_family == sa_family_t(AF_UNIX) else { return nil }
        let count = max(Int(length) - MemoryLayout<sa_family_t>.size, 0)
        return withUnsafeBytes(of: &address.sun_path) { bytes in
            String(decoding: bytes.prefix(count).prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    private static func make() throws(SystemError) -> FileDescriptor {
        let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw .last("socket") }
        return FileDescriptor(owning: raw)
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) throws(SystemError) -> Void
    ) throws(SystemError) {
        let bytes = Array(path.utf8)
        guard bytes.count <= maximumPathLength else { throw SystemError("socket path", path, code: ENAMETOOLONG) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let result: Result<Void, SystemError> = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                do throws(SystemError) {
                    return .success(try body(generic, socklen_t(MemoryLayout<sockaddr_un>.size)))
                } catch {
                    return .failure(error)
                }
            }
        }
        try result.get()
    }
}

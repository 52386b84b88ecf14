import CLinux
import Glibc
public import LinuxSystem

/// The socket between QEMU and a switch in user space.
///
/// QEMU's user is nobody's friend: it may neither connect to a socket that the switch has made nor make one in a directory
/// of the node. It is let in by an access control list's entry of its own, and nobody else is. The entry of a socket is
/// taken back at the end, that of a directory as soon as QEMU has made its socket.
///
/// QEMU does nothing else while it waits for the other end, as long as that takes: a start does not end, and a running
/// guest stands still. So the other end is tried first.
///
/// All calls block. Access is changed under ``GrantedSockets``' lock.
public struct SwitchSocket: Codable, Equatable, Sendable {
    /// Its path. `/var/run` is `/run`; no other symbolic link is followed, as one who may write in the directory could
    /// lead to another socket of the node.
    public let path: String
    /// QEMU makes it and the switch connects; otherwise the switch has made it.
    public let listens: Bool

    /// A socket that need not be there yet.
    public init(_ path: String, listens: Bool) {
        self.path = path.hasPrefix("/var/run/") ? String(path.dropFirst("/var".count)) : path
        self.listens = listens
    }

    // MARK: Access

    /// Lets a user in: to the socket, or to the directory in which it is to make one. Any number of times; a switch that
    /// starts again makes another socket, to which nobody was let in yet.
    ///
    /// - Returns: whether the user had not been let in yet.
    /// - Throws: `SystemError` with ENOENT when it is not there, ELOOP when a symbolic link is in the way, ENOTSUP when the
    ///   file system has no access control lists.
    @discardableResult
    func grant(to user: UInt32) throws(SystemError) -> Bool {
        let rights = AccessList.read | AccessList.write | (listens ? AccessList.execute : 0)
        return try change { $0.granting(rights, to: user) }
    }

    /// Takes it back; what is gone is fine.
    func revoke(from user: UInt32) throws(SystemError) {
        do throws(SystemError) {
            _ = try change { $0.revoking(user) }
            if listens { try removeOwn(of: user) }
        } catch {
            guard [ENOENT, ENOTDIR].contains(error.code) else { throw error }
        }
    }

    /// Once a user has made its socket it needs the directory no more, in which there may be sockets of others. Nothing for
    /// a socket of the switch's.
    func closeDirectory(to user: UInt32) throws(SystemError) {
        if listens { _ = try change { $0.revoking(user) } }
    }

    /// What the access control list belongs to: the socket, or the directory in which it is made.
    private var place: String { listens ? directory : path }

    private var directory: String { path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "." }

    private func open(_ path: String) throws(SystemError) -> FileDescriptor {
        FileDescriptor(owning: try check(slipway_open_plain_path(path), "open", path))
    }

    private func information(_ descriptor: FileDescriptor, _ path: String) throws(SystemError) -> stat {
        var information = stat()
        guard fstat(descriptor.raw, &information) == 0 else { throw .last("fstat", path) }
        return information
    }

    /// Returns whether anything changed.
    private func change(_ body: (AccessList) -> AccessList) throws(SystemError) -> Bool {
        let place = place
        let descriptor = try open(place)
        defer { descriptor.close() }
        let mode = try information(descriptor, place).st_mode
        guard mode & S_IFMT == (listens ? S_IFDIR : S_IFSOCK) else {
            throw SystemError("grant access to", place, code: listens ? ENOTDIR : ENOTSOCK)
        }
        let old = try list(descriptor) ?? AccessList(mode: UInt32(mode))
        let new = body(old)
        guard new != old else { return false }
        guard new.isMode else {
            let bytes = new.attribute
            try check(
                slipway_attribute_set(descriptor.raw, Self.attribute, bytes, bytes.count), "set access list", place)
            return true
        }
        try check(slipway_attribute_remove(descriptor.raw, Self.attribute), "remove access list", place)
        // The mask was shown in the group's place.
        guard chmod("/proc/self/fd/\(descriptor.raw)", mode & ~0o777 | mode_t(new.mode)) == 0 else {
            throw .last("chmod", place)
        }
        return true
    }

    private static let attribute = "system.posix_acl_access"

    private func list(_ descriptor: FileDescriptor) throws(SystemError) -> AccessList? {
        // Larger than any list that ext4, xfs and tmpfs keep.
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = slipway_attribute_get(descriptor.raw, Self.attribute, &bytes, bytes.count)
        if count == -ENODATA { return nil }
        try check(count, "read access list", place)
        guard let list = AccessList(attribute: Array(bytes.prefix(Int(count)))) else {
            throw SystemError("read access list", place, code: EINVAL)
        }
        return list
    }

    /// QEMU removes its socket when it ends, unless it is killed.
    private func removeOwn(of user: UInt32) throws(SystemError) {
        let directory = try open(directory)
        let name = String(path.split(separator: "/").last ?? "")
        let socket = FileDescriptor(
            owning: try check(slipway_open_plain_path_in(directory.raw, name), "open", path))
        let information = try information(socket, path)
        // By the directory that was opened: the way to it may lead elsewhere by now.
        if information.st_mode & S_IFMT == S_IFSOCK && information.st_uid == user { unlinkat(directory.raw, name, 0) }
    }

    // MARK: The other end

    /// Tries whether the switch is there and awake: connects to it, or waits for it to connect, and asks it a question.
    /// All with the rights of QEMU's user, whose the socket is that is made for it. When it is done neither the socket nor
    /// the connection is there any more.
    ///
    /// - Parameters:
    ///   - user: QEMU's.
    ///   - group: QEMU's.
    ///   - milliseconds: how long it may take at most. Open vSwitch tries to connect once a second.
    /// - Throws: `SystemError` with ECONNREFUSED, ENOENT or EACCES when the switch cannot be reached, ETIMEDOUT when it does
    ///   not come or takes no connection, ETIME when it does not answer, ECONNRESET when it hangs up, EPROTO when it speaks
    ///   something else than vhost-user.
    public func probe(as user: UInt32, group: UInt32, milliseconds: Int32 = 3000) throws(SystemError) {
        let deadline = Clock.milliseconds + Int64(milliseconds)
        let connection = try connect(as: user, group, milliseconds: milliseconds)
        _ = try FeatureQuestion.ask(over: connection, path, until: deadline)
        // A switch may have one connection a port: QEMU's comes when this one is done with at the other end too.
        shutdown(connection.raw, Int32(SHUT_WR))
        _ = try connection.wait(for: Int16(POLLIN), milliseconds: Int32(max(deadline - Clock.milliseconds, 0)))
    }

    private func connect(as user: UInt32, _ group: UInt32, milliseconds: Int32) throws(SystemError) -> FileDescriptor {
        guard listens else {
            return try FileRights.of(user: user, group: group) { () throws(SystemError) in
                try UnixSocket.connect(path, milliseconds: milliseconds)
            }
        }
        // As libvirt has QEMU make it, with a umask of 002.
        let listener = try FileRights.of(user: user, group: group) { () throws(SystemError) in
            try UnixSocket.listen(path, mode: 0o775)
        }
        // A switch that loses its connection tries again at once, and shall find nobody until QEMU is there.
        defer {
            listener.close()
            try? FileRights.of(user: user, group: group) { () throws(SystemError) in try File.remove(path) }
        }
        guard try listener.wait(for: Int16(POLLIN), milliseconds: milliseconds) else {
            throw SystemError("wait for the switch at", path, code: ETIMEDOUT)
        }
        return try UnixSocket.accept(listener)
    }
}

import FoundationEssentials
import LinuxSystem
public import StateDirectory

/// The sockets to which a machine's QEMU was let in, in a file of the sandbox: written before anybody is let in, so that
/// whoever knows the file can take it back. Not for several threads at a time.
///
/// Pods that have their sockets in one directory change one list: all sandboxes do so in turn.
public struct GrantedSockets: Sendable {
    private let file: String
    private let lock: String

    /// Of a sandbox.
    public init(_ directory: StateDirectory) {
        file = directory.sockets
        lock = directory.accessLock
    }

    private struct Grant: Codable, Equatable {
        let socket: SwitchSocket
        let user: UInt32
    }

    private var grants: [Grant] {
        get throws {
            guard File.exists(file) else { return [] }
            return try JSONDecoder().decode([Grant].self, from: Data(try File.read(file)))
        }
    }

    /// Whether nobody is let in anywhere, as far as it is written down.
    public var isEmpty: Bool { !File.exists(file) }

    /// Lets a user in.
    ///
    /// - Returns: whether the user had not been let in yet.
    /// - Throws: `SystemError` as ``SwitchSocket/grant(to:)``, and for the file; `ExclusiveLock.Busy`, `DecodingError`.
    @discardableResult
    public func grant(_ socket: SwitchSocket, to user: UInt32) throws -> Bool {
        let (grants, grant) = (try self.grants, Grant(socket: socket, user: user))
        if !grants.contains(grant) { try write(grants + [grant]) }
        return try inTurn { try socket.grant(to: user) }
    }

    /// Once QEMU has made a socket to which a switch connects, it needs the directory no more. Nothing for other sockets.
    public func closeDirectory(of socket: SwitchSocket, to user: UInt32) throws {
        try inTurn { try socket.closeDirectory(to: user) }
    }

    /// Takes it back.
    public func revoke(_ socket: SwitchSocket, from user: UInt32) throws {
        try inTurn { try socket.revoke(from: user) }
        try write(try grants.filter { $0 != Grant(socket: socket, user: user) })
    }

    /// Takes back everything, or everything but some. The first error does not stop the others.
    public func revokeAll(except kept: [SwitchSocket] = []) throws {
        let results = try grants.filter { !kept.contains($0.socket) }.map { grant in
            Result { try revoke(grant.socket, from: grant.user) }
        }
        for result in results { try result.get() }
    }

    private func inTurn<Value>(_ body: () throws -> Value) throws -> Value {
        try ExclusiveLock.hold(lock, milliseconds: 2000, body)
    }

    private func write(_ grants: [Grant]) throws {
        if grants.isEmpty { return try File.remove(file) }
        try File.replace(file, with: Array(try JSONEncoder().encode(grants)))
    }
}

import FoundationEssentials
import LinuxSystem

/// The sockets to which a machine's QEMU was let in, in a file of the sandbox: written before anybody is let in, so that
/// whoever knows the file can take it back. Not for several threads at a time.
public struct GrantedSockets: Sendable {
    private let file: String

    /// A file, which need not be there.
    public init(file: String) { self.file = file }

    /// Those that are written down.
    public var sockets: [SwitchSocket] {
        get throws {
            guard File.exists(file) else { return [] }
            return try JSONDecoder().decode([SwitchSocket].self, from: Data(try File.read(file)))
        }
    }

    /// Lets a user in.
    ///
    /// - Returns: whether the user had not been let in yet.
    /// - Throws: as ``SwitchSocket/grant(to:)``, and `SystemError` or `DecodingError` for the file.
    @discardableResult
    public func grant(_ socket: SwitchSocket, to user: UInt32) throws -> Bool {
        let sockets = try self.sockets
        if !sockets.contains(socket) { try write(sockets + [socket]) }
        return try socket.grant(to: user)
    }

    /// Takes it back.
    public func revoke(_ socket: SwitchSocket, from user: UInt32) throws {
        try socket.revoke(from: user)
        try write(try sockets.filter { $0 != socket })
    }

    /// Takes back everything. The first error does not stop the others.
    public func revokeAll(from user: UInt32) throws {
        let results = try sockets.map { socket in Result { try revoke(socket, from: user) } }
        for result in results { try result.get() }
    }

    private func write(_ sockets: [SwitchSocket]) throws {
        if sockets.isEmpty { return try File.remove(file) }
        try File.replace(file, with: Array(try JSONEncoder().encode(sockets)))
    }
}

import Glibc
import LinuxSystem

/// A user id that belongs to one pod's QEMU alone: a file named after the id, holding the owner's state directory.
///
/// A claim whose owner's directory is gone is free again, so that a crash of everything leaks no id.
public struct UserClaim: Equatable, Sendable {
    /// User and group id.
    public let id: UInt32
    private let path: String

    /// Every id of the range belongs to another pod.
    public struct Exhausted: Error, CustomStringConvertible {
        /// The configured range.
        public let range: ClosedRange<UInt32>
        /// The sentence for people.
        public var description: String {
            "users: all \(range.count) user ids from \(range.lowerBound) to \(range.upperBound) are taken by other pods; "
                + "a larger range in Slipway's configuration (users.count) or fewer pods would help"
        }
    }

    /// Claims the lowest free id for `owner`. An id that the owner holds already is returned again.
    ///
    /// - Throws: ``Exhausted``, or `SystemError` when the claims cannot be read or written.
    public static func take(
        from range: ClosedRange<UInt32>, for owner: StateDirectory, root: String = StateDirectory.defaultRoot
    ) throws -> UserClaim {
        let directory = "\(root)/.users"
        try File.makeDirectory(directory)
        let lock = try File.lock("\(directory)/.lock")
        defer { lock.close() }
        var holders: [UInt32: String] = [:]
        for name in try File.list(directory) {
            guard let id = UInt32(name) else { continue }
            let holder = (try? File.text("\(directory)/\(name)", limit: 4096)) ?? ""
            if !holder.isEmpty && File.exists(holder) { holders[id] = holder }
        }
        let held = holders.first { $0.value == owner.path && range.contains($0.key) }?.key
        guard let id = held ?? range.first(where: { holders[$0] == nil }) else { throw Exhausted(range: range) }
        let path = "\(directory)/\(id)"
        try File.replace(path, with: Array(owner.path.utf8))
        return UserClaim(id: id, path: path)
    }

    /// A claim known from a record.
    public init(id: UInt32, root: String = StateDirectory.defaultRoot) {
        self.init(id: id, path: "\(root)/.users/\(id)")
    }

    private init(id: UInt32, path: String) {
        self.id = id
        self.path = path
    }

    /// Gives the id back if it still belongs to `owner`.
    public func release(owner: StateDirectory) {
        guard let holder = try? File.text(path, limit: 4096), holder == owner.path else { return }
        try? File.remove(path)
    }
}

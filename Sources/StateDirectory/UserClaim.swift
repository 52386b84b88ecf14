import LinuxSystem

/// A user id that belongs to one pod's QEMU alone: a file named after the id, holding the owner's state directory.
///
/// A claim whose owner's directory is gone is free again, so that a crash of everything leaks no id.
public struct UserClaim: Equatable, Sendable {
    /// User and group id.
    public let id: UInt32
    private let root: String

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

    /// Claims the lowest free id for `owner`. An id that the owner holds already is returned again. Blocks, 10 s at most.
    ///
    /// - Throws: ``Exhausted``, ``ExclusiveLock/Busy``, or `SystemError` when the claims cannot be read or written.
    public static func take(
        from range: ClosedRange<UInt32>, for owner: StateDirectory, root: String = StateDirectory.defaultRoot
    ) throws -> UserClaim {
        let directory = ClaimDirectory(Self.directory, root: root)
        return try directory.locked(milliseconds: 10_000) {
            try directory.removeLeftovers()
            var holders: [UInt32: String] = [:]
            for name in try directory.names() {
                guard let id = UInt32(name), let holder = holder(name, in: directory) else { continue }
                if !holder.isEmpty && File.exists(holder) { holders[id] = holder }
            }
            let held = holders.first { $0.value == owner.path && range.contains($0.key) }?.key
            guard let id = held ?? range.first(where: { holders[$0] == nil }) else { throw Exhausted(range: range) }
            try directory.write("\(id)", Array(owner.path.utf8))
            return UserClaim(id: id, root: root)
        }
    }

    /// A claim known from a record.
    public init(id: UInt32, root: String = StateDirectory.defaultRoot) {
        self.id = id
        self.root = root
    }

    /// Gives the id back if it still belongs to `owner`. To be called while the owner's directory is there: nobody takes
    /// the id before, so that no lock is needed, which many pods that end at once would wait for.
    public func release(owner: StateDirectory) {
        let directory = ClaimDirectory(Self.directory, root: root)
        if Self.holder("\(id)", in: directory) == owner.path { directory.remove("\(id)") }
    }

    private static let directory = ".users"

    private static func holder(_ name: String, in directory: ClaimDirectory) -> String? {
        (try? directory.read(name)).flatMap { $0 }.map { String(decoding: $0, as: UTF8.self) }
    }
}

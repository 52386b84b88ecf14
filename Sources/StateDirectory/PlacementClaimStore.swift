import FoundationEssentials
import Glibc
import HostTopology
import LinuxSystem

extension PlacementClaim {
    /// How a plan came out against the claims of others.
    public enum Decision<Value> {
        /// It fits: the claim to write, nil for a machine that holds nothing of its own, and what the caller wants back.
        case fits(PlacementClaim?, Value)
        /// It would fit if pages were free that others have pending: worth trying again, else refused with this error.
        case blockedByPending(any Error)
    }

    /// Plans against the claims of all other sandboxes and claims what was planned, with nobody between.
    ///
    /// Blocks: an actor calls it through `Thread.run`.
    ///
    /// - Parameters:
    ///   - owner: whose claim is written, in the place of an earlier one.
    ///   - root: the directory of all sandboxes.
    ///   - patience: milliseconds for which ``Decision/blockedByPending(_:)`` is tried again, each time when another
    ///     claim has changed.
    ///   - plan: called under the lock with the others' claims, sorted by owner. It has to read the free pages itself,
    ///     after it was called: a claim that was pending when older numbers were read may be held by now, and would be
    ///     subtracted by neither.
    /// - Throws: what `plan` throws or is blocked by, ``Unreadable``, ``Conflict``, ``ExclusiveLock/Busy``, or
    ///   `SystemError`. Nothing has changed then.
    public static func take<Value>(
        for owner: StateDirectory, root: String = StateDirectory.defaultRoot, patience: Int32 = 0,
        _ plan: ([PlacementClaim]) throws -> Decision<Value>
    ) throws -> Value {
        let directory = ClaimDirectory(Self.directory, root: root)
        try File.makeDirectory(directory.path)
        let deadline = Clock.milliseconds + Int64(patience)
        // Made before the claims are read: no change is missed.
        let watch = patience > 0 ? try? DirectoryWatch(directory.path) : nil
        while true {
            watch?.clear()
            let decision = try directory.locked(milliseconds: lockTime) {
                let others = try others(of: owner, in: directory, root: root)
                let decision = try plan(others)
                if case .fits(let claim, _) = decision { try write(claim, of: owner, against: others, in: directory) }
                return decision
            }
            switch decision {
            case .fits(_, let value): return value
            case .blockedByPending(let refusal):
                let left = deadline - Clock.milliseconds
                guard left > 0 else { throw refusal }
                // An owner that dies without a word changes no file.
                if let watch { watch.wait(milliseconds: Int32(min(left, 500))) } else { _ = poll(nil, 0, 20) }
            }
        }
    }

    /// Notes that the owner's QEMU has allocated its memory. Blocks, for the lock alone.
    ///
    /// - Throws: ``Missing``, ``Unreadable``, ``ExclusiveLock/Busy``, or `SystemError`.
    public static func markHeld(
        owner: StateDirectory, by machine: SandboxRecord.ProcessIdentity, root: String = StateDirectory.defaultRoot
    ) throws {
        let directory = ClaimDirectory(Self.directory, root: root)
        try directory.locked(milliseconds: lockTime) {
            guard var claim = try read(name(of: owner), in: directory, root: root) else {
                throw Missing(owner: owner.path)
            }
            claim.phase = .held(by: machine)
            try directory.write(name(of: owner), try claim.encoded())
        }
    }

    /// Gives back what the owner holds. Needs no lock, as nobody else has a file of that name and who has read it
    /// already believes the node fuller than it is; never blocks.
    public static func release(owner: StateDirectory, root: String = StateDirectory.defaultRoot) {
        ClaimDirectory(directory, root: root).remove(name(of: owner))
    }

    /// The claims that hold at this moment, sorted by owner, without a lock: for looking, not for planning. Claims that
    /// cannot be read are left out.
    public static func all(root: String = StateDirectory.defaultRoot) -> [PlacementClaim] {
        let directory = ClaimDirectory(Self.directory, root: root)
        return ((try? directory.names()) ?? []).compactMap { name in
            (try? read(name, in: directory, root: root)).flatMap { $0 }.flatMap { $0.isAlive ? $0 : nil }
        }
    }

    // MARK: Files

    private static let directory = ".claims"
    private static let lockTime: Int32 = 10_000

    private static func name(of owner: StateDirectory) -> String {
        owner.path.split(separator: "/").last.map(String.init) ?? ""
    }

    private func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(self))
    }

    /// Reads the others' claims and removes those that hold no longer. Under the lock.
    private static func others(
        of owner: StateDirectory, in directory: ClaimDirectory, root: String
    ) throws -> [PlacementClaim] {
        try directory.removeLeftovers()
        var others: [PlacementClaim] = []
        for name in try directory.names() where name != self.name(of: owner) {
            do throws(Unreadable) {
                guard let claim = try read(name, in: directory, root: root) else { continue }
                if claim.isAlive { others.append(claim) } else { directory.remove(name) }
            } catch {
                guard !Liveness(StateDirectory(path: "\(root)/\(name)")).mayRun else { throw error }
                directory.remove(name)
            }
        }
        return others
    }

    private static func write(
        _ claim: PlacementClaim?, of owner: StateDirectory, against others: [PlacementClaim],
        in directory: ClaimDirectory
    ) throws {
        guard var claim else { return directory.remove(name(of: owner)) }
        for other in others {
            let both = other.cpus.intersection(claim.cpus)
            guard both.isEmpty else { throw Conflict(cpus: both, holder: other) }
        }
        claim.owner = owner.path
        try directory.write(name(of: owner), try claim.encoded())
    }

    /// nil when there is no such claim.
    ///
    /// - Throws: ``Unreadable``.
    private static func read(
        _ name: String, in directory: ClaimDirectory, root: String
    ) throws(Unreadable) -> PlacementClaim? {
        func unreadable(_ reason: String) -> Unreadable {
            let owner = StateDirectory(path: "\(root)/\(name)")
            let record = try? SandboxRecord(readingFrom: owner)
            let pod = record.flatMap { $0.podName.isEmpty ? nil : "pod \($0.podNamespace)/\($0.podName)" }
            return Unreadable(path: "\(directory.path)/\(name)", owner: pod ?? owner.path, reason: reason)
        }
        let bytes: [UInt8]
        do {
            guard let found = try directory.read(name) else { return nil }
            bytes = found
        } catch {
            throw unreadable("\(error)")
        }
        guard let claim = try? JSONDecoder().decode(PlacementClaim.self, from: Data(bytes)),
            claim.version == currentVersion, claim.pages.allSatisfy(\.isPlausible)
        else {
            struct Header: Decodable {
                let version: Int
            }
            let version = (try? JSONDecoder().decode(Header.self, from: Data(bytes)))?.version ?? currentVersion
            throw unreadable(
                version == currentVersion
                    ? "it is not a claim" : "it has version \(version), \(currentVersion) is understood")
        }
        guard Self.name(of: StateDirectory(path: claim.owner)) == name else {
            throw unreadable("it says that it belongs to \(claim.owner)")
        }
        return claim
    }
}

import LinuxSystem
import StateDirectory
import TestSupport
import Testing

@Suite struct UserClaimTests {
    let root: TemporaryDirectory

    init() throws { root = try TemporaryDirectory() }

    private func owner(_ name: String) throws -> StateDirectory {
        let directory = StateDirectory(root: root.path, namespace: "n", sandbox: name)
        try File.makeDirectory(directory.path)
        return directory
    }

    private func take(_ range: ClosedRange<UInt32>, _ owner: StateDirectory) throws -> UInt32 {
        try UserClaim.take(from: range, for: owner, root: root.path).id
    }

    @Test func fiftyAtOnceGetAnIdEach() async throws {
        let owners = try (0..<50).map { try owner("\($0)") }
        let root = root.path
        let ids = try await withThrowingTaskGroup(of: UInt32.self) { group in
            for owner in owners {
                group.addTask {
                    try await Thread.run("claim") { try UserClaim.take(from: 1000...1049, for: owner, root: root).id }
                }
            }
            return try await group.reduce(into: [UInt32]()) { $0.append($1) }
        }
        #expect(ids.sorted() == Array(1000...1049))
        let late = try owner("late")
        #expect(throws: UserClaim.Exhausted.self) { try take(1000...1049, late) }
    }

    /// Processes of their own, as sandboxes are.
    @Test func claimsAreExclusiveAcrossProcesses() throws {
        let lock = try File.lock(root(".users-lock-probe"))
        var spawn = Spawn("/usr/bin/flock", ["-n", root(".users-lock-probe"), "true"])
        spawn.workingDirectory = root.path
        #expect(try spawn.run().status == .exited(1))
        lock.close()
        #expect(try spawn.run().status == .exited(0))
    }

    @Test func theSameOwnerGetsTheSameId() throws {
        let (one, two) = (try owner("1"), try owner("2"))
        #expect(try take(5...9, one) == 5)
        #expect(try take(5...9, two) == 6)
        #expect(try take(5...9, one) == 5)
        // A changed range does not move a claim out of reach.
        #expect(try take(6...9, one) == 7)
    }

    @Test func idsOfOwnersThatAreGoneAreFree() throws {
        let (one, two) = (try owner("1"), try owner("2"))
        #expect(try take(5...5, one) == 5)
        #expect(throws: UserClaim.Exhausted.self) { try take(5...5, two) }
        try File.removeTree(one.path)
        #expect(try take(5...5, two) == 5)
        // The first owner's late release does not take it away.
        UserClaim(id: 5, root: root.path).release(owner: one)
        #expect(throws: UserClaim.Exhausted.self) { try take(5...5, owner("3")) }
        UserClaim(id: 5, root: root.path).release(owner: two)
        UserClaim(id: 5, root: root.path).release(owner: two)
        #expect(try take(5...5, owner("3")) == 5)
    }

    /// Many pods that end at once, each with little time for its `delete`, do not queue for it.
    @Test func givingBackWaitsForNobody() throws {
        let one = try owner("1")
        _ = try take(5...5, one)
        let lock = try File.lock(root(".users/.lock"))
        defer { lock.close() }
        UserClaim(id: 5, root: root.path).release(owner: one)
        #expect(!File.exists(root(".users/5")))
    }

    /// A crash in the middle of a write, or a hand that was not ours.
    @Test(arguments: ["", "/no/such/directory", "\u{0}", String(repeating: "x", count: 10_000)])
    func aClaimThatNamesNobodyIsFree(text: String) throws {
        try root.write(".users/5", text)
        try root.write(".users/5.123.new", "leftover")
        #expect(try take(5...5, owner("1")) == 5)
    }

    @Test func theSentenceSaysWhatHelps() throws {
        _ = try take(5...5, owner("1"))
        #expect {
            try take(5...5, owner("2"))
        } throws: { error in
            "\(error)"
                == "users: all 1 user ids from 5 to 5 are taken by other pods; a larger range in Slipway's configuration "
                + "(users.count) or fewer pods would help"
        }
    }
}

import Glibc
import HostTopology
import LinuxSystem
import StateDirectory
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct PlacementClaimTests {
    private let root: TemporaryDirectory
    private static let page: UInt64 = 2 << 20

    init() throws { root = try TemporaryDirectory() }

    /// A sandbox whose process, the one that runs the tests where nothing else is said, is alive.
    private func owner(
        _ name: String, process: Int32 = getpid(), machine: Int32? = nil
    ) throws -> StateDirectory {
        let directory = StateDirectory(root: root.path, namespace: "n", sandbox: name)
        try File.makeDirectory(directory.path)
        var record = SandboxRecord(namespace: "n", id: name, bundle: "/b")
        record.podNamespace = "ns"
        record.podName = name
        record.process = try SandboxRecord.ProcessIdentity(pid: process)
        if let machine {
            record.machine = SandboxRecord.Machine(container: "c", containerName: "c", user: 1)
            record.machine?.process = try SandboxRecord.ProcessIdentity(pid: machine)
        }
        try record.write(to: directory)
        return directory
    }

    private func claim(
        _ owner: StateDirectory, _ cpus: CPUSet, pages: UInt64 = 0, interrupts: Bool = false
    ) -> PlacementClaim {
        PlacementClaim(
            owner: owner, podNamespace: "ns", podName: "p", cpus: cpus,
            pages: pages == 0 ? [] : [Holding.Pages(node: 0, size: Self.page, count: pages)], interrupts: interrupts)
    }

    @discardableResult
    private func take(_ owner: StateDirectory, _ cpus: CPUSet, pages: UInt64 = 0) throws -> [PlacementClaim] {
        try PlacementClaim.take(for: owner, root: root.path) { others in
            .fits(claim(owner, cpus, pages: pages), others)
        }
    }

    private func others(of owner: StateDirectory) throws -> [String] {
        try PlacementClaim.take(for: owner, root: root.path) { .fits(nil, $0.map(\.podName)) }
    }

    private func file(_ owner: StateDirectory) -> String {
        root(".claims/\(owner.path.split(separator: "/").last ?? "")")
    }

    private var files: [String] { ((try? File.list(root(".claims"))) ?? []).filter { $0 != ".lock" } }

    // MARK: Claims

    @Test func aClaimIsReadAsItWasWritten() throws {
        let one = try owner("one")
        #expect(try take(one, [1, 2, 8191], pages: 7) == [])
        let written = PlacementClaim.all(root: root.path)
        #expect(written == [claim(one, [1, 2, 8191], pages: 7)])
        #expect(try File.text(file(one)).contains(#""cpus" : "1-2,8191""#))
        let two = try owner("two")
        #expect(try take(two, [0]) == written)
        #expect(PlacementClaim.all(root: root.path).exclusiveCPUs == [0, 1, 2, 8191])
        PlacementClaim.release(owner: one, root: root.path)
        PlacementClaim.release(owner: one, root: root.path)
        #expect(PlacementClaim.all(root: root.path).map(\.owner) == [two.path])
    }

    @Test func anOwnersNewClaimReplacesItsOld() throws {
        let one = try owner("one")
        try take(one, [1])
        #expect(try take(one, [1, 2]) == [])
        #expect(PlacementClaim.all(root: root.path).map(\.cpus) == [[1, 2]])
        #expect(try PlacementClaim.take(for: one, root: root.path) { .fits(nil, $0) } == [])
        #expect(files == [])
    }

    @Test func aRefusalChangesNothing() throws {
        struct Refused: Error {}
        let one = try owner("one")
        try take(one, [1])
        #expect(throws: Refused.self) {
            try PlacementClaim.take(for: one, root: root.path) { _ -> PlacementClaim.Decision<Void> in throw Refused() }
        }
        #expect(throws: Refused.self) {
            try PlacementClaim.take(for: one, root: root.path) { _ -> PlacementClaim.Decision<Void> in
                .blockedByPending(Refused())
            }
        }
        #expect(PlacementClaim.all(root: root.path) == [claim(one, [1])])
    }

    /// Whatever a plan says.
    @Test func noCPUIsGivenTwice() throws {
        let (one, two) = (try owner("one"), try owner("two"))
        try take(one, [1, 2])
        #expect {
            try take(two, [2, 3])
        } throws: { error in
            "\(error)" == "cpus: 2 belong to pod ns/p alone; other CPUs, or the end of that pod, would help"
        }
        try take(two, [3])
    }

    @Test func pagesThatAreHeldAreNotPending() throws {
        let (one, two) = (try owner("one"), try owner("two"))
        try take(one, [], pages: 5)
        try take(two, [], pages: 3)
        func pending() -> UInt64 { PlacementClaim.all(root: root.path).pendingPages(node: 0, size: Self.page) }
        #expect(pending() == 8)
        let machine = try SandboxRecord.ProcessIdentity(pid: getpid())
        try PlacementClaim.markHeld(owner: one, by: machine, root: root.path)
        #expect(pending() == 3)
        #expect(PlacementClaim.all(root: root.path).pendingPages(node: 1, size: Self.page) == 0)
        #expect(PlacementClaim.all(root: root.path).first { $0.owner == one.path }?.phase == .held(by: machine))
        let none = try owner("none")
        #expect(throws: PlacementClaim.Missing.self) {
            try PlacementClaim.markHeld(owner: none, by: machine, root: root.path)
        }
    }

    @Test func onlyClaimsThatAskForItAreFreeOfInterrupts() throws {
        let (one, two) = (try owner("one"), try owner("two"))
        try take(one, [1])
        _ = try PlacementClaim.take(for: two, root: root.path) { _ in .fits(claim(two, [2, 3], interrupts: true), 0) }
        #expect(PlacementClaim.all(root: root.path).interruptFreeCPUs == [2, 3])
    }

    // MARK: At once

    /// Fifty processes, as sandboxes are, for forty CPUs and thirty pages.
    @Test func fiftyProcessesAtOnceShareNothing() async throws {
        let owners = try (0..<50).map { try owner("\($0)").path }
        let root = root.path
        let outcomes = try await withThrowingTaskGroup(of: Int32.self) { group in
            for path in owners {
                group.addTask {
                    let result = try await #require(
                        processExitsWith: .success, observing: []
                    ) { [path = path as String, root = root as String] in
                        let owner = StateDirectory(path: path)
                        _ = try PlacementClaim.take(for: owner, root: root) { others in
                            let free = CPUSet(0..<40).subtracting(others.exclusiveCPUs)
                            let pages = others.pendingPages(node: 0, size: 2 << 20) < 30
                            // Both ends of the range are wanted by everybody.
                            let cpus: CPUSet = free.first.map { [$0] } ?? []
                            return .fits(
                                PlacementClaim(
                                    owner: owner, podNamespace: "ns", podName: owner.path, cpus: cpus,
                                    pages: pages ? [Holding.Pages(node: 0, size: 2 << 20, count: 1)] : []), 0)
                        }
                    }
                    if case .exitCode(let code) = result.exitStatus { return code }
                    return -1
                }
            }
            return try await group.reduce(into: [Int32]()) { $0.append($1) }
        }
        #expect(outcomes == Array(repeating: 0, count: 50))
        let claims = PlacementClaim.all(root: root)
        #expect(claims.count == 50)
        #expect(claims.flatMap(\.cpus).sorted() == Array(0..<40))
        #expect(claims.pendingPages(node: 0, size: Self.page) == 30)
    }

    @Test func fiftyThreadsTakeAndReleaseAgainAndAgain() async throws {
        let owners = try (0..<50).map { try owner("\($0)") }
        let root = root.path
        let (conflicts, refusals) = try await withThrowingTaskGroup(of: (Int, Int).self) { group in
            for owner in owners {
                group.addTask {
                    try await Thread.run("claim") {
                        var (conflicts, refusals) = (0, 0)
                        for _ in 0..<4 {
                            let cpu: Int? = try PlacementClaim.take(for: owner, root: root) { others in
                                if others.reduce(0, { $0 + $1.cpus.count }) != others.exclusiveCPUs.count {
                                    conflicts += 1
                                }
                                let free = CPUSet(0..<20).subtracting(others.exclusiveCPUs)
                                guard let cpu = free.first else { return .fits(nil, nil) }
                                let claim = PlacementClaim(owner: owner, podNamespace: "", podName: "", cpus: [cpu])
                                return .fits(claim, cpu)
                            }
                            if cpu == nil { refusals += 1 }
                            PlacementClaim.release(owner: owner, root: root)
                        }
                        return (conflicts, refusals)
                    }
                }
            }
            return try await group.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
        }
        #expect(conflicts == 0, "\(refusals) refusals")
        #expect(files == [])
    }

    // MARK: Ends

    @Test func anOwnerWithoutARecordIsGone() throws {
        let one = try owner("one")
        try take(one, [1])
        try File.remove(one.record)
        #expect(PlacementClaim.all(root: root.path) == [])
        #expect(try others(of: owner("two")) == [])
        #expect(files == [])
    }

    /// The sandbox process is killed, QEMU is not.
    @Test func aClaimStaysWithItsMachine() throws {
        let (sandbox, machine) = (try Idle(), try Idle())
        let one = try owner("one", process: sandbox.pid)
        try take(one, [1])
        try PlacementClaim.markHeld(owner: one, by: machine.identity(), root: root.path)
        try sandbox.end()
        let two = try owner("two")
        #expect(try others(of: two) == ["p"])
        #expect(throws: PlacementClaim.Conflict.self) { try take(two, [1]) }
        // The directory's loss does not make its machine go away.
        try File.removeTree(one.path)
        #expect(try others(of: two) == ["p"])
        // Ended and not reaped is ended.
        try machine.kill()
        #expect(try others(of: two) == [] && files == [])
        try take(two, [1])
    }

    /// The sandbox process is killed while QEMU starts: nobody knows whether there is one until `delete` has come.
    @Test func aPendingClaimStaysUntilTheRecordIsGone() throws {
        let sandbox = try Idle()
        let one = try owner("one", process: sandbox.pid)
        try take(one, [1], pages: 1)
        try sandbox.end()
        let two = try owner("two")
        #expect(try others(of: two) == ["p"])
        try File.removeTree(one.path)
        #expect(try others(of: two) == [])
    }

    /// Killed between the record's and the claim's note of QEMU; both have ended, `delete` has not come.
    @Test func aPendingClaimWhoseProcessesHaveEndedIsGone() throws {
        let (sandbox, machine) = (try Idle(), try Idle())
        let one = try owner("one", process: sandbox.pid, machine: machine.pid)
        try take(one, [1])
        let two = try owner("two")
        try sandbox.end()
        #expect(try others(of: two) == ["p"])
        try machine.end()
        #expect(try others(of: two) == [])
    }

    @Test func aProcessKilledInTheMiddleHoldsNothing() async throws {
        let one = try owner("one")
        let root = root.path
        await #expect(processExitsWith: .signal(SIGKILL)) { [root = root as String, path = one.path as String] in
            _ = try PlacementClaim.take(for: StateDirectory(path: path), root: root) { _ in
                kill(getpid(), SIGKILL)
                return .fits(nil, 0)
            }
        }
        try self.root.write(".claims/\(one.path.split(separator: "/").last ?? "").77.new", "half a cl")
        let before = Clock.milliseconds
        #expect(try take(owner("two"), [1]) == [])
        #expect(Clock.milliseconds - before < 1000, "the lock is still held")
        #expect(files.count == 1)
    }

    // MARK: Files that are none of ours

    private static let garbage = [
        "", "{", "[]", "{}", "\u{0}\u{ff}", #"{"version": 1}"#, #"{"version": 2, "cpus": "1"}"#,
        String(repeating: "x", count: 1 << 17), String(repeating: "[", count: 60_000),
    ]

    @Test(arguments: garbage)
    func aClaimThatCannotBeReadIsRefusedWhileItsOwnerLives(text: String) throws {
        let (one, two) = (try owner("one"), try owner("two"))
        try File.makeDirectory(root(".claims"))
        try File.replace(file(one), with: Array(text.utf8))
        #expect(PlacementClaim.all(root: root.path) == [])
        #expect {
            try take(two, [1])
        } throws: { error in
            guard let error = error as? PlacementClaim.Unreadable else { return false }
            return error.owner == "pod ns/one" && error.path == file(one) && "\(error)".hasSuffix("would help")
        }
        // Its owner is not kept from claiming anew.
        try take(one, [1])
        try take(two, [2])
    }

    @Test(arguments: garbage)
    func aClaimThatCannotBeReadGoesWithItsOwner(text: String) throws {
        let one = try owner("one")
        try File.makeDirectory(root(".claims"))
        try File.replace(file(one), with: Array(text.utf8))
        try root.write(".claims/nobody", text)
        try File.removeTree(one.path)
        #expect(try take(owner("two"), [1]) == [])
        #expect(files.count == 1)
    }

    @Test(arguments: [
        Holding.Pages(node: -1, size: 4096, count: 1), Holding.Pages(node: 0, size: 0, count: 1),
        Holding.Pages(node: 0, size: 2 << 20, count: .max), Holding.Pages(node: 0, size: .max, count: 1),
    ])
    func pagesThatNoMachineHasAreNotAddedUp(pages: Holding.Pages) throws {
        let (one, two) = (try owner("one"), try owner("two"))
        _ = try PlacementClaim.take(for: one, root: root.path) { _ in
            .fits(PlacementClaim(owner: one, podNamespace: "", podName: "", cpus: [], pages: [pages, pages]), 0)
        }
        #expect(PlacementClaim.all(root: root.path) == [])
        #expect(throws: PlacementClaim.Unreadable.self) { try take(two, [1]) }
    }

    @Test func aClaimUnderAnothersNameIsNone() throws {
        let (one, two, three) = (try owner("one"), try owner("two"), try owner("three"))
        try take(one, [1])
        try File.replace(file(two), with: try File.read(file(one)))
        #expect(throws: PlacementClaim.Unreadable.self) { try take(three, [2]) }
        #expect(PlacementClaim.all(root: root.path).count == 1)
    }

    /// No kind of file blocks or leads anywhere.
    @Test func whatIsNoFile() throws {
        let one = try owner("one")
        try File.makeDirectory(root(".claims/directory/deep"))
        _ = try root.fifo(".claims/fifo")
        try root.write("elsewhere", "kept")
        #expect(symlink(root("elsewhere"), root(".claims/link")) == 0)
        #expect(try take(one, [1]) == [])
        #expect(files.count == 1)
        #expect(try File.text(root("elsewhere")) == "kept")
        #expect(PlacementClaim.all(root: root("none")) == [])
    }

    // MARK: Waiting

    private struct Full: Error {}

    /// Takes one of two pages, which a pending claim of both is in the way of.
    private func takeWaiting(_ owner: StateDirectory, patience: Int32) async throws -> Int {
        let (root, page) = (root.path, Self.page)
        return try await Thread.run("claim") {
            var attempts = 0
            return try PlacementClaim.take(for: owner, root: root, patience: patience) { others in
                attempts += 1
                guard others.pendingPages(node: 0, size: page) == 0 else { return .blockedByPending(Full()) }
                return .fits(nil, attempts)
            }
        }
    }

    @Test(arguments: [true, false])
    func whatIsPendingIsWaitedFor(held: Bool) async throws {
        let (one, two) = (try owner("one"), try owner("two"))
        try take(one, [], pages: 2)
        async let attempts = takeWaiting(two, patience: 60_000)
        // Whether the other is planning or waiting by now: the change is seen.
        if held {
            try PlacementClaim.markHeld(owner: one, by: SandboxRecord.ProcessIdentity(pid: getpid()), root: root.path)
        } else {
            PlacementClaim.release(owner: one, root: root.path)
        }
        #expect(try await attempts <= 4)
    }

    @Test func anOwnerThatDiesIsNotWaitedForInVain() async throws {
        let (one, two) = (try owner("one"), try owner("two"))
        try take(one, [], pages: 2)
        async let attempts = takeWaiting(two, patience: 60_000)
        try File.remove(one.record)
        #expect(try await attempts <= 4)
    }

    @Test func patienceEnds() async throws {
        let (one, two) = (try owner("one"), try owner("two"))
        try take(one, [], pages: 2)
        let before = Clock.milliseconds
        await #expect(throws: Full.self) { _ = try await takeWaiting(two, patience: 30) }
        #expect(Clock.milliseconds - before >= 30)
        await #expect(throws: Full.self) { _ = try await takeWaiting(two, patience: 0) }
    }

    // MARK: The lock

    @Test func theLockIsNotWaitedForWithoutEnd() throws {
        let path = root("lock")
        let holder = try File.lock(path)
        #expect {
            try ExclusiveLock.hold(path, milliseconds: 20) {}
        } throws: { error in
            "\(error)".hasPrefix("\(path): another process has held the lock for 20 ms; ")
        }
        holder.close()
        // It is free again after an error too.
        #expect(throws: Full.self) { try ExclusiveLock.hold(path, milliseconds: 0) { throw Full() } }
        #expect(try ExclusiveLock.hold(path, milliseconds: 0) { 5 } == 5)
    }
}

/// A process that does nothing.
private final class Idle: Sendable {
    private let process: LinuxSystem.Process

    init() throws { process = try Spawn("/bin/sleep", ["1000"]).start() }

    var pid: Int32 { process.pid }

    func identity() throws -> SandboxRecord.ProcessIdentity { try SandboxRecord.ProcessIdentity(pid: pid) }

    /// Ends it without reaping it.
    func kill() throws {
        try process.signal(SIGKILL)
        #expect(try process.waitForEnd(milliseconds: 10_000))
    }

    func end() throws {
        try kill()
        _ = try process.wait()
    }

    deinit {
        try? process.signal(SIGKILL)
        _ = try? process.wait()
    }
}

import Glibc
import LinuxSystem
import TestSupport
import Testing

private actor Blocking {
    private let executor: ThreadExecutor
    private(set) var jobs: [Int] = []
    private(set) var threads: Set<Int32> = []

    init(_ name: String) throws { executor = try ThreadExecutor(name) }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    func work(_ number: Int) {
        assertIsolated()
        jobs.append(number)
        threads.insert(Thread.id)
    }

    /// Jobs of tasks that are started on the actor arrive in the order of their starts.
    func start(_ count: Int) -> [Task<Void, Never>] {
        (0..<count).map { number in Task { work(number) } }
    }

    func block(until gate: FileDescriptor) throws { _ = try gate.read(upTo: 1) }
}

@Suite struct ThreadTests {
    @Test func jobsKeepTheirOrderOnOneThread() async throws {
        let actor = try Blocking("order")
        for task in await actor.start(1000) { await task.value }
        #expect(await actor.jobs == Array(0..<1000))
        #expect(await actor.threads.count == 1)
    }

    /// As many blocked actors as would fill the pool several times; the others still work.
    @Test func blockedActorsHoldUpNobody() async throws {
        let gate = try FileDescriptor.pipe()
        let blocked = try (0..<8).map { try Blocking("blocked-\($0)") }
        let tasks = blocked.map { actor in Task { try await actor.block(until: gate.read) } }
        let other = try Blocking("other")
        for task in await other.start(10) { await task.value }
        #expect(await other.jobs.count == 10)
        gate.write.close()
        for task in tasks { try await task.value }
    }

    @Test func theThreadEndsWithItsExecutor() async throws {
        let name = "ends-\(UInt16.random(in: 0 ... .max))"
        func threads() throws -> Int {
            try File.list("/proc/self/task").count { (try? File.text("/proc/self/task/\($0)/comm")) == name + "\n" }
        }
        var actor: Blocking? = try Blocking(name)
        await actor?.work(1)
        #expect(try threads() == 1)
        actor = nil
        #expect(try await eventually { try threads() == 0 })
    }

    @Test func resultsAndErrorsComeBack() async throws {
        let own = Thread.id
        #expect(try await Thread.run("value") { Thread.id } != own)
        await #expect(throws: SystemError("x", code: EIO)) {
            try await Thread.run("error") { throw SystemError("x", code: EIO) }
        }
    }
}

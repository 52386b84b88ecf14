import ContainerdAPI
import LinuxSystem
import SandboxFakes
import TTRPC
import TestSupport
import Testing

/// State, Wait, Stats, Kill and Connect are answered within 100 ms, whatever the guest and the node do.
@Suite(.timeLimit(.minutes(1))) struct AnswerTests {
    /// The time of the quickest of several calls: what is measured is the service, not what else the machine does.
    private func quickest(_ body: () async throws -> Void) async throws -> Int64 {
        var times: [Int64] = []
        for _ in 0..<5 {
            let start = Clock.milliseconds
            try await body()
            times.append(Clock.milliseconds - start)
        }
        return times.min() ?? .max
    }

    /// The same for a call that is to fail with a code.
    private func quickest(_ expected: StatusCode, _ body: () async throws -> Void) async throws -> Int64 {
        try await quickest {
            let answer = await code(body)
            #expect(answer == expected)
        }
    }

    private func answers(_ containerd: Containerd) async throws {
        for id in ["pod", "vm"] {
            #expect(try await quickest { try await containerd.state(id) } < 100, "State of \(id)")
            #expect(try await quickest { try await containerd.connect(id) } < 100, "Connect of \(id)")
            #expect(try await quickest { _ = try await containerd.pids(id) } < 100, "Pids of \(id)")
            #expect(try await quickest { try await containerd.kill(id, 0) } < 100, "Kill of \(id)")
        }
        #expect(try await quickest { try await containerd.stats("vm") } < 100, "Stats")
    }

    /// The whole of the life, each verb hanging.
    @Test(arguments: ["resume", "pause", "shutdown 0", "update 7", "execute"])
    func whileTheMachineHangs(in call: String) async throws {
        let containerd = try Containerd()
        let gate = Gate()
        defer { gate.open() }
        containerd.host.behave { $0.gates[call] = gate }
        try await containerd.create("pod")
        try await containerd.start("pod")
        try await containerd.create("vm")
        let machine = try #require(containerd.host.machines.first)
        let waiting = Task { try await containerd.wait("vm").exitStatus }
        let starting = Task { _ = try? await containerd.start("vm") }
        if call != "resume" { await starting.value }
        let hanging = Task {
            switch call {
            case "pause": try await containerd.pause("vm")
            case "shutdown 0": try await containerd.kill("vm", 15)
            case "update 7": try await containerd.update("vm", #"{"memory": {"limit": 7}}"#)
            case "execute":
                try await containerd.exec("vm", exec: "e")
                try await containerd.start("vm", exec: "e")
            default: break
            }
        }
        #expect(await eventually { machine.journal.contains(call) })
        try await answers(containerd)

        // SIGKILL ends it all the same, and Wait returns.
        try await containerd.kill("vm", 9)
        if call == "resume" {
            // The exit is told after the start, which is still under way.
            gate.open()
            await starting.value
        }
        #expect(try await waiting.value == 137)
        #expect(try await quickest { _ = try await containerd.wait("vm") } < 100)
        #expect(try await quickest(.notFound) { try await containerd.kill("vm", 9) } < 100)
        #expect(try await quickest { try await containerd.stats("vm") } < 100)
        try await containerd.delete("vm")
        gate.open()
        _ = try? await hanging.value
    }

    @Test func whileCreateHangs() async throws {
        let containerd = try Containerd()
        let gate = containerd.host.close("create vm")
        defer { gate.open() }
        try await containerd.create("pod")
        try await containerd.start("pod")
        let creating = Task { try await containerd.create("vm") }
        #expect(await eventually { containerd.host.journal.contains("create vm") })
        let state = try await quickest { try await containerd.state("pod") }
        let connect = try await quickest { try await containerd.connect("vm") }
        let unknown = try await quickest(.notFound) { try await containerd.state("vm") }
        let kill = try await quickest(.notFound) { try await containerd.kill("vm", 9) }
        let again = try await quickest(.alreadyExists) { try await containerd.create("vm") }
        #expect([state, connect, unknown, kill, again].allSatisfy { $0 < 100 })
        // containerd has given up, and its Delete finds what Create has made by then.
        let deleting = Task { try await containerd.delete("vm").exitStatus }
        gate.open()
        _ = try await creating.value
        #expect(try await deleting.value == 137)
        #expect(containerd.host.machines.first?.journal.contains("kill") == true)
    }

    @Test func whileTheNodeHangsInDelete() async throws {
        let containerd = try Containerd()
        let gate = containerd.host.close("remove vm")
        defer { gate.open() }
        try await containerd.create("pod")
        try await containerd.start("pod")
        try await containerd.create("vm")
        try await containerd.start("vm")
        try await containerd.kill("vm", 9)
        let deleting = Task { try await containerd.delete("vm") }
        #expect(await eventually { containerd.host.journal.contains("remove vm") })
        #expect(try await quickest { try await containerd.state("vm") } < 100)
        #expect(try await quickest { _ = try await containerd.wait("vm") } < 100)
        gate.open()
        #expect(try await deleting.value.exitStatus == 137)
    }

    /// A probe a second and more, each hanging.
    @Test func whileManyExecsHang() async throws {
        let containerd = try Containerd()
        let gate = Gate()
        containerd.host.behave { $0.gates["execute"] = gate }
        try await containerd.create("pod")
        try await containerd.create("vm")
        try await containerd.start("vm")
        for index in 0..<200 {
            try await containerd.exec("vm", exec: "e\(index)")
            try await containerd.start("vm", exec: "e\(index)")
        }
        try await answers(containerd)
        #expect(try await containerd.pids("vm").count == 201)
        let waits = Task {
            try await withThrowingTaskGroup(of: UInt32.self) { group in
                for index in 0..<200 { group.addTask { try await containerd.wait("vm", exec: "e\(index)").exitStatus } }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
        }
        try await answers(containerd)
        gate.open()
        #expect(try await waits.value == [0])
    }
}

import ContainerIO
import ContainerdAPI
import LinuxSystem
import Sandbox
import SandboxFakes
import SwiftProtobuf
import TTRPC
import TaskService
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct EventTests {
    private func topics(_ count: Int) -> [String] { (0..<count).map { "/tasks/start c\($0)" } }

    @Test func theEnvelope() async throws {
        let containerd = try Containerd()
        let stdio = Stdio(stdout: try containerd.directory.fifo("out"), stderr: "/unused", terminal: true)
        let mount = Containerd_Mount.with {
            $0.type = "overlay"
            $0.source = "overlay"
            $0.options = ["lowerdir=/a", "upperdir=/b"]
        }
        try await containerd.create("vm", stdio: stdio) { $0.rootfs = [mount] }
        try await containerd.start("vm")
        try await containerd.kill("vm", 9)
        let exit = try await containerd.wait("vm")
        try await containerd.delete("vm")
        #expect(await eventually { containerd.inbox.envelopes.count == 4 })
        let envelopes = containerd.inbox.envelopes
        #expect(envelopes.allSatisfy { $0.namespace == "k8s.io" && $0.timestamp.seconds > 0 })
        #expect(containerd.inbox.namespaces == ["k8s.io"])
        #expect(
            envelopes.map(\.event.typeURL) == [
                "containerd.events.TaskCreate", "containerd.events.TaskStart", "containerd.events.TaskExit",
                "containerd.events.TaskDelete",
            ])
        let create = try Event_TaskCreate(serializedBytes: envelopes[0].event.value)
        #expect(create.containerID == "vm" && create.bundle == containerd.directory("vm") && create.pid == 1000)
        #expect(create.rootfs == [mount] && create.io.stdout == stdio.stdout && create.io.terminal)
        let start = try Event_TaskStart(serializedBytes: envelopes[1].event.value)
        #expect(start.containerID == "vm" && start.pid == 1000)
        let exited = try Event_TaskExit(serializedBytes: envelopes[2].event.value)
        #expect(exited.containerID == "vm" && exited.id == "vm" && exited.pid == 1000 && exited.exitStatus == 137)
        #expect(exited.exitedAt == exit.exitedAt)
        let deleted = try Event_TaskDelete(serializedBytes: envelopes[3].event.value)
        #expect(deleted.containerID == "vm" && deleted.id == "" && deleted.pid == 1000 && deleted.exitStatus == 137)
        #expect(deleted.exitedAt == exit.exitedAt)
    }

    @Test func pauseResumeAndExecs() async throws {
        let containerd = try Containerd()
        try await containerd.create("vm")
        try await containerd.start("vm")
        try await containerd.pause("vm")
        try await containerd.resume("vm")
        try await containerd.exec("vm", exec: "e")
        try await containerd.start("vm", exec: "e")
        _ = try await containerd.wait("vm", exec: "e")
        try await containerd.delete("vm", exec: "e")
        let expected = [
            "/tasks/create vm", "/tasks/start vm", "/tasks/paused vm", "/tasks/resumed vm", "/tasks/exec-added vm e",
            "/tasks/exec-started vm e", "/tasks/exit vm e 0", "/tasks/delete vm e 0",
        ]
        #expect(await eventually { containerd.inbox.lines.count >= expected.count })
        #expect(containerd.inbox.lines == expected)
    }

    @Test func whatBecomesOfNICs() async throws {
        let containerd = try Containerd()
        containerd.publisher.publish(.nic(id: "vm", link: "net1", .plugged))
        containerd.publisher.publish(.nic(id: "vm", link: "net2", .failed(reason: "no place")))
        containerd.publisher.publish(.nic(id: "vm", link: "net1", .unplugged))
        #expect(await eventually { containerd.inbox.envelopes.count == 3 })
        let envelopes = containerd.inbox.envelopes
        #expect(
            envelopes.map(\.topic) == ["/slipway/nic-plugged", "/slipway/nic-failed", "/slipway/nic-unplugged"])
        #expect(envelopes.allSatisfy { $0.event.typeURL == "google.protobuf.Struct" })
        let failed = try Google_Protobuf_Struct(serializedBytes: envelopes[1].event.value)
        #expect(
            failed.fields.mapValues(\.stringValue) == ["container_id": "vm", "link": "net2", "reason": "no place"])
    }

    // MARK: Delivery

    @Test func containerdIsThereLater() async throws {
        let containerd = try Containerd(listening: false)
        for index in 0..<50 { containerd.publisher.publish(.started(id: "c\(index)", pid: 1)) }
        try await containerd.create("pod")
        try containerd.inbox.start()
        #expect(await eventually(within: .seconds(20)) { containerd.inbox.lines.count == 51 })
        #expect(containerd.inbox.lines == topics(50) + ["/tasks/create pod"])
        #expect(containerd.complaints.all == [])
    }

    @Test func containerdIsAwayForAWhile() async throws {
        let containerd = try Containerd()
        for round in 0..<3 {
            containerd.publisher.publish(.started(id: "c\(round)", pid: 1))
            #expect(await eventually(within: .seconds(20)) { containerd.inbox.lines.count == round + 1 })
            await containerd.inbox.stop()
            try containerd.inbox.start()
        }
        #expect(containerd.inbox.lines == topics(3))
    }

    /// Tried at once, at once again, and 1, 2, 3 and 4 s later.
    @Test func anEventThatNobodyTakesIsDroppedAndTheNextOnesAreNot() async throws {
        let containerd = try Containerd()
        containerd.inbox.refuse("/tasks/oom")
        containerd.publisher.publish(.outOfMemory(id: "vm"))
        containerd.publisher.publish(.started(id: "c0", pid: 1))
        #expect(await eventually(within: .seconds(40)) { !containerd.inbox.lines.isEmpty })
        #expect(containerd.inbox.lines == topics(1) && containerd.inbox.attempts("/tasks/oom") == 6)
        #expect(containerd.complaints.all == ["event /tasks/oom was not delivered: refused"])
    }

    @Test func theQueueHasALimit() async throws {
        let containerd = try Containerd(listening: false)
        for index in 0..<3000 { containerd.publisher.publish(.started(id: "c\(index)", pid: 1)) }
        try containerd.inbox.start()
        let last = "/tasks/start c2999"
        #expect(await eventually(within: .seconds(40)) { containerd.inbox.lines.last == last })
        // One more may have been on its way when the queue was full.
        let lines = containerd.inbox.lines
        #expect((2048...2049).contains(lines.count))
        #expect(lines.suffix(2048) == topics(3000).suffix(2048))
    }

    @Test func withoutAnAddressNothingIsSent() async throws {
        let publisher = EventPublisher(address: "", namespace: "n") { Issue.record("\($0)") }
        publisher.publish(.outOfMemory(id: "vm"))
        await publisher.flush(milliseconds: 60_000)
    }

    // MARK: Flush

    private func milliseconds(_ body: () async throws -> Void) async rethrows -> Int64 {
        let start = Clock.milliseconds
        try await body()
        return Clock.milliseconds - start
    }

    @Test func flushReturnsWhenEverythingIsOut() async throws {
        let containerd = try Containerd()
        await containerd.publisher.flush(milliseconds: 60_000)
        for index in 0..<100 { containerd.publisher.publish(.started(id: "c\(index)", pid: 1)) }
        await containerd.publisher.flush(milliseconds: 60_000)
        #expect(containerd.inbox.lines == topics(100))
    }

    @Test(arguments: [false, true])
    func flushIsBounded(listening: Bool) async throws {
        let containerd = try Containerd(listening: listening)
        let gate = containerd.inbox.hang()
        defer { gate.open() }
        containerd.publisher.publish(.outOfMemory(id: "vm"))
        let spent = await milliseconds { await containerd.publisher.flush(milliseconds: 300) }
        #expect((299...9000).contains(spent))
    }

    /// A time that is up at once, from many at once: all of them come back.
    @Test func flushesThatHaveNoTime() async throws {
        let containerd = try Containerd()
        let gate = containerd.inbox.hang()
        defer { gate.open() }
        containerd.publisher.publish(.outOfMemory(id: "vm"))
        let spent = await milliseconds {
            await withTaskGroup(of: Void.self) { group in
                for index in 0..<500 {
                    group.addTask { await containerd.publisher.flush(milliseconds: Int64(index % 2)) }
                }
            }
        }
        #expect(spent < 20_000)
    }

    @Test func shutdownDoesNotWaitForContainerdForEver() async throws {
        let containerd = try Containerd()
        try await containerd.create("pod")
        #expect(await eventually { containerd.inbox.lines.count == 1 })
        let gate = containerd.inbox.hang()
        defer { gate.open() }
        try await containerd.delete("pod")
        let spent = try await milliseconds { try await containerd.shutdown("pod") }
        #expect(containerd.ended.isRaised && spent < 20_000)
    }

    // MARK: Out of memory

    /// containerd before 2.3 knows the reason from the event alone, which has to be there before Wait returns.
    @Test func outOfMemoryIsKnownBeforeWaitReturns() async throws {
        let containerd = try Containerd()
        try await containerd.create("vm")
        try await containerd.start("vm")
        let machine = try #require(containerd.host.machines.first)
        let waiting = Task { [containerd] in
            let exit = try await containerd.wait("vm")
            return (exit.exitStatus, containerd.inbox.lines)
        }
        machine.end(MachineExit(status: 137, outOfMemory: true, reason: "killed for memory"))
        let (status, lines) = try await waiting.value
        #expect(status == 137 && lines.contains("/tasks/oom vm"))
        #expect(await eventually { containerd.inbox.lines.count == 4 })
        #expect(containerd.inbox.lines.suffix(2) == ["/tasks/oom vm", "/tasks/exit vm vm 137"])
    }

    @Test func waitReturnsThoughContainerdTakesNoEvents() async throws {
        let containerd = try Containerd()
        try await containerd.create("vm")
        try await containerd.start("vm")
        let gate = containerd.inbox.hang()
        defer { gate.open() }
        containerd.host.machines.first?.end(MachineExit(status: 137, outOfMemory: true, reason: "killed for memory"))
        let spent = try await milliseconds { _ = try await containerd.wait("vm") }
        #expect(spent < 15_000)
    }
}

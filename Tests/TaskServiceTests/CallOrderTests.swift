import ContainerIO
import ContainerdAPI
import Glibc
import LinuxSystem
import Sandbox
import SandboxFakes
import SwiftProtobuf
import TTRPC
import TestSupport
import Testing

/// How a version of containerd plays the life of a pod.
struct Release: Sendable, CustomTestStringConvertible {
    var name: String
    var service: String
    /// Shutdown after every container, and not after the pod's own alone.
    var shutsDownEach: Bool
    /// Stats of a container that has ended with 137, for its out-of-memory kills.
    var asksForMemory = false

    var testDescription: String { name }

    static let all = [
        Release(name: "1.6", service: ServiceName.taskV2, shutsDownEach: true),
        Release(name: "1.7", service: ServiceName.taskV2, shutsDownEach: true),
        Release(name: "2.0.0 to 2.0.5 and 2.1.0", service: ServiceName.taskV2, shutsDownEach: false),
        Release(name: "2.0.6, 2.1.2 and 2.2", service: ServiceName.taskV2, shutsDownEach: true),
        Release(name: "2.3", service: ServiceName.taskV3, shutsDownEach: false, asksForMemory: true),
        Release(name: "after 2.3", service: ServiceName.taskV3, shutsDownEach: true, asksForMemory: true),
    ]
}

/// The CRI's side of a pod's life, call by call.
private struct Player {
    let containerd: Containerd
    let release: Release

    init(_ release: Release) throws {
        self.release = release
        containerd = try Containerd(release.service)
    }

    /// Create, Connect, then Connect and Wait in the background while Start runs, then State.
    ///
    /// - Returns: the pending Wait.
    func run(_ id: String, stdio: Stdio = Stdio()) async throws -> Task<Task_WaitResponse, any Error> {
        try await containerd.create(id, stdio: stdio)
        #expect(try await containerd.state(id).status == .created)
        let connected = try await containerd.connect(id)
        #expect(connected.taskPid > 0 && connected.shimPid == UInt32(getpid()) && connected.version == "1.2.3")
        let containerd = containerd
        let waiting = Task {
            try await containerd.connect(id)
            return try await containerd.wait(id)
        }
        try await containerd.start(id)
        let state = try await containerd.state(id)
        #expect(state.status == .running && state.pid == connected.taskPid && state.id == id)
        #expect(state.stdin == stdio.stdin && state.stdout == stdio.stdout && state.stderr == stdio.stderr)
        return waiting
    }

    /// What follows when Wait has returned.
    func ended(_ id: String, status: UInt32) async throws {
        let state = try await containerd.state(id)
        #expect(state.status == .stopped && state.exitStatus == status && state.hasExitedAt)
        if release.asksForMemory, status == 137 {
            let answer = await code { try await containerd.stats(id) }
            #expect(answer == (id == "pod" ? .notFound : nil))
        }
        // The task is loaded and waited for once more before it is deleted with a kill.
        try await containerd.connect(id)
        #expect(try await containerd.wait(id).exitStatus == status)
        #expect(await code { try await containerd.kill(id, 9, all: true) } == .notFound)
        #expect(try await containerd.state(id).status == .stopped)
        let deleted = try await containerd.delete(id)
        #expect(deleted.exitStatus == status && deleted.exitedAt == state.exitedAt && deleted.pid == state.pid)
        #expect(await code { try await containerd.delete(id) } == .notFound)
        if release.shutsDownEach || id == "pod" { try await containerd.shutdown(id) }
    }
}

@Suite(.timeLimit(.minutes(1))) struct CallOrderTests {
    @Test(arguments: Release.all)
    func aPodThatIsStoppedAndRemoved(_ release: Release) async throws {
        let player = try Player(release)
        let containerd = player.containerd
        let pod = try await player.run("pod")
        let machine = try await player.run("vm", stdio: Stdio(stdout: try containerd.directory.fifo("stdout")))

        // StopContainer: the power button, then the grace period's end.
        #expect(try await containerd.state("vm").status == .running)
        try await containerd.kill("vm", 15)
        try await containerd.kill("vm", 9)
        #expect(try await machine.value.exitStatus == 137)
        try await player.ended("vm", status: 137)
        #expect(!containerd.ended.isRaised)

        // StopPodSandbox.
        #expect(await code { try await containerd.kill("vm", 9) } == .notFound)
        #expect(try await containerd.state("pod").status == .running)
        try await containerd.kill("pod", 9)
        #expect(try await pod.value.exitStatus == 137)
        try await player.ended("pod", status: 137)

        #expect(await eventually { containerd.ended.isRaised })
        #expect(
            containerd.inbox.lines == [
                "/tasks/create pod", "/tasks/start pod", "/tasks/create vm", "/tasks/start vm", "/tasks/exit vm vm 137",
                "/tasks/delete vm  137", "/tasks/exit pod pod 137", "/tasks/delete pod  137",
            ])
        #expect(
            containerd.host.journal.all == ["prepare pod", "create vm", "remove vm", "remove pod", "close"])
    }

    /// restartPolicy: the container ends by itself, and another one comes in the same sandbox.
    @Test(arguments: Release.all)
    func aContainerThatIsStartedAgain(_ release: Release) async throws {
        let player = try Player(release)
        let containerd = player.containerd
        let pod = try await player.run("pod")
        for (index, id) in ["vm-0", "vm-1", "vm-2"].enumerated() {
            let waiting = try await player.run(id)
            containerd.host.machines[index].end(status: UInt32(index))
            #expect(try await waiting.value.exitStatus == UInt32(index))
            try await player.ended(id, status: UInt32(index))
            #expect(!containerd.ended.isRaised)
        }
        try await containerd.kill("pod", 9)
        _ = try await pod.value
        try await player.ended("pod", status: 137)
        #expect(await eventually { containerd.ended.isRaised })
    }

    /// StopPodSandbox without a StopContainer: the pod's end takes the machine with it.
    @Test(arguments: Release.all)
    func aPodWhoseContainerStillRuns(_ release: Release) async throws {
        let player = try Player(release)
        let pod = try await player.run("pod")
        let machine = try await player.run("vm")
        try await player.containerd.kill("pod", 9)
        #expect(try await machine.value.exitStatus == 137)
        #expect(try await pod.value.exitStatus == 137)
        try await player.ended("pod", status: 137)
        #expect(!player.containerd.ended.isRaised)
        try await player.ended("vm", status: 137)
        if release.shutsDownEach { #expect(await eventually { player.containerd.ended.isRaised }) }
    }

    /// A failed Create is followed by Delete and Shutdown.
    @Test(arguments: Release.all)
    func aCreateThatFails(_ release: Release) async throws {
        let player = try Player(release)
        let containerd = player.containerd
        let pod = try await player.run("pod")
        containerd.host.fail("create vm")
        #expect(await code { try await containerd.create("vm") } == .internal)
        #expect(await code { try await containerd.delete("vm") } == .notFound)
        try await containerd.shutdown("vm")
        #expect(try await containerd.state("pod").status == .running)
        // The next try may succeed, under the same id too.
        containerd.host.fail("create vm", false)
        let machine = try await player.run("vm")
        try await containerd.kill("vm", 9)
        _ = try await machine.value
        try await containerd.delete("vm")
        try await containerd.kill("pod", 9)
        _ = try await pod.value
        try await player.ended("pod", status: 137)
        #expect(await eventually { containerd.ended.isRaised })
    }

    /// The sandbox's own Create fails: Shutdown is the last that the process hears.
    @Test func aSandboxThatCannotBeCreatedEnds() async throws {
        let containerd = try Containerd()
        containerd.host.fail("prepare pod")
        #expect(await code { try await containerd.create("pod") } == .internal)
        #expect(await code { try await containerd.delete("pod") } == .notFound)
        try await containerd.shutdown("pod")
        #expect(containerd.ended.isRaised && containerd.host.journal.all == ["prepare pod", "close"])
        #expect(containerd.inbox.lines == [])
    }

    /// A Delete with a kill of a container that was never started.
    @Test(arguments: Release.all)
    func aCreatedContainerIsDeleted(_ release: Release) async throws {
        let player = try Player(release)
        let containerd = player.containerd
        let pod = try await player.run("pod")
        try await containerd.create("vm")
        async let waiting = containerd.wait("vm")
        try await containerd.kill("vm", 9, all: true)
        #expect(try await waiting.exitStatus == 137)
        #expect(try await containerd.delete("vm").exitStatus == 137)
        #expect(containerd.host.journal.contains("remove vm"))
        try await containerd.kill("pod", 9)
        #expect(try await pod.value.exitStatus == 137)
    }

    // MARK: Restart of containerd

    /// Connect, Pids and twice State for each bundle, then Wait again; nothing of it is asked of the machine.
    @Test(arguments: [ServiceName.taskV2, ServiceName.taskV3])
    func containerdRestarts(service: String) async throws {
        let release = Release(name: "", service: service, shutsDownEach: service == ServiceName.taskV2)
        let player = try Player(release)
        let containerd = player.containerd
        let stdio = Stdio(
            stdin: try containerd.directory.fifo("in"), stdout: try containerd.directory.fifo("out"),
            stderr: try containerd.directory.fifo("err"))
        let lost = [try await player.run("pod"), try await player.run("vm", stdio: stdio)]
        #expect(await eventually { containerd.inbox.lines.count == 4 })
        await containerd.inbox.stop()
        try containerd.reconnect()
        for wait in lost { #expect(await code { _ = try await wait.value } == .unavailable) }

        try containerd.inbox.start()
        for id in ["pod", "vm"] {
            let pid = try await containerd.connect(id).taskPid
            // An empty list makes containerd 1.7 to 2.3 take the shim for a leaked one and end it.
            #expect(try await containerd.pids(id).map(\.pid) == [pid])
            for _ in 0..<2 {
                let state = try await containerd.state(id)
                #expect(state.status == .running && state.pid == pid)
                if id == "vm" {
                    #expect(state.stdin == stdio.stdin && state.stdout == stdio.stdout && state.stderr == stdio.stderr)
                }
            }
        }
        #expect(containerd.host.machines.first?.journal.all == ["resume"])

        async let machine = containerd.wait("vm")
        try await containerd.kill("vm", 9)
        #expect(try await machine.exitStatus == 137)
        try await player.ended("vm", status: 137)
        try await containerd.kill("pod", 9)
        try await player.ended("pod", status: 137)
        #expect(await eventually { containerd.ended.isRaised })
        #expect(
            containerd.inbox.lines.dropFirst(4) == [
                "/tasks/exit vm vm 137", "/tasks/delete vm  137", "/tasks/exit pod pod 137", "/tasks/delete pod  137",
            ])
    }

    /// What ended while containerd was away is told when it comes back.
    @Test func aMachineThatEndsWhileContainerdIsAway() async throws {
        let player = try Player(Release.all[0])
        let containerd = player.containerd
        _ = try await player.run("pod")
        _ = try await player.run("vm")
        #expect(await eventually { containerd.inbox.lines.count == 4 })
        await containerd.inbox.stop()
        try containerd.reconnect()
        containerd.host.machines.first?.end(status: 3)
        try containerd.inbox.start()
        #expect(try await containerd.wait("vm").exitStatus == 3)
        try await player.ended("vm", status: 3)
        #expect(await eventually { containerd.inbox.lines.contains("/tasks/delete vm  3") })
        #expect(containerd.inbox.lines.count == 6, "\(containerd.inbox.lines)")
    }

    // MARK: Shutdown

    @Test func shutdownIsNothingWhileThereIsAContainer() async throws {
        let containerd = try Containerd()
        try await containerd.create("pod")
        try await containerd.shutdown("pod")
        try await containerd.start("pod")
        try await containerd.shutdown("other")
        #expect(try await containerd.state("pod").status == .running)
        try await containerd.kill("pod", 9)
        _ = try await containerd.wait("pod")
        try await containerd.shutdown("pod")
        #expect(try await containerd.state("pod").status == .stopped && !containerd.ended.isRaised)
        try await containerd.delete("pod")
        try await containerd.shutdown("pod")
        #expect(containerd.ended.isRaised)
        // The last events are out before the process may end.
        #expect(containerd.inbox.lines.last == "/tasks/delete pod  137")
        #expect(await code { try await containerd.create("pod") } == .unavailable)
    }

    @Test func shutdownNowEndsWhatRuns() async throws {
        let containerd = try Containerd()
        try await containerd.create("pod")
        try await containerd.start("pod")
        try await containerd.create("vm")
        try await containerd.start("vm")
        try await containerd.shutdown("pod", now: true)
        #expect(containerd.ended.isRaised && containerd.host.machines.first?.journal.contains("kill") == true)
        #expect(containerd.host.journal.all.last == "close")
    }
}

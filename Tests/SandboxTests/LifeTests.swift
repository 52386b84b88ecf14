import Cgroup
import ContainerIO
import LinuxSystem
import Sandbox
import SandboxFakes
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct LifeTests {
    @Test func createStartKillWaitDelete() async throws {
        let pod = try Pod()
        let sandbox = pod.sandbox
        #expect(try await pod.create("pod") == Pod.pid)
        #expect(try await sandbox.start("pod") == Pod.pid)
        #expect(try await pod.create("vm") == 1000)
        #expect(try await sandbox.status("vm").state == .created)
        let machine = try #require(pod.host.machines.first)
        #expect(machine.journal.all == [])
        #expect(try await sandbox.start("vm") == 1000)
        #expect(machine.journal.all == ["resume"])
        #expect(try await sandbox.status("vm").state == .running)
        #expect(await sandbox.pid(of: "vm") == 1000)
        #expect(await sandbox.pid(of: "unknown") == Pod.pid)

        try await sandbox.kill("vm", signal: 9)
        #expect(try await sandbox.wait("vm").status == 137)
        let status = try await sandbox.status("vm")
        #expect(status.state == .stopped && status.exit?.status == 137 && status.pid == 1000)
        // The end that is already known is told at once.
        #expect(try await sandbox.wait("vm").status == 137)
        #expect(try await sandbox.wait("vm") == status.exit)

        let (pid, exit) = try await sandbox.delete("vm")
        #expect(pid == 1000 && exit == status.exit)
        #expect(pod.host.journal.all == ["prepare pod", "create vm", "remove vm"])
        #expect(
            pod.events.all == [
                "created pod \(Pod.pid)", "started pod \(Pod.pid)", "created vm 1000", "started vm 1000",
                "exited vm/vm 1000 137", "deleted vm/ 1000 137",
            ])
        #expect(await pod.code { _ = try await $0.status("vm") } == .notFound)
        #expect(await pod.code { _ = try await $0.delete("vm") } == .notFound)
    }

    @Test func everyOperationOnAnUnknownContainerIsNotFound() async throws {
        let pod = try Pod()
        #expect(await pod.code { _ = try await $0.start("x") } == .notFound)
        #expect(await pod.code { _ = try await $0.start("x", exec: "e") } == .notFound)
        #expect(await pod.code { _ = try await $0.status("x") } == .notFound)
        #expect(await pod.code { _ = try await $0.wait("x") } == .notFound)
        #expect(await pod.code { _ = try await $0.delete("x") } == .notFound)
        #expect(await pod.code { _ = try await $0.pids(of: "x") } == .notFound)
        #expect(await pod.code { _ = try await $0.metrics("x") } == .notFound)
        #expect(await pod.code { try await $0.kill("x", signal: 9) } == .notFound)
        #expect(await pod.code { try await $0.pause("x") } == .notFound)
        #expect(await pod.code { try await $0.resume("x") } == .notFound)
        #expect(await pod.code { try await $0.update("x", CgroupResources()) } == .notFound)
        #expect(await pod.code { try await $0.closeInput("x") } == .notFound)
        #expect(await pod.code { try await $0.resize("x") } == .notFound)
        #expect(
            await pod.code { try await $0.exec("x", exec: "e", stdio: Stdio(), arguments: ["a"], environment: []) }
                == .notFound)
    }

    // MARK: Waiting

    @Test func waitingBeforeTheStartAndManyAtOnce() async throws {
        let pod = try Pod()
        try await pod.create("vm")
        let sandbox = pod.sandbox
        async let early = (sandbox.wait("vm"), sandbox.wait("vm"))
        _ = try await sandbox.start("vm")
        try await withThrowingTaskGroup(of: Exit.self) { group in
            for _ in 0..<50 { group.addTask { try await sandbox.wait("vm") } }
            pod.host.machines.first?.end(status: 7)
            for try await exit in group { #expect(exit.status == 7) }
        }
        let (one, two) = try await early
        #expect(one.status == 7 && one == two)
        #expect(pod.events.all.filter { $0.hasPrefix("exited") } == ["exited vm/vm 1000 7"])
    }

    @Test func aWaiterIsAnsweredWhenAContainerIsDeletedThatNeverStarted() async throws {
        let pod = try Pod()
        try await pod.create("pod")
        try await pod.create("vm")
        let sandbox = pod.sandbox
        async let waits = (sandbox.wait("vm"), sandbox.wait("pod"))
        #expect(await eventually { await pod.code { _ = try await $0.status("vm") } == nil })
        #expect(try await sandbox.delete("vm").exit.status == 137)
        #expect(try await sandbox.delete("pod").exit.status == 137)
        // A waiter that came late is told that there is nothing to wait for.
        if let ends = try? await waits { #expect(ends.0.status == 137 && ends.1.status == 137) }
        #expect(pod.host.journal.all.contains("remove vm"))
        #expect(pod.host.machines.first?.journal.all == ["kill"])
    }

    // MARK: States

    @Test func whatACreatedContainerTakes() async throws {
        let pod = try Pod()
        try await pod.create("vm")
        #expect(await pod.code { try await $0.pause("vm") } == .failedPrecondition)
        #expect(await pod.code { try await $0.resume("vm") } == .failedPrecondition)
        #expect(
            await pod.code { try await $0.exec("vm", exec: "e", stdio: Stdio(), arguments: ["a"], environment: []) }
                == .failedPrecondition)
        try await pod.sandbox.kill("vm", signal: 0)
        // The power button of a machine that does not run yet would do nothing: it is ended.
        try await pod.sandbox.kill("vm", signal: 15)
        #expect(try await pod.sandbox.wait("vm").status == 137)
        #expect(await pod.code { _ = try await $0.start("vm") } == .failedPrecondition)
        _ = try await pod.sandbox.delete("vm")
        #expect(pod.events.all == ["created vm 1000", "exited vm/vm 1000 137", "deleted vm/ 1000 137"])
    }

    @Test func whatARunningContainerRefuses() async throws {
        let (pod, _) = try await Pod.running()
        #expect(await pod.code { _ = try await $0.start("vm") } == .failedPrecondition)
        #expect(await pod.code { _ = try await $0.delete("vm") } == .failedPrecondition)
        #expect(await pod.code { _ = try await $0.delete("pod") } == .failedPrecondition)
        #expect(await pod.code { try await $0.resume("vm") } == .failedPrecondition)
        #expect(await pod.code { try await $0.kill("vm", signal: 65) } == .invalidArgument)
        #expect(await pod.code { try await $0.kill("vm", signal: .max) } == .invalidArgument)
        await #expect(
            throws: SandboxError(
                .failedPrecondition, "container vm: cannot delete while running; accepted while created or stopped")
        ) {
            _ = try await pod.sandbox.delete("vm")
        }
        #expect(try await pod.sandbox.status("vm").state == .running)
    }

    @Test func whatAStoppedContainerRefuses() async throws {
        let (pod, machine) = try await Pod.running()
        machine.end(status: 0)
        _ = try await pod.sandbox.wait("vm")
        for signal: UInt32 in [0, 9, 15, 10] {
            #expect(await pod.code { try await $0.kill("vm", signal: signal, all: true) } == .notFound)
        }
        #expect(await pod.code { try await $0.update("vm", CgroupResources()) } == .notFound)
        #expect(await pod.code { try await $0.pause("vm") } == .failedPrecondition)
        #expect(await pod.code { _ = try await $0.start("vm") } == .failedPrecondition)
        // Asked after an exit 137, to see whether memory was the cause.
        _ = try await pod.sandbox.metrics("vm")
        try await pod.sandbox.closeInput("vm")
        try await pod.sandbox.resize("vm")
    }

    @Test func pauseAndResume() async throws {
        let (pod, machine) = try await Pod.running()
        try await pod.sandbox.pause("vm")
        #expect(try await pod.sandbox.status("vm").state == .paused)
        #expect(await pod.code { try await $0.pause("vm") } == .failedPrecondition)
        #expect(await pod.code { _ = try await $0.delete("vm") } == .failedPrecondition)
        try await pod.sandbox.resume("vm")
        #expect(try await pod.sandbox.status("vm").state == .running)
        #expect(machine.journal.all == ["resume", "pause", "resume"])
        #expect(pod.events.all.suffix(2) == ["paused vm", "resumed vm"])
        try await pod.sandbox.pause("vm")
        machine.end(status: 3)
        #expect(try await pod.sandbox.wait("vm").status == 3)
        #expect(await pod.code { try await $0.pause("pod") } == .failedPrecondition)
    }

    @Test func aMachineThatEndsWhileItIsPausedIsNotPaused() async throws {
        let gate = Gate()
        let pod = try Pod()
        pod.host.behave { $0.gates["pause"] = gate }
        try await pod.create("vm")
        _ = try await pod.sandbox.start("vm")
        let machine = try #require(pod.host.machines.first)
        async let pausing: Void = pod.sandbox.pause("vm")
        #expect(await eventually { machine.journal.contains("pause") })
        machine.end(status: 4)
        #expect(try await pod.sandbox.wait("vm").status == 4)
        gate.open()
        try await pausing
        #expect(try await pod.sandbox.status("vm").state == .stopped)
        #expect(!pod.events.all.contains("paused vm"))
    }

    // MARK: Start

    @Test func anExitDuringTheStartIsReportedAfterIt() async throws {
        let gate = Gate()
        let pod = try Pod()
        pod.host.behave { $0.gates["resume"] = gate }
        try await pod.create("vm")
        let machine = try #require(pod.host.machines.first)
        async let start = pod.sandbox.start("vm")
        #expect(await eventually { machine.journal.contains("resume") })
        machine.end(status: 71)
        // It is on its way through the actor; the state must not tell before the start does.
        for _ in 0..<100 { #expect(try await pod.sandbox.status("vm").state == .running) }
        gate.open()
        #expect(try await start == 1000)
        #expect(try await pod.sandbox.wait("vm").status == 71)
        #expect(pod.events.all == ["created vm 1000", "started vm 1000", "exited vm/vm 1000 71"])
    }

    @Test func aStartThatFailsLeavesTheContainerCreated() async throws {
        let pod = try Pod()
        pod.host.behave { $0.failures = ["resume"] }
        try await pod.create("vm")
        await #expect(throws: FakeError(call: "resume")) { try await pod.sandbox.start("vm") }
        #expect(try await pod.sandbox.status("vm").state == .created)
        _ = try await pod.sandbox.delete("vm")
    }

    @Test func twoStartsAtOnceAreOne() async throws {
        let gate = Gate()
        let pod = try Pod()
        pod.host.behave { $0.gates["resume"] = gate }
        try await pod.create("vm")
        async let first = pod.sandbox.start("vm")
        #expect(await eventually { pod.host.machines.first?.journal.contains("resume") == true })
        #expect(await pod.code { _ = try await $0.start("vm") } == .failedPrecondition)
        #expect(await pod.code { _ = try await $0.delete("vm") } == .failedPrecondition)
        gate.open()
        _ = try await first
    }

    // MARK: The end of a machine

    @Test func containerdHearsOfMemoryBeforeWaitReturns() async throws {
        let delivery = Gate()
        let (pod, machine) = try await Pod.running(delivery: delivery)
        let answered = Flag()
        let wait = Task {
            defer { answered.raise() }
            return try await pod.sandbox.wait("vm")
        }
        machine.end(MachineExit(status: 137, outOfMemory: true, reason: "memory"))
        #expect(await eventually { pod.events.all.contains("oom vm") })
        // Delivery takes its time: nobody is told of the end until then.
        for _ in 0..<100 { #expect(try await pod.sandbox.status("vm").state == .running) }
        #expect(!answered.isRaised)
        delivery.open()
        #expect(try await wait.value.status == 137)
        #expect(pod.events.all.suffix(2) == ["oom vm", "exited vm/vm 1000 137"])
    }

    @Test func thePowerButtonIsPressedUntilTheMachineEnds() async throws {
        let (pod, machine) = try await Pod.running()
        try await pod.sandbox.kill("vm", signal: 15)
        try await pod.sandbox.kill("vm", signal: 15)
        #expect(await eventually { machine.journal.contains("shutdown 1") })
        #expect(machine.journal.all == ["resume", "shutdown 0", "shutdown 1"])
        machine.end(status: 0)
        #expect(try await pod.sandbox.wait("vm").status == 0)
        #expect(!machine.journal.contains("kill"))
    }

    @Test(arguments: [1, 2, 3, 15, 30, 37] as [UInt32])
    func signalsThatPressThePowerButton(signal: UInt32) async throws {
        let (pod, machine) = try await Pod.running()
        try await pod.sandbox.kill("vm", signal: signal)
        #expect(await eventually { machine.journal.contains("shutdown 0") })
        try await pod.sandbox.kill("vm", signal: 9)
        #expect(try await pod.sandbox.wait("vm").status == 137)
    }

    /// A process that QEMU left behind holds the serial port open.
    @Test func deleteDoesNotWaitForTheSerialPortForEver() async throws {
        let pod = try Pod()
        pod.host.behave { $0.serialOutlivesIt = true }
        try await pod.create("vm", stdio: Stdio(stdout: "file://" + pod.directory("log")))
        _ = try await pod.sandbox.start("vm")
        let machine = try #require(pod.host.machines.first)
        try machine.guest.write(Array("last words\n".utf8))
        machine.end(status: 0)
        let start = ContinuousClock.now
        _ = try await pod.sandbox.wait("vm")
        _ = try await pod.sandbox.delete("vm")
        #expect(ContinuousClock.now - start < .seconds(8))
        #expect(try File.text(pod.directory("log")) == "last words\n")
    }

    // MARK: Several containers

    @Test func idsAreUnique() async throws {
        let pod = try Pod()
        try await pod.create("pod")
        #expect(await pod.code { _ in try await pod.create("pod") } == .alreadyExists)
        let gate = pod.host.close("create vm")
        async let first = pod.create("vm")
        #expect(await eventually { pod.host.journal.contains("create vm") })
        #expect(await pod.code { _ in try await pod.create("vm") } == .alreadyExists)
        gate.open()
        #expect(try await first == 1000)
        #expect(await pod.code { _ in try await pod.create("vm") } == .alreadyExists)
    }

    @Test func aSecondMachineIsRefused() async throws {
        let pod = try Pod()
        try await pod.create("pod")
        let gate = pod.host.close("create vm")
        async let first = pod.create("vm")
        #expect(await eventually { pod.host.journal.contains("create vm") })
        // The first one is not even there yet.
        #expect(await pod.code { _ in try await pod.create("other") } == .failedPrecondition)
        gate.open()
        _ = try await first
        await #expect(
            throws: SandboxError(
                .failedPrecondition,
                "container other: the pod has a machine already (container vm); a pod has one machine")
        ) {
            try await pod.create("other")
        }
        #expect(await pod.code { _ = try await $0.status("other") } == .notFound)
    }

    @Test func aMachineThatEndedIsReplaced() async throws {
        let (pod, machine) = try await Pod.running()
        machine.end(status: 1)
        _ = try await pod.sandbox.wait("vm")
        // The kubelet creates the new container before it removes the old one.
        #expect(try await pod.create("vm2") == 1001)
        _ = try await pod.sandbox.start("vm2")
        _ = try await pod.sandbox.delete("vm")
        #expect(try await pod.sandbox.status("vm2").state == .running)
        // A failed creation does not stand in the way of the next one.
        pod.host.machines.last?.end(status: 1)
        _ = try await pod.sandbox.wait("vm2")
        pod.host.fail("create vm3")
        #expect(await pod.code { _ in try await pod.create("vm3") } == .internalError)
        pod.host.fail("create vm3", false)
        #expect(try await pod.create("vm3") == 1002)
    }

    @Test func killingThePodEndsItsMachine() async throws {
        let (pod, machine) = try await Pod.running()
        try await pod.sandbox.kill("pod", signal: 9)
        #expect(try await pod.sandbox.wait("pod").status == 137)
        #expect(try await pod.sandbox.wait("vm").status == 137)
        #expect(machine.journal.contains("kill"))
        #expect(await pod.code { try await $0.kill("pod", signal: 9) } == .notFound)
        #expect(await pod.code { _ = try await $0.metrics("pod") } == .notFound)
    }

    @Test func thePodItselfHasNoMachine() async throws {
        let (pod, _) = try await Pod.running()
        #expect(try await pod.sandbox.pids(of: "pod").map(\.pid) == [Pod.pid])
        #expect(await pod.code { try await $0.resume("pod") } == .failedPrecondition)
        #expect(
            await pod.code { try await $0.exec("pod", exec: "e", stdio: Stdio(), arguments: ["a"], environment: []) }
                == .failedPrecondition)
        try await pod.sandbox.update("pod", CgroupResources())
        try await pod.sandbox.kill("pod", signal: 15)
        #expect(try await pod.sandbox.wait("pod").status == 143)
    }

    // MARK: Delete, Shutdown and the end

    @Test func deleteWaitsForACreateThatIsUnderWay() async throws {
        let pod = try Pod()
        let gate = pod.host.close("create vm")
        async let created = pod.create("vm")
        #expect(await eventually { pod.host.journal.contains("create vm") })
        async let deleted = pod.sandbox.delete("vm")
        gate.open()
        #expect(try await created == 1000)
        #expect(try await deleted.exit.status == 137)
        #expect(pod.host.machines.first?.journal.contains("kill") == true)
    }

    @Test func twoDeletesAtOnce() async throws {
        let (pod, machine) = try await Pod.running()
        machine.end(status: 0)
        _ = try await pod.sandbox.wait("vm")
        let gate = pod.host.close("remove vm")
        async let codes = [pod.code { _ = try await $0.delete("vm") }, pod.code { _ = try await $0.delete("vm") }]
        #expect(await eventually { pod.host.journal.contains("remove vm") })
        gate.open()
        #expect(await codes.count { $0 == nil } == 1)
        #expect(await codes.count { $0 == .notFound } == 1)
        #expect(pod.events.all.count { $0 == "deleted vm/ 1000 0" } == 1)
    }

    @Test func shutdownIsIgnoredWhileThereAreContainers() async throws {
        let (pod, machine) = try await Pod.running()
        await pod.sandbox.shutdown(now: false)
        #expect(!pod.ended.isRaised && !pod.host.journal.contains("close"))
        machine.end(status: 0)
        _ = try await pod.sandbox.wait("vm")
        _ = try await pod.sandbox.delete("vm")
        await pod.sandbox.shutdown(now: false)
        #expect(!pod.ended.isRaised)
        try await pod.sandbox.kill("pod", signal: 9)
        _ = try await pod.sandbox.delete("pod")
        await pod.sandbox.shutdown(now: false)
        #expect(pod.ended.isRaised)
        #expect(pod.host.journal.all.suffix(2) == ["remove pod", "close"])
        await pod.sandbox.shutdown(now: false)
        #expect(pod.host.journal.all.count { $0 == "close" } == 1)
        #expect(await pod.code { _ in try await pod.create("late") } == .unavailable)
    }

    @Test func shutdownNowEndsEverything() async throws {
        let (pod, machine) = try await Pod.running()
        await pod.sandbox.shutdown(now: true)
        #expect(pod.ended.isRaised)
        #expect(machine.journal.contains("kill"))
        #expect(pod.host.journal.all.suffix(3).sorted() == ["close", "remove pod", "remove vm"])
    }

    @Test func aMachineThatAppearsDuringTheShutdownIsEnded() async throws {
        let pod = try Pod()
        let gate = pod.host.close("create vm")
        async let code = pod.code { _ in try await pod.create("vm") }
        #expect(await eventually { pod.host.journal.contains("create vm") })
        async let shutdown: Void = pod.sandbox.shutdown(now: true)
        #expect(await eventually { await pod.code { _ in try await pod.create("late") } == .unavailable })
        gate.open()
        #expect(await code == .unavailable)
        await shutdown
        #expect(pod.host.machines.first?.journal.all == ["kill"])
        #expect(pod.host.journal.contains("remove vm"))
    }

    @Test func aPodThatIsDeletedEndsWithoutShutdown() async throws {
        let pod = try Pod()
        try await pod.create("pod")
        _ = try await pod.sandbox.start("pod")
        try await pod.sandbox.kill("pod", signal: 9)
        _ = try await pod.sandbox.delete("pod")
        #expect(!pod.ended.isRaised)
        #expect(await eventually(within: .seconds(20)) { pod.ended.isRaised })
        #expect(pod.host.journal.all.last == "close")
    }

    // MARK: Machines that hang

    @Test func theSandboxAnswersWhileEveryCallToTheMachineHangs() async throws {
        let pod = try Pod()
        let never = Gate()
        pod.host.behave { behaviour in
            for call in ["pause", "shutdown 0", "update 5", "execute"] { behaviour.gates[call] = never }
        }
        try await pod.create("pod")
        try await pod.create("vm")
        _ = try await pod.sandbox.start("vm")
        let machine = try #require(pod.host.machines.first)
        try await pod.sandbox.exec("vm", exec: "e", stdio: Stdio(), arguments: ["a"], environment: [])
        _ = try await pod.sandbox.start("vm", exec: "e")
        let sandbox = pod.sandbox
        let hanging = [
            Task { try await sandbox.pause("vm") },
            Task {
                var resources = CgroupResources()
                resources.memoryLimit = 5
                try await sandbox.update("vm", resources)
            },
        ]
        try await sandbox.kill("vm", signal: 15)
        #expect(
            await eventually {
                ["pause", "shutdown 0", "update 5", "execute"].allSatisfy { machine.journal.contains($0) }
            })

        let start = ContinuousClock.now
        for _ in 0..<10 {
            #expect(try await sandbox.status("vm").state == .running)
            #expect(try await sandbox.status("vm", exec: "e").state == .running)
            #expect(try await sandbox.pids(of: "vm").map(\.exec) == [nil, "e"])
            _ = try await sandbox.metrics("vm")
            _ = await sandbox.pid(of: "vm")
        }
        #expect((ContinuousClock.now - start) / 50 < .milliseconds(100))
        try await sandbox.kill("vm", signal: 9)
        #expect(try await sandbox.wait("vm").status == 137)
        _ = try await sandbox.delete("vm")
        never.open()
        for task in hanging { try await task.value }
    }

    @Test func theSandboxAnswersWhileTheHostHangs() async throws {
        let pod = try Pod()
        try await pod.create("pod")
        let gate = pod.host.close("create vm")
        async let created = pod.create("vm")
        #expect(await eventually { pod.host.journal.contains("create vm") })
        #expect(try await pod.sandbox.status("pod").state == .created)
        #expect(await pod.code { _ = try await $0.status("vm") } == .notFound)
        gate.open()
        _ = try await created
    }
}

import CRIProtocol
import FoundationEssentials
import Glibc
import HostTopology
import LinuxSystem
import MachineVerification
import StateDirectory
import SwiftProtobuf
import TestSupport
import Testing

extension CRILinuxContainerResources {
    /// What a kubelet with the static CPU manager gives to a Guaranteed pod.
    mutating func grant(cpus: CPUSet) {
        cpusetCpus = "\(cpus)"
        cpuShares = Int64(cpus.count) * 1024
        cpuQuota = Int64(cpus.count) * 100_000
    }

    /// Pages of 2 MiB, as the kubelet lists them.
    mutating func grant(pages: UInt64) {
        hugepageLimits = [
            .with {
                $0.pageSize = "2MB"
                $0.limit = pages << 21
            },
            .with { $0.pageSize = "1GB" },
        ]
    }
}

/// CPUs and huge pages of this machine's one node. `make test` puts pages into its pool: Tests/node/hugepages.sh.
@Suite(.serialized, .timeLimit(.minutes(10))) struct PlacementTests {
    private static var freePages: UInt64 {
        get throws { try HostTopology.read(devices: []).nodes.reduce(0) { $0 + $1.freePages(size: 2 << 20) } }
    }

    /// What `slipway verify` says of all machines.
    private func expectAsPlanned(_ count: Int, _ location: SourceLocation = #_sourceLocation) throws {
        let machines = VerifiedMachine.all(on: try HostTopology.read())
        #expect(machines.count == count, sourceLocation: location)
        for machine in machines { #expect(!machine.hasDrifted, "\(machine.drift)", sourceLocation: location) }
    }

    /// Plays a pod in an own sandbox; the refusal, or nil when it runs.
    private func refusal(_ pod: inout Pod, attempt: UInt32 = 0, _ more: (inout CRILinuxContainerResources) -> Void)
        async throws -> String?
    {
        do {
            try await pod.start(memory: 400 << 20, attempt: attempt, more)
            return nil
        } catch let error as CRIError {
            return error.message
        }
    }

    @Test func vCPUsArePinnedAndRAMIsOnHugePages() async throws {
        let before = Node.remains()
        let free = try Self.freePages
        try await Node.connected { runtime in
            var pod = try await Pod(runtime, "pages")
            try await pod.start(memory: 400 << 20) {
                $0.grant(cpus: [0, 1])
                $0.grant(pages: 96)
            }
            #expect(try Self.freePages == free - 96)
            let qemu = try #require(try pod.record.machine?.process?.pid)
            let threads = try File.list("/proc/\(qemu)/task").map { "/proc/\(qemu)/task/\($0)" }
            for (vcpu, cpu) in [(0, "0"), (1, "1")] {
                let thread = try #require(
                    threads.first { (try? File.text("\($0)/comm"))?.hasPrefix("CPU \(vcpu)/") == true })
                #expect(try File.text("\(thread)/status").contains("Cpus_allowed_list:\t\(cpu)\n"))
            }
            try expectAsPlanned(1)
            await pod.expect("tiny-vnf: ready")
            #expect(try await pod.run("/bin/sh", "-c", "cat /sys/devices/system/node/node0/cpulist") == "0-1\n")
            // The guest's own description of where it is.
            #expect(try await pod.run("/bin/sh", "-c", "nproc") == "2\n")
            try await pod.remove()
        }
        #expect(try Self.freePages == free, "the pages came back")
        await Node.expectNothingLeft(since: before)
    }

    @Test func tooFewPagesAreRefusedWithTheNumbersAndMayBeTriedAgain() async throws {
        let before = Node.remains()
        let free = try Self.freePages
        try await Node.connected { runtime in
            var first = try await Pod(runtime, "holder")
            try await first.start(memory: 400 << 20) { $0.grant(pages: free - 40) }
            var second = try await Pod(runtime, "asker")
            let sentence = try await refusal(&second) { $0.grant(pages: 64) }
            #expect(
                sentence?.contains("limits.hugepages-2Mi: 128 MiB asked on node 0, node 0: 80 MiB free") == true,
                "\(sentence ?? "it runs")")
            #expect(try Self.freePages == 40, "a refused pod takes nothing")
            #expect(try await first.status.state == .containerRunning)
            try await first.remove()
            #expect(try await refusal(&second, attempt: 1) { $0.grant(pages: 64) } == nil)
            try await second.remove()
        }
        #expect(try Self.freePages == free)
        await Node.expectNothingLeft(since: before)
    }

    /// Pods of as many shims ask for the same two CPUs, and for more pages than there are.
    @Test func fiftyPodsAtOnceNeverShare() async throws {
        let before = Node.remains()
        let free = try Self.freePages
        let room = Int(free / 40)
        try await Node.connected { runtime in
            let outcomes = try await withThrowingTaskGroup(of: (Pod, Int, String?).self) { group in
                for number in 0..<50 {
                    group.addTask {
                        var pod = try await Pod(runtime, "many\(number)")
                        let sentence = try await refusal(&pod) { resources in
                            if number < 25 {
                                resources.grant(cpus: [number % 2])
                            } else {
                                resources.grant(pages: 40)
                            }
                        }
                        return (pod, number, sentence)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let pinned = outcomes.filter { $0.1 < 25 }
            #expect(pinned.count { $0.2 == nil } == 2, "one pod has each CPU")
            for case (_, _, let sentence?) in pinned {
                #expect(sentence.contains("is held by pod default/many"), "\(sentence)")
            }
            let paged = outcomes.filter { $0.1 >= 25 }
            #expect(paged.count { $0.2 == nil } == min(room, 25), "\(room) have room")
            for case (_, _, let sentence?) in paged { #expect(sentence.contains("80 MiB asked"), "\(sentence)") }
            let claims = PlacementClaim.all()
            #expect(claims.reduce(0) { $0 + $1.cpus.count } == claims.exclusiveCPUs.count, "no CPU is claimed twice")
            #expect(claims.flatMap(\.pages).reduce(0) { $0 + $1.count } == UInt64(min(room, 25)) * 40)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (pod, _, _) in outcomes { group.addTask { try await pod.remove() } }
                try await group.waitForAll()
            }
        }
        #expect(try Self.freePages == free)
        await Node.expectNothingLeft(since: before)
    }

    @Test func aRunningMachineGrowsAndShrinks() async throws {
        let before = Node.remains()
        let annotations = ["slipway.dev/max-cpus": "2", "slipway.dev/max-memory": "512Mi"]
        try await Node.connected { runtime in
            var pod = try await Pod(runtime, "grower", annotations: annotations)
            try await pod.start(memory: 192 << 20)
            await pod.expect("tiny-vnf: ready")
            #expect(try await pod.run("/bin/nproc") == "1\n")
            var larger = CRILinuxContainerResources()
            (larger.cpuPeriod, larger.cpuQuota, larger.memoryLimitInBytes) = (100_000, 200_000, 320 << 20)
            try await runtime.updateContainerResources(pod.container, to: larger)
            #expect(try await pod.run("/bin/nproc") == "2\n")
            let grown = try await eventually(within: .seconds(20)) {
                let words = try await pod.run("/bin/sh", "-c", "grep MemTotal /proc/meminfo").split(separator: " ")
                return words.dropFirst().first.flatMap { Int($0) }.map { $0 > 192 << 10 } ?? false
            }
            #expect(grown, "the guest has its RAM of the beginning alone")
            var tooLarge = larger
            tooLarge.memoryLimitInBytes = 1 << 30
            let error = await #expect(throws: CRIError.self) {
                try await runtime.updateContainerResources(pod.container, to: tooLarge)
            }
            #expect(error?.message.contains("slipway.dev/max-memory") == true, "\(String(describing: error))")
            var fewer = CRILinuxContainerResources()
            (fewer.cpuPeriod, fewer.cpuQuota) = (100_000, 100_000)
            try await runtime.updateContainerResources(pod.container, to: fewer)
            #expect(try await pod.run("/bin/nproc") == "1\n")
            try expectAsPlanned(1)
            try await pod.remove()
        }
        await Node.expectNothingLeft(since: before)
    }

    @Test func pinsFollowTheCPUManager() async throws {
        let before = Node.remains()
        try await Node.connected { runtime in
            var pod = try await Pod(runtime, "mover")
            try await pod.start { $0.grant(cpus: [0]) }
            var moved = CRILinuxContainerResources()
            moved.cpusetCpus = "1"
            try await runtime.updateContainerResources(pod.container, to: moved)
            try expectAsPlanned(1)
            #expect(PlacementClaim.all().map(\.cpus) == [[1]])
            // The CPU that it left is free for another.
            var other = try await Pod(runtime, "follower")
            try await other.start { $0.grant(cpus: [0]) }
            let error = await #expect(throws: CRIError.self) {
                var back = CRILinuxContainerResources()
                back.cpusetCpus = "0"
                try await runtime.updateContainerResources(pod.container, to: back)
            }
            #expect(error?.message.contains("held by pod default/follower") == true, "\(String(describing: error))")
            try expectAsPlanned(2)
            try await pod.remove()
            try await other.remove()
        }
        await Node.expectNothingLeft(since: before)
    }

    /// The highest priority of threads is root's to give; where it may not, that is said and nothing is left.
    @Test func realtimeIsGivenOrRefusedByName() async throws {
        let before = Node.remains()
        let annotations = ["slipway.dev/realtime": "true", "slipway.dev/emulator-threads": "isolate"]
        try await Node.connected { runtime in
            var pod = try await Pod(runtime, "realtime", annotations: annotations)
            let sentence = try await refusal(&pod) { $0.grant(cpus: [0, 1]) }
            if let sentence {
                #expect(sentence.contains("realtime"), "\(sentence)")
            } else {
                try expectAsPlanned(1)
            }
            try await pod.remove()
        }
        await Node.expectNothingLeft(since: before)
    }
}

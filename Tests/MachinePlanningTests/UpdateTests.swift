import HostTopology
import MachinePlanning
import TestSupport
import Testing

@Suite struct UpdateTests {
    /// Two nodes of four CPUs, without siblings.
    private static let host = HostTopology(
        nodes: (0..<2).map { id in
            HostNode(
                id: id, cpus: CPUSet(id * 4..<id * 4 + 4), memory: 16 << 30, distances: [id: 10, 1 - id: 20],
                hugePages: [HugePagePool(size: 2 << 20, total: 4096, free: 4096)])
        },
        cpus: (0..<8).map { id in
            HostCPU(
                id: id, node: id / 4, socket: id / 4, core: id, siblings: [id],
                cache: CPUSet(id / 4 * 4..<id / 4 * 4 + 4))
        })

    private func pinned(_ cpus: CPUSet, _ change: (inout MachineRequest) -> Void = { _ in }) throws -> MachinePlan {
        var request = MachineRequest.sample
        (request.cpus, request.cpuShares) = (cpus, UInt64(cpus.count) * 1024)
        request.hugePages.limits = [2 << 20: 1 << 30]
        change(&request)
        return try MachinePlan(request, on: Self.host)
    }

    private func refusal(_ plan: MachinePlan, _ update: ResourceUpdate, beside others: [Holding] = []) -> PlanRefusal? {
        do throws(PlanRefusal) {
            _ = try plan.updated(update, on: Self.host, beside: others)
            return nil
        } catch {
            return error
        }
    }

    @Test func vCPUsMoveOnlyWhereTheyMust() throws {
        let plan = try pinned([0, 1, 2]).updated(ResourceUpdate(cpus: [0, 2, 3]), on: Self.host)
        #expect(plan.placement.processors.value == .pinned([0, 3, 2]))
        #expect(plan.placement.emulator.value == [0, 2, 3])
    }

    @Test func aStrictCellDoesNotLeaveItsNode() throws {
        let plan = try pinned([0, 1])
        #expect(refusal(plan, ResourceUpdate(cpus: [0, 4]))?.problem.contains("no CPU of node 0 for vCPU 1") == true)
        let preferred = try pinned([0, 1]) { $0.annotations.numaPolicy = .preferred }
        #expect(try preferred.updated(ResourceUpdate(cpus: [0, 4]), on: Self.host).placement.exclusive == [0, 4])
    }

    @Test func anotherPodsCPUIsRefused() throws {
        let others = [Holding(pod: "nf/other", cpus: [3])]
        #expect(refusal(try pinned([0, 1]), ResourceUpdate(cpus: [0, 3]), beside: others)?.kind == .exhausted)
    }

    @Test func vCPUsComeAndGoWithinTheirLimit() throws {
        let plan = try pinned([0, 1]) { $0.annotations.maxCPUs = 3 }
        let grown = try plan.updated(ResourceUpdate(cpus: [0, 1, 3]), on: Self.host)
        #expect((grown.vcpus.value, grown.placement.processors.value) == (3, .pinned([0, 1, 3])))
        let shrunk = try grown.updated(ResourceUpdate(cpus: [1]), on: Self.host)
        #expect((shrunk.vcpus.value, shrunk.placement.processors.value) == (1, .pinned([1])))
        #expect(refusal(plan, ResourceUpdate(cpus: [0, 1, 2, 3]))?.problem.contains("slipway.dev/max-cpus") == true)
    }

    @Test func theIsolatedCPUStaysQEMUs() throws {
        let plan = try pinned([0, 1, 2]) { $0.annotations.emulatorThreads = .isolate }
        #expect(plan.placement.emulator.value == [2])
        let moved = try plan.updated(ResourceUpdate(cpus: [1, 2, 3]), on: Self.host)
        #expect(moved.placement.emulator.value == [2] && moved.placement.processors.value == .pinned([3, 1]))
    }

    @Test func theEmulatorTakesWhatNoVCPUNeeds() throws {
        let plan = try pinned([0, 1, 4]) { $0.annotations.emulatorThreads = .isolate }
        guard case .pinned(let pins) = plan.placement.processors.value else { return }
        #expect(pins == [0, 1] && plan.placement.emulator.value == [4])
        let moved = try plan.updated(ResourceUpdate(cpus: [0, 2, 5]), on: Self.host)
        #expect(moved.placement.processors.value == .pinned([0, 2]) && moved.placement.emulator.value == [5])
    }

    @Test func memoryNodesDoNotLeaveTheRAM() throws {
        #expect(refusal(try pinned([0, 1]), ResourceUpdate(mems: [1]))?.field == "cpuset.mems")
        #expect(refusal(try pinned([0, 1]), ResourceUpdate(mems: [0, 1])) == nil)
    }

    @Test func everyUpdateOfRandomPinsHolds() throws {
        var updated = 0
        for seed in 0..<2000 {
            var random = SeededGenerator(UInt64(seed))
            func some() -> CPUSet {
                CPUSet((0..<8).shuffled(using: &random).prefix(Int.random(in: 1...6, using: &random)))
            }
            let isolates = Bool.random(using: &random)
            let before = try? pinned(some()) {
                $0.annotations.maxCPUs = 8
                $0.annotations.emulatorThreads = isolates ? .isolate : .share
                $0.annotations.numaPolicy = .preferred
            }
            let cpus = some()
            guard let before, let plan = try? before.updated(ResourceUpdate(cpus: cpus), on: Self.host) else {
                continue
            }
            updated += 1
            guard case .pinned(let pins) = plan.placement.processors.value else { continue }
            #expect(Set(pins).count == pins.count && plan.placement.exclusive == cpus, "seed \(seed)")
            #expect(pins.count == plan.vcpus.value && pins.count == cpus.count - (isolates ? 1 : 0), "seed \(seed)")
        }
        #expect(updated > 1000)
    }

    @Test func memoryGrowsInBlocksAndShrinksToItsBeginning() throws {
        var request = MachineRequest.sample
        (request.memoryLimit, request.annotations.maxMemory) = (512 << 20, 1 << 30)
        let plan = try MachinePlan(request, on: Self.host)
        let grown = try plan.updated(ResourceUpdate(memoryLimit: 701 << 20), on: Self.host)
        #expect(grown.memory.value == 700 << 20)
        #expect(try grown.updated(ResourceUpdate(memoryLimit: 512 << 20), on: Self.host).memory.value == 512 << 20)
        #expect(refusal(plan, ResourceUpdate(memoryLimit: 2 << 30))?.problem.contains("slipway.dev/max-memory") == true)
        #expect(refusal(plan, ResourceUpdate(memoryLimit: 256 << 20))?.problem.contains("does not give back") == true)
    }

    @Test func aQuotaChangesVCPUsWhereThereIsRoom() throws {
        var request = MachineRequest.sample
        (request.cpuQuota, request.cpuPeriod, request.annotations.maxCPUs) = (200_000, 100_000, 4)
        let plan = try MachinePlan(request, on: Self.host)
        let update = ResourceUpdate(cpuQuota: 350_000, cpuPeriod: 100_000)
        #expect(try plan.updated(update, on: Self.host).vcpus.value == 4)
        request.annotations.maxCPUs = nil
        let fixed = try MachinePlan(request, on: Self.host)
        #expect(refusal(fixed, update)?.field == "limits.cpu")
        #expect(try fixed.updated(ResourceUpdate(cpuQuota: 50_000, cpuPeriod: 100_000), on: Self.host).vcpus.value == 2)
    }
}

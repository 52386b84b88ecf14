import Foundation
import MachinePlanning
import TestSupport
import Testing

@Suite struct PlanTests {
    // MARK: Properties

    @Test func everyPlanOfRandomRequestsHolds() throws {
        var planned = 0
        for seed in 0..<3000 {
            var random = SeededGenerator(UInt64(seed))
            let request = MachineRequest.random(&random)
            let plan: MachinePlan
            do throws(PlanRefusal) {
                plan = try MachinePlan(request, on: .plain)
            } catch {
                #expect(!error.field.isEmpty && !error.problem.isEmpty, "seed \(seed)")
                continue
            }
            planned += 1
            try check(plan, request, "seed \(seed)")
        }
        // The requests are to be such that the properties are tried, not refused.
        #expect(planned > 300, "only \(planned) of 3000 requests were planned")
    }

    private func check(_ plan: MachinePlan, _ request: MachineRequest, _ comment: Comment) throws {
        #expect(try MachinePlan(request, on: .plain) == plan, comment)

        #expect((1...MachinePlan.maximumVCPUs).contains(plan.vcpus.value), comment)
        if let quota = request.cpuQuota, quota > 0, let period = request.cpuPeriod, period > 0 {
            // As many vCPUs as use up the quota, and not one more.
            #expect(UInt64(plan.vcpus.value).multipliedFullWidth(by: period) >= (0, UInt64(quota)), comment)
            #expect(UInt64(plan.vcpus.value - 1).multipliedFullWidth(by: period) < (0, UInt64(quota)), comment)
        }
        #expect(plan.memory.value >= MachinePlan.minimumMemory, comment)
        #expect(plan.memory.value.isMultiple(of: 1 << 20), comment)
        if let limit = request.memoryLimit {
            #expect(plan.memory.value <= limit && limit - plan.memory.value < 1 << 20, comment)
        }
        for disk in plan.disks {
            if case .root(let base) = disk.content {
                #expect((disk.virtualSize ?? 0) >= base.virtualSize, comment)
                #expect(disk.virtualSize == request.annotations.diskSize ?? base.virtualSize, comment)
            }
        }
        #expect(plan.disks.contains { $0.content == .seed } == (request.annotations.cloudInit != .none), comment)

        let slots = plan.disks.map(\.slot)
        #expect(Set(slots).count == slots.count && slots.allSatisfy { (3...15).contains($0) }, comment)
        let buses = plan.nics.map(\.bus)
        #expect(buses == plan.nics.map { UInt8($0.number + 1) } && Set(buses).count == buses.count, comment)
        #expect(plan.nicPorts.value == request.links.count + request.annotations.hotNICs, comment)
        for names in [plan.disks.map(\.target), plan.disks.map(\.serial), plan.nics.map(\.alias)] {
            #expect(Set(names).count == names.count, comment)
        }
        #expect(plan.nics.map(\.link) == request.links.map(\.name), comment)
        #expect(plan.nics.map(\.mac) == request.links.map(\.mac), comment)

        #expect(plan.uuid.value.utf8.count == 36 && UUID(uuidString: plan.uuid.value) != nil, comment)
        for reason in [plan.vcpus.reason, plan.memory.reason, plan.boot.reason, plan.uuid.reason] {
            #expect(!reason.isEmpty, comment)
        }
        let json = try JSONEncoder().encode(plan)
        #expect(try JSONDecoder().decode(MachinePlan.self, from: json) == plan, comment)
    }

    // MARK: Decisions

    @Test(
        arguments: [
            (100_000, 100_000, 1), (150_000, 100_000, 2), (1, 100_000, 1), (200_001, 100_000, 3),
            (25_500_000, 100_000, 255),
            (50, 25, 2), (.max, UInt64(Int64.max), 1),
        ] as [(Int64, UInt64, Int)])
    func vcpusAreTheLimitRoundedUp(quota: Int64, period: UInt64, count: Int) throws {
        var request = MachineRequest.sample
        (request.cpuQuota, request.cpuPeriod) = (quota, period)
        #expect(try MachinePlan(request, on: .plain).vcpus.value == count)
    }

    @Test(
        arguments: [(nil, nil), (-1, 100_000), (0, 100_000), (100_000, nil), (100_000, 0), (.min, 1)]
            as [(Int64?, UInt64?)])
    func withoutACPULimitTheNodesDefaultHolds(quota: Int64?, period: UInt64?) throws {
        var request = MachineRequest.sample
        (request.cpuQuota, request.cpuPeriod, request.defaultVCPUs) = (quota, period, 3)
        #expect(try MachinePlan(request, on: .plain).vcpus == Decision(3, "no CPU limit; the node's default"))
    }

    @Test func reasonsAreForPeople() throws {
        var request = MachineRequest.sample
        (request.cpuQuota, request.cpuPeriod) = (150_000, 100_000)
        request.memoryLimit = (1 << 30) + 5
        request.links = [
            RequestedLink("eth0", number: 0, backend: .tap(device: "t0"), mac: "02:00:00:00:00:01", mtu: 1500),
            RequestedLink("net1", number: 1, backend: .tap(device: "t1"), mac: "02:00:00:00:00:02", mtu: 9000),
        ]
        let plan = try MachinePlan(request, on: .plain)
        #expect(plan.vcpus == Decision(2, "limits.cpu, 150000 of 100000 µs, rounded up"))
        #expect(plan.memory == Decision(1 << 30, "limits.memory, rounded down to whole MiB"))
        #expect(plan.boot == Decision(.disk, "the image holds the disk /disk/vm.qcow2, qcow2"))
        #expect(plan.uuid == Decision("6b1f7a52-4e0c-4b7d-9f7e-0d6c7a1b2c3d", "the pod's uid"))
        #expect(plan.name == "slipway-0123456789ab")
        #expect(plan.accelerator.reason == "the node has no /dev/kvm")
        #expect(plan.nics.map(\.reason) == ["the pod's first link", "link 2 of the pod, in their order"])
        #expect(plan.disks.map(\.target) == ["vda", "vdb"])
    }

    @Test(arguments: [
        "", "not a uuid", "6b1f7a52-4e0c-4b7d-9f7e-0d6c7a1b2c3", "6b1f7a524e0c4b7d9f7e0d6c7a1b2c3d",
        "6b1f7a5g-4e0c-4b7d-9f7e-0d6c7a1b2c3d", "６６12-4e0c-4b7d-9f7e-0d6c7a1b2c3d",
        "-6b1f7a5-4e0c-4b7d-9f7e-0d6c7a1b2c3d",
    ])
    func aUUIDIsMadeWhereThePodHasNone(uid: String) throws {
        var request = MachineRequest.sample
        request.identity.podUID = uid
        let uuid = try MachinePlan(request, on: .plain).uuid
        #expect(uuid.reason == "made from the container's id; there is no pod uid")
        // Version 8, the variant of RFC 9562.
        let characters = Array(uuid.value)
        #expect(UUID(uuidString: uuid.value) != nil && characters[14] == "8" && "89ab".contains(characters[19]))
        request.identity.container += "0"
        #expect(try MachinePlan(request, on: .plain).uuid.value != uuid.value)
    }

    @Test func kernels() throws {
        var request = MachineRequest.sample
        func boot(_ source: KernelSource, _ arguments: String? = nil) throws -> MachinePlan.Boot {
            request.boot = .kernel(source)
            request.annotations.kernelArguments = arguments
            return try MachinePlan(request, on: .plain).boot.value
        }
        let source = KernelSource(kernel: "/boot/vmlinuz", initrd: "/boot/initrd", commandLine: "root=/dev/vda")
        #expect(
            try boot(source)
                == .kernel(kernel: "/boot/vmlinuz", initrd: "/boot/initrd", commandLine: "root=/dev/vda"))
        #expect(
            try boot(source, "quiet") == .kernel(kernel: "/boot/vmlinuz", initrd: "/boot/initrd", commandLine: "quiet"))
        #expect(
            try boot(KernelSource(kernel: "/k")) == .kernel(kernel: "/k", initrd: nil, commandLine: "console=ttyS0"))
    }

    // MARK: Refusals

    private func refusal(_ change: (inout MachineRequest) -> Void) -> String? {
        var request = MachineRequest.sample
        change(&request)
        do throws(PlanRefusal) {
            _ = try MachinePlan(request, on: .plain)
            return nil
        } catch {
            return error.description
        }
    }

    @Test func refusalsNameTheFieldWhatThereIsAndWhatIsAccepted() {
        #expect(
            refusal { ($0.cpuQuota, $0.cpuPeriod) = (25_500_001, 100_000) }
                == "limits.cpu: gives 256 vCPUs; up to 255 are accepted")
        #expect(
            refusal { ($0.cpuQuota, $0.cpuPeriod) = (.max, 1) }
                == "limits.cpu: gives 9223372036854775807 vCPUs; up to 255 are accepted")
        #expect(
            refusal { $0.memoryLimit = (64 << 20) - 1 }
                == "limits.memory: is 67108863 B; at least 64 MiB are needed by a guest")
        #expect(refusal { $0.memoryLimit = 0 } == "limits.memory: is 0 B; at least 64 MiB are needed by a guest")
        #expect(refusal { $0.memoryLimit = 64 << 20 } == nil)
        #expect(
            refusal { $0.annotations.diskSize = 1 << 30 }
                == "slipway.dev/disk-size: is 1 GiB; the image's disk has 2 GiB already")
        #expect(refusal { $0.annotations.diskSize = 2 << 30 } == nil)
        #expect(
            refusal { $0.annotations.kernelArguments = "quiet" }
                == "slipway.dev/kernel-arguments: the image holds a disk (/disk/vm.qcow2), whose boot loader decides on "
                + "the kernel's arguments")
        #expect(
            refusal { $0.links = RequestedLink.taps(33) }
                == "network: 33 links in the pod's network namespace; up to 32 are accepted")
        #expect(refusal { $0.links = RequestedLink.taps(32) } == nil)
    }
}

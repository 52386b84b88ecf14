import Cgroup
import DomainXML
import Glibc
import HostTopology
import Libvirt
import LinuxSystem
import MachinePlanning
import Sandbox
import StateDirectory

/// Brings a running machine from one plan to the next. All calls block.
struct MachineResize {
    let domain: Domain
    let cgroup: Cgroup
    let owner: StateDirectory
    let root: String
    /// Bytes that QEMU may take beside RAM of ordinary pages.
    let overhead: UInt64

    /// Plans, claims and changes. On an error the machine, its cgroup and its claim are as they were.
    ///
    /// - Returns: the new plan.
    func apply(_ resources: CgroupResources, to plan: MachinePlan) throws -> MachinePlan {
        let cpus: CPUSet?
        do {
            cpus = resources.cpus.isEmpty ? nil : try CPUSet(resources.cpus)
        } catch {
            throw SandboxError(.invalidArgument, "linux.resources.cpu.cpus: \(error)")
        }
        let update = ResourceUpdate(
            cpus: cpus, cpuQuota: resources.cpuQuota, cpuPeriod: resources.cpuPeriod, memoryLimit: resources.memoryLimit
        )
        let next = try claim(update, plan)
        let isRealtime = !plan.placement.realtime.value.isEmpty
        var limits = resources
        // Huge pages are the machine's for its life; time limits would throttle FIFO threads.
        limits.hugepageLimits = [:]
        if isRealtime { (limits.cpuQuota, limits.cpuPeriod) = (nil, nil) }
        if case .ordinary = plan.placement.pages.value {
            limits.memoryLimit = limits.memoryLimit.map(withOverhead)
            limits.memorySwapLimit = limits.memorySwapLimit.map(withOverhead)
        }
        var undo = Undo()
        do {
            if let cpus {
                // Both sets while threads move: no thread is ever without a CPU.
                var both = CgroupResources()
                both.cpus = "\(cpus.union(processors(plan) ?? cpus))"
                try cgroup.apply(both)
                undo.add { try? cgroup.apply(restored(plan)) }
            }
            if next.memory.value > plan.memory.value { try cgroup.apply(memoryOnly(limits)) }
            undo.add { [self] in
                if next.memory.value > plan.memory.value { try? cgroup.apply(memoryOnly(of: plan)) }
                _ = try? change(from: next, to: plan)
                try? reclaim(plan)
            }
            try change(from: plan, to: next)
            try cgroup.apply(limits)
            try owner.write(next)
            return next
        } catch {
            undo.run()
            throw error
        }
    }

    private func claim(_ update: ResourceUpdate, _ plan: MachinePlan) throws -> MachinePlan {
        try PlacementClaim.take(for: owner, root: root) { others in
            let host = try HostTopology.read(devices: [])
            let next = try plan.updated(update, on: host, beside: others.holdings)
            return .fits(try held(next), next)
        }
    }

    private func reclaim(_ plan: MachinePlan) throws {
        try PlacementClaim.take(for: owner, root: root) { _ in .fits(try held(plan), ()) }
    }

    private func held(_ plan: MachinePlan) throws -> PlacementClaim? {
        guard var claim = plan.claim(of: owner) else { return nil }
        if let process = try SandboxRecord(readingFrom: owner).machine?.process { claim.phase = .held(by: process) }
        return claim
    }

    private func withOverhead(_ limit: Int64) -> Int64 {
        let (sum, overflow) = limit.addingReportingOverflow(Int64(clamping: overhead))
        return limit > 0 ? (overflow ? -1 : sum) : limit
    }

    private func memoryOnly(_ limits: CgroupResources) -> CgroupResources {
        var memory = CgroupResources()
        (memory.memoryLimit, memory.memorySwapLimit) = (limits.memoryLimit, limits.memorySwapLimit)
        return memory
    }

    private func memoryOnly(of plan: MachinePlan) -> CgroupResources {
        var memory = CgroupResources()
        memory.memoryLimit = withOverhead(Int64(clamping: plan.memory.value))
        return memory
    }

    private func restored(_ plan: MachinePlan) -> CgroupResources {
        var before = CgroupResources()
        before.cpus = processors(plan).map { "\($0)" } ?? ""
        return before
    }

    private func processors(_ plan: MachinePlan) -> CPUSet? {
        switch plan.placement.processors.value {
        case .pinned: plan.placement.exclusive
        case .floating(let cpus): cpus
        case .anywhere: nil
        }
    }

    /// The differences between two plans, one libvirt call each.
    private func change(from plan: MachinePlan, to next: MachinePlan) throws {
        if next.vcpus.value < plan.vcpus.value { try remove(next) }
        if next.vcpus.value > plan.vcpus.value { try add(next) }
        switch next.placement.processors.value {
        case .anywhere: break
        case .floating(let cpus):
            if next.placement.processors.value != plan.placement.processors.value {
                for vcpu in 0..<next.vcpus.value { try domain.pin(vcpu: vcpu, to: cpus) }
                try domain.pinEmulator(to: cpus)
            }
        case .pinned(let pins):
            for (vcpu, cpu) in pins.enumerated() { try domain.pin(vcpu: vcpu, to: [cpu]) }
            // Those that the guest has put to sleep.
            for vcpu in pins.count..<max(try domain.vcpus(), pins.count) {
                try domain.pin(vcpu: vcpu, to: next.placement.emulator.value)
            }
            try domain.pinEmulator(to: next.placement.emulator.value)
            try domain.pin(ioThread: 1, to: next.placement.emulator.value)
        }
        if next.memory.value != plan.memory.value { try setMemory(next) }
    }

    private func add(_ next: MachinePlan) throws {
        if next.vcpus.value > (try domain.vcpus()) { try domain.set(vcpus: next.vcpus.value) }
        // Without an agent the guest's own rule for new CPUs decides. With one it takes the guest a moment to see them.
        _ = try holds(within: 5) {
            do throws(LibvirtError) {
                try domain.enable(vcpus: next.vcpus.value)
                return true
            } catch {
                return error.isAgentUnavailable
            }
        }
    }

    /// Looks every 100 ms whether something has become true; neither libvirt nor the guest tells.
    private func holds(within seconds: Int, _ condition: () throws -> Bool) throws -> Bool {
        for _ in 0..<seconds * 10 {
            if try condition() { return true }
            _ = poll(nil, 0, 100)
        }
        return false
    }

    /// A guest gives RAM back as it finds the time; until it has, the cgroup's limit must not fall.
    private func setMemory(_ next: MachinePlan) throws {
        try domain.update(device: next.growingMemoryXML)
        let wanted = next.memory.value - next.placement.cells.reduce(0) { $0 + $1.memory }
        var current: UInt64?
        let done = try holds(within: 10) {
            current = try domain.growingMemory()
            return current.map { $0 <= wanted } ?? true
        }
        guard done else {
            throw SandboxError(
                .failedPrecondition,
                "limits.memory: the guest holds \(ByteCount.short((current ?? 0) - wanted)) more than it was asked "
                    + "to keep; "
                    + "memory that it uses cannot be taken away")
        }
    }

    /// Under KVM they are pulled out. QEMU 7.2's translator does not survive that (its heap is corrupt afterwards), so
    /// there the guest puts them to sleep.
    private func remove(_ next: MachinePlan) throws {
        do {
            try domain.enable(vcpus: next.vcpus.value)
        } catch {
            // Under KVM the guest is asked by ACPI next.
            guard next.accelerator.value == .tcg else { return try domain.set(vcpus: next.vcpus.value) }
            throw SandboxError(
                .failedPrecondition,
                "limits.cpu: without KVM vCPUs leave a running machine only through its guest agent, which says: "
                    + "\(error); "
                    + "a restart of the pod gives it \(next.vcpus.value)")
        }
        if next.accelerator.value == .kvm { try domain.set(vcpus: next.vcpus.value) }
    }
}

import Cgroup
import DomainXML
import Glibc
import HostTopology
import InterruptAffinity
import Libvirt
import LinuxSystem
import MachinePlanning
import Sandbox
import StateDirectory

/// Brings a running machine from one plan to the next. All calls block.
struct MachineResize {
    let domain: Domain
    /// QEMU's process id.
    let process: Int32
    let cgroup: Cgroup
    let owner: StateDirectory
    let root: String
    /// Bytes that QEMU may take beside RAM of ordinary pages.
    let overhead: UInt64

    /// Plans, claims and changes. On an error the machine, its cgroup and its claim are as they were.
    ///
    /// - Returns: the new plan.
    func apply(_ resources: CgroupResources, to plan: MachinePlan) throws -> MachinePlan {
        let cpus = resources.cpus.isEmpty ? nil : try PodResources.list(resources.cpus, "cpu.cpus")
        let mems = resources.mems.isEmpty ? nil : try PodResources.list(resources.mems, "cpu.mems")
        let update = ResourceUpdate(
            cpus: cpus, mems: mems, cpuQuota: resources.cpuQuota, cpuPeriod: resources.cpuPeriod,
            memoryLimit: resources.memoryLimit)
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
        undo.add { try? reclaim(plan) }
        do {
            if let cpus {
                let before = cgroup.cpus ?? ""
                undo.add {
                    try? cgroup.apply(only(cpus: before))
                    try? pin(plan)
                }
                // Both sets while threads move: no thread is ever without a CPU.
                try cgroup.apply(only(cpus: "\(cpus.union((try? CPUSet(before)) ?? []))"))
            }
            if next.memory.value > plan.memory.value {
                undo.add { try? cgroup.apply(memoryOnly(of: plan)) }
                try cgroup.apply(memoryOnly(limits))
            }
            undo.add { _ = try? change(from: next, to: plan) }
            try change(from: plan, to: next)
            try cgroup.apply(limits)
            // Linux before 6.2 gives every thread the whole set when a cpuset changes.
            if cpus != nil { try pin(next) }
            try owner.write(next)
            try reclaim(next)
            if isRealtime {
                try cgroup.parent?.liftCPUQuota()
                try InterruptAffinity(root: root).apply()
            }
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
            // What is left stays claimed until no thread runs there.
            var claim = try held(next)
            claim?.cpus = next.placement.exclusive.union(plan.placement.exclusive)
            return .fits(claim, next)
        }
    }

    private func reclaim(_ plan: MachinePlan) throws {
        try PlacementClaim.take(for: owner, root: root) { _ in .fits(try held(plan), ()) }
    }

    /// nil for a machine that has ended meanwhile too.
    private func held(_ plan: MachinePlan) throws -> PlacementClaim? {
        guard var claim = plan.claim(of: owner),
            let process = try SandboxRecord(readingFrom: owner).machine?.process
        else { return nil }
        claim.phase = .held(by: process)
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

    private func only(cpus: String) -> CgroupResources {
        var resources = CgroupResources()
        resources.cpus = cpus
        return resources
    }

    /// The differences between two plans.
    private func change(from plan: MachinePlan, to next: MachinePlan) throws {
        if next.vcpus.value < plan.vcpus.value { try remove(next) }
        if next.vcpus.value > plan.vcpus.value { try add(next, plan.vcpus.value) }
        if next.placement.processors.value != plan.placement.processors.value { try pin(next) }
        if next.memory.value != plan.memory.value { try setMemory(next) }
    }

    /// Puts the threads that move frames (vhost-net) where the plan has QEMU's own; libvirt does not know them. There are
    /// new ones with every NIC.
    func pinVhostWorkers(_ plan: MachinePlan) {
        let cpus: CPUSet
        switch plan.placement.processors.value {
        case .anywhere: return
        case .floating(let all): cpus = all
        case .pinned: cpus = plan.placement.emulator.value
        }
        // They go with their NIC.
        for id in cgroup.vhostWorkers(of: process) { try? LinuxSystem.Thread.restrict(id, to: cpus) }
    }

    /// Puts every thread where the plan has it.
    private func pin(_ plan: MachinePlan) throws {
        pinVhostWorkers(plan)
        switch plan.placement.processors.value {
        case .anywhere: break
        case .floating(let cpus):
            for vcpu in 0..<plan.vcpus.value { try domain.pin(vcpu: vcpu, to: cpus) }
            try domain.pinEmulator(to: cpus)
        case .pinned(let pins):
            let emulator = plan.placement.emulator.value
            for (vcpu, cpu) in pins.enumerated() { try domain.pin(vcpu: vcpu, to: [cpu]) }
            // Those that the guest has put to sleep.
            for vcpu in pins.count..<max(try domain.vcpus(), pins.count) { try domain.pin(vcpu: vcpu, to: emulator) }
            try domain.pinEmulator(to: emulator)
            try domain.pin(ioThread: 1, to: emulator)
            // libvirt moves the main thread alone.
            for task in (try? File.list("/proc/\(process)/task")) ?? [] {
                let name = (try? File.text("/proc/\(process)/task/\(task)/comm", limit: 64)) ?? "CPU "
                guard let id = Int32(task), !name.hasPrefix("CPU ") else { continue }
                try? LinuxSystem.Thread.restrict(id, to: emulator)
            }
        }
    }

    private func add(_ next: MachinePlan, _ count: Int) throws {
        // A new thread starts where its vCPU is pinned; the CPUs of the domain's beginning may be others' by now.
        if case .floating(let cpus) = next.placement.processors.value {
            for vcpu in count..<next.vcpus.value { try? domain.pin(vcpu: vcpu, to: cpus) }
        }
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

    /// The guest puts them to sleep; those that were added are then pulled out, if they can be. libvirt does not pull out
    /// those of the start, and QEMU 7.2's translator does not survive it (its heap is corrupt afterwards).
    private func remove(_ next: MachinePlan) throws {
        do {
            try domain.enable(vcpus: next.vcpus.value)
        } catch {
            throw SandboxError(
                .failedPrecondition,
                "limits.cpu: vCPUs leave a running machine through its guest agent, which says: \(error); a restart of "
                    + "the pod gives it \(next.vcpus.value)")
        }
        if next.accelerator.value == .kvm { try? domain.set(vcpus: next.vcpus.value) }
    }
}

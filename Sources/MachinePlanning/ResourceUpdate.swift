public import HostTopology

/// New limits for a running machine, as Task.Update brings them. What is nil stays as it is.
public struct ResourceUpdate: Equatable, Sendable {
    /// CPUs; not empty.
    public var cpus: CPUSet?
    /// Memory nodes; not empty.
    public var mems: CPUSet?
    /// Microseconds in a period; not positive: no limit.
    public var cpuQuota: Int64?
    /// Microseconds.
    public var cpuPeriod: UInt64?
    /// Bytes; not positive: no limit.
    public var memoryLimit: Int64?

    /// An update.
    public init(
        cpus: CPUSet? = nil, mems: CPUSet? = nil, cpuQuota: Int64? = nil, cpuPeriod: UInt64? = nil,
        memoryLimit: Int64? = nil
    ) {
        self.cpus = cpus
        self.mems = mems
        self.cpuQuota = cpuQuota
        self.cpuPeriod = cpuPeriod
        self.memoryLimit = memoryLimit
    }
}

extension MachinePlan {
    /// The plan of the same machine with new limits. Pure; what cannot be done while it runs is refused with what would
    /// need a restart, and the plan stays as it is.
    ///
    /// - Throws: ``PlanRefusal``.
    public func updated(
        _ update: ResourceUpdate, on host: HostTopology, beside others: [Holding] = []
    ) throws(PlanRefusal) -> MachinePlan {
        var plan = self
        let sources = CPUSet(placement.cells.flatMap(\.sources).map(\.node))
        if let mems = update.mems, !sources.isSubset(of: mems),
            placement.cells.contains(where: { $0.binding == .strict })
        {
            throw PlanRefusal(
                field: "cpuset.mems",
                problem:
                    "is \(mems), and the running machine's RAM is on node \(sources); a restart of the pod places it "
                    + "anew"
            )
        }
        if let cpus = update.cpus { try plan.move(to: cpus, host, others) }
        if case .pinned = plan.placement.processors.value {
            // One vCPU a CPU: the time that they may take changes nothing about their number.
        } else if let quota = update.cpuQuota, quota > 0 {
            try plan.resize(quota: quota, period: update.cpuPeriod ?? 100_000)
        }
        if let limit = update.memoryLimit, limit > 0 { try plan.resize(memory: UInt64(limit)) }
        return plan
    }

    // MARK: CPUs

    private mutating func move(to cpus: CPUSet, _ host: HostTopology, _ others: [Holding]) throws(PlanRefusal) {
        let missing = cpus.subtracting(host.online)
        guard missing.isEmpty else {
            throw PlanRefusal(
                .exhausted, field: "cpuset.cpus", problem: "CPU \(missing) of \(cpus) is not online on this node")
        }
        switch placement.processors.value {
        case .anywhere: return
        case .floating(let before):
            let foreign = others.reduce(CPUSet()) { $0.union($1.cpus) }
            let cpus = cpus.isSubset(of: foreign) ? cpus : cpus.subtracting(foreign)
            let homes = CPUSet(placement.cells.compactMap(\.node))
            let nodes = homes.isEmpty ? CPUSet(host.cpus.filter { before.contains($0.id) }.map(\.node)) : homes
            let near = CPUSet(host.cpus.filter { cpus.contains($0.id) && nodes.contains($0.node) }.map(\.id))
            placement.processors =
                near.isEmpty
                ? Decision(
                    .floating(cpus), "moved to CPUs \(cpus), none of which is on node \(nodes), where the RAM is")
                : Decision(.floating(near), "the CPUs of node \(nodes) in the pod's \(cpus)")
        case .pinned(let pins): try repin(pins, to: cpus, host, others)
        }
    }

    /// vCPUs whose CPU stays keep it. The others get one of their cell's node.
    private mutating func repin(
        _ pins: [Int], to cpus: CPUSet, _ host: HostTopology, _ others: [Holding]
    ) throws(PlanRefusal) {
        for other in others {
            let shared = other.cpus.intersection(cpus)
            guard shared.isEmpty else {
                throw PlanRefusal(
                    .exhausted, field: "cpuset.cpus", problem: "CPU \(shared) of \(cpus) is held by pod \(other.pod)")
            }
        }
        let isolates = !placement.emulator.value.isSubset(of: CPUSet(pins))
        let count = cpus.count - (isolates ? 1 : 0)
        guard count > 0 else {
            throw PlanRefusal(
                field: "cpuset.cpus", problem: "CPU \(cpus) alone is left, and emulator-threads: isolate takes one more"
            )
        }
        guard count <= vcpusLimit.value else {
            throw PlanRefusal(
                field: "limits.cpu",
                problem: "\(count) vCPUs; the running machine has room for \(vcpusLimit.value). slipway.dev/max-cpus, "
                    + "said before the pod starts, makes room for more; a restart of the pod gives it \(count)")
        }
        let nodes = Dictionary(uniqueKeysWithValues: host.cpus.map { ($0.id, $0.node) })
        var free = cpus
        var emulator: Int?
        if isolates {
            let kept = placement.emulator.value.intersection(cpus).first
            emulator = kept
            if let kept { free.remove(kept) }
        }
        var result = pins.prefix(count).map { pin -> Int? in free.contains(pin) ? pin : nil }
        while result.count < count { result.append(nil) }
        for pin in result { if let pin { free.remove(pin) } }
        for (vcpu, pin) in result.enumerated() where pin == nil {
            let cell = placement.cells.first { $0.vcpus.contains(vcpu) }
            func isNear(_ cpu: Int) -> Bool { nodes[cpu].map { cell?.mirrors($0) ?? true } ?? false }
            guard let cpu = free.first(where: { cell?.node == nil || isNear($0) }) ?? free.first else { continue }
            if let node = cell?.node, !isNear(cpu), placement.cells.contains(where: { $0.binding == .strict }) {
                throw PlanRefusal(
                    .exhausted, field: "cpuset.cpus",
                    problem:
                        "of \(cpus) there is no CPU of node \(node) for vCPU \(vcpu), whose cell's RAM is there and "
                        + "cannot move; a restart of the pod places it anew")
            }
            result[vcpu] = cpu
            free.remove(cpu)
        }
        if isolates, emulator == nil { emulator = free.last }
        let placed = result.compactMap { $0 }
        placement.processors = Decision(.pinned(placed), "the CPUs \(cpus) are the pod's own, since an update")
        if isolates {
            placement.emulator.value = CPUSet([emulator].compactMap { $0 })
        } else if placement.realtime.value.isEmpty {
            placement.emulator.value = CPUSet(placed)
        } else {
            placement.emulator.value = CPUSet(placed.prefix(1))
        }
        vcpus = Decision(count, "one for each of the pod's CPUs, since an update")
    }

    private mutating func resize(quota: Int64, period: UInt64) throws(PlanRefusal) {
        guard period > 0 else { return }
        let count = UInt64(quota) / period + (UInt64(quota) % period == 0 ? 0 : 1)
        guard count <= UInt64(vcpusLimit.value) else {
            throw PlanRefusal(
                field: "limits.cpu",
                problem:
                    "gives \(count) vCPUs; the running machine has room for \(vcpusLimit.value). slipway.dev/max-cpus, "
                    + "said before the pod starts, makes room for more; a restart of the pod gives it \(count)")
        }
        // Without room to come back their number stays, and the quota alone holds them.
        guard canGrow else { return }
        vcpus = Decision(max(Int(count), 1), "limits.cpu, \(quota) of \(period) µs, since an update")
    }

    private var canGrow: Bool { vcpusLimit.reason.hasPrefix(MachineAnnotations.prefix) }

    // MARK: RAM

    private mutating func resize(memory limit: UInt64) throws(PlanRefusal) {
        guard placement.pages.value == .ordinary else {
            guard limit >= overheadEstimate else {
                throw PlanRefusal(
                    field: "limits.memory",
                    problem:
                        "is \(ByteCount.text(limit)); beside RAM of huge pages it is what QEMU itself may take, and "
                        + "this "
                        + "machine needs \(ByteCount.short(overheadEstimate)) or more")
            }
            return
        }
        let base = placement.cells.reduce(UInt64(0)) { $0 + $1.memory }
        let size = base + (limit > base ? ((limit - base) >> 21) << 21 : 0)
        guard limit >= base else {
            throw PlanRefusal(
                field: "limits.memory",
                problem:
                    "is \(ByteCount.text(limit)); the machine started with \(ByteCount.text(base)), which a running "
                    + "guest "
                    + "does not give back. A restart of the pod gives it \(ByteCount.text(limit))")
        }
        guard size <= memoryLimit.value else {
            throw PlanRefusal(
                field: "limits.memory",
                problem:
                    "is \(ByteCount.text(limit)); the running machine has room for "
                    + "\(ByteCount.text(memoryLimit.value)). "
                    + "slipway.dev/max-memory, said before the pod starts, makes room for more; a restart of the pod "
                    + "gives it \(ByteCount.text(limit))")
        }
        memory = Decision(size, "limits.memory, since an update")
    }
}

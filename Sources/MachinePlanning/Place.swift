import HostTopology

extension Placement {
    /// Decides where a machine's threads run and where its RAM lies.
    ///
    /// - Parameters:
    ///   - vcpus: number of vCPUs when the CPUs are not the pod's own.
    ///   - memory: bytes of RAM when it is of ordinary pages.
    /// - Throws: ``PlanRefusal``.
    init(
        _ request: MachineRequest, vcpus: Int, memory: UInt64, pages: HugePageRequest?, on host: HostTopology,
        beside others: [Holding]
    ) throws(PlanRefusal) {
        let supply = try MemorySupply(request, pages: pages, on: host, beside: others)
        let grant = try ProcessorGrant(request, on: host, beside: others, homes: supply.homes)
        let vcpus = grant.pins.isEmpty ? vcpus : grant.pins.count
        guard request.profile == .standard || pages != nil else {
            throw PlanRefusal(
                field: "limits.hugepages",
                problem: "no huge pages are asked for, and this runtime class promises them; limits.hugepages-1Gi or "
                    + "limits.hugepages-2Mi says how much RAM the machine has. The runtime class slipway runs it as "
                    + "it is"
            )
        }
        let policy = request.annotations.numaPolicy ?? (pages == nil ? .preferred : .strict)
        let placed = try MemoryPlacement(
            bytes: pages?.bytes ?? memory, vcpus: vcpus, pages: pages, grant, supply, policy: policy,
            near: request.annotations.numaPolicy == .preferred ? [] : Self.nodes(of: request.functions, on: host),
            on: host)
        processors = Decision(placed.floating, placed.reason)
        cells = placed.cells
        self.pages = Decision(
            pages.map { .huge(size: $0.size) } ?? .ordinary, pages?.reason ?? "no huge pages are asked for")
        emulator = Self.emulator(grant, request)
        topology = Self.topology(grant, vcpus: vcpus, cells: placed.cells, on: host)
        (realtime, locked) = try Self.realtime(grant, request)
        try grow(to: request.annotations.maxCPUs, from: vcpus)
    }

    /// The nodes of PCI functions, as far as the platform says.
    private static func nodes(of devices: [String], on host: HostTopology) -> CPUSet {
        CPUSet(host.devices.filter { devices.contains($0.address) }.compactMap(\.node))
    }

    private static func emulator(_ grant: ProcessorGrant, _ request: MachineRequest) -> Decision<CPUSet> {
        if let isolated = grant.isolated {
            return Decision([isolated], "emulator-threads: isolate; the rest of the pod's CPUs has a vCPU each")
        }
        guard let first = grant.pins.first else { return Decision([], "no CPUs are the pod's own") }
        if request.annotations.realtime {
            return Decision([first], "emulator-threads: share; the CPU of vCPU 0, whose thread gives way")
        }
        return Decision(CPUSet(grant.pins), "emulator-threads: share; the CPUs of the vCPUs")
    }

    /// Threads of a host core are threads of a guest core where every core of the machine is of one kind. Sockets are cells
    /// where these are equal; else every core is a socket of its own, so that none spans cells.
    private static func topology(
        _ grant: ProcessorGrant, vcpus: Int, cells: [Cell], on host: HostTopology
    ) -> Decision<GuestTopology> {
        var threads = 1
        var reason = "one thread a core"
        if !grant.pins.isEmpty {
            let pins = CPUSet(grant.pins)
            var cores: [CPUSet: Int] = [:]
            for cpu in host.cpus where pins.contains(cpu.id) { cores[cpu.siblings.intersection(pins), default: 0] += 1 }
            let sizes = Set(cores.keys.map(\.count))
            if let size = sizes.first, sizes.count == 1, size > 1, isAligned(cells, to: size) {
                threads = size
                reason = "the vCPUs' CPUs are \(cores.count) host cores with \(size) threads each"
            } else if sizes.count > 1 {
                reason = "one thread a core: only some of the CPUs are siblings"
            } else {
                reason = "one thread a core: no two of the CPUs are siblings"
            }
        }
        let cores = vcpus / threads
        if cells.count > 1 {
            guard Set(cells.map(\.vcpus.count)).count == 1, cores.isMultiple(of: cells.count) else {
                return Decision(
                    GuestTopology(sockets: cores, cores: 1, threads: threads),
                    reason + "; a socket a core, since the cells differ in their number of vCPUs")
            }
            return Decision(
                GuestTopology(sockets: cells.count, cores: cores / cells.count, threads: threads),
                reason + "; a socket a cell")
        }
        return Decision(GuestTopology(sockets: 1, cores: cores, threads: threads), reason)
    }

    private static func isAligned(_ cells: [Cell], to threads: Int) -> Bool {
        cells.allSatisfy { $0.vcpus.count.isMultiple(of: threads) }
    }

    private static func realtime(
        _ grant: ProcessorGrant, _ request: MachineRequest
    ) throws(PlanRefusal) -> (Decision<CPUSet>, Decision<Bool>) {
        let key = MachineAnnotations.prefix + "realtime"
        guard request.annotations.realtime else {
            let locked = request.annotations.lockMemory
            return (
                Decision([], "not asked for"),
                Decision(locked, locked ? MachineAnnotations.prefix + "lock-memory" : "not asked for")
            )
        }
        var vcpus = CPUSet(grant.pins.indices)
        if grant.isolated == nil {
            // A FIFO thread never gives way to the emulator's threads, which would then stand still.
            vcpus.remove(0)
            guard !vcpus.isEmpty else {
                throw PlanRefusal(
                    field: key,
                    problem: "the pod's one CPU would be the vCPU's alone, and QEMU's own threads would stand still; "
                        + "limits.cpu: \"2\" or more is accepted")
            }
            return (
                Decision(vcpus, "realtime; vCPU 0 shares its CPU with QEMU's own threads and has no FIFO thread"),
                Decision(true, "realtime")
            )
        }
        return (Decision(vcpus, "realtime"), Decision(true, "realtime"))
    }

    /// Makes room in topology and cells for vCPUs that are added later.
    private mutating func grow(to maximum: Int?, from vcpus: Int) throws(PlanRefusal) {
        guard let maximum, maximum != vcpus else { return }
        guard maximum > vcpus else {
            throw PlanRefusal(
                field: MachineAnnotations.prefix + "max-cpus",
                problem: "is \(maximum); the machine starts with \(vcpus)")
        }
        for vcpu in vcpus..<maximum {
            cells[cells.count - 1].vcpus.insert(vcpu)
            if !realtime.value.isEmpty { realtime.value.insert(vcpu) }
        }
        topology =
            cells.count > 1
            ? Decision(
                GuestTopology(sockets: maximum, cores: 1, threads: 1),
                "a socket a vCPU, so that they can come one by one")
            : Decision(
                GuestTopology(sockets: 1, cores: maximum, threads: 1),
                "one thread a core, so that they can come one by one")
    }
}

import HostTopology
import MachinePlanning
import TestSupport
import Testing

@Suite struct PlacementTests {
    private static let page: UInt64 = 16 << 20

    // MARK: Properties

    @Test func everyPlacementOnRandomHostsHolds() throws {
        var planned = 0
        var refused = 0
        for seed in 0..<6000 {
            var random = SeededGenerator(UInt64(seed))
            let host = HostTopology.random(&random)
            let request = MachineRequest.placed(on: host, &random)
            let others = Self.others(on: host, &random)
            do throws(PlanRefusal) {
                let plan = try MachinePlan(request, on: host, beside: others)
                planned += 1
                check(plan, request, host, others, "seed \(seed)")
                #expect(try MachinePlan(request, on: host, beside: others) == plan, "seed \(seed)")
            } catch {
                refused += 1
                #expect(!error.field.isEmpty && !error.problem.isEmpty, "seed \(seed)")
                #expect(
                    Self.hasNoLegalPlan(request, host, others), "seed \(seed): refused though it fits: \(error)")
            }
        }
        #expect(planned > 1500 && refused > 500, "\(planned) planned, \(refused) refused")
    }

    private static func others(on host: HostTopology, _ random: inout SeededGenerator) -> [Holding] {
        (0..<Int.random(in: 0...2, using: &random)).map { index in
            let cpus = host.cpus.map(\.id).filter { _ in Int.random(in: 0..<12, using: &random) == 0 }
            let pages = host.nodes.map { node in
                Holding.Pages(node: node.id, size: page, count: UInt64.random(in: 0...6, using: &random))
            }
            return Holding(pod: "other/\(index)", cpus: CPUSet(cpus), pages: pages)
        }
    }

    private static func free(_ node: HostNode, _ others: [Holding]) -> UInt64 {
        let taken = others.flatMap(\.pages).filter { $0.node == node.id }.reduce(0) { $0 + $1.count }
        let free = node.freePages(size: page)
        return free > taken ? free - taken : 0
    }

    private func check(
        _ plan: MachinePlan, _ request: MachineRequest, _ host: HostTopology, _ others: [Holding], _ comment: Comment
    ) {
        let placement = plan.placement
        let allowed = request.mems.isEmpty ? host.nodesWithMemory : request.mems.intersection(host.nodesWithMemory)
        if case .pinned(let pins) = placement.processors.value {
            #expect(Set(pins).count == pins.count, "pins are injective; \(comment)")
            #expect(CPUSet(pins).isSubset(of: request.cpus), comment)
            #expect(placement.exclusive == request.cpus, comment)
            #expect(pins.count == plan.vcpus.value, comment)
            for other in others { #expect(other.cpus.isDisjoint(with: placement.exclusive), comment) }
            let threads = placement.topology.value.threads
            for index in pins.indices where index % threads > 0 {
                // Threads of a guest core are threads of one host core.
                #expect(host.cpu(pins[index])?.siblings == host.cpu(pins[index - 1])?.siblings, comment)
            }
            for cell in placement.cells {
                for vcpu in cell.vcpus {
                    let node = host.cpu(pins[vcpu]).flatMap { host.node($0.node) }
                    // On its own node, unless that has no memory at all.
                    #expect(node?.id == cell.node || node?.memory == 0, comment)
                }
            }
        }
        if case .floating(let cpus) = placement.processors.value {
            #expect(!cpus.isEmpty && cpus.isSubset(of: request.cpus.isEmpty ? host.online : request.cpus), comment)
            if let node = placement.cells.first?.node {
                #expect(cpus.isSubset(of: host.node(node)?.cpus ?? []) && cpus.count >= plan.vcpus.value, comment)
            }
            let foreign = others.reduce(CPUSet()) { $0.union($1.cpus) }
            #expect(cpus.isDisjoint(with: foreign) || host.online.isSubset(of: foreign), comment)
        }
        let topology = placement.topology.value
        #expect(topology.sockets * topology.cores * topology.threads == plan.vcpusLimit.value, comment)
        #expect(placement.cells.reduce(0) { $0 + $1.memory } == plan.memory.value, "the cells are the RAM; \(comment)")
        #expect(
            placement.cells.reduce(CPUSet()) { $0.union($1.vcpus) } == CPUSet(0..<plan.vcpusLimit.value)
                && placement.cells.reduce(0) { $0 + $1.vcpus.count } == plan.vcpusLimit.value, comment)
        for (index, cell) in placement.cells.enumerated() {
            #expect(cell.memory > 0 && !cell.vcpus.isEmpty, comment)
            #expect(cell.distances.count == placement.cells.count && cell.distances[index] == 10, comment)
            #expect(CPUSet(cell.sources.map(\.node)).isSubset(of: allowed), "RAM from allowed nodes; \(comment)")
            if !cell.sources.isEmpty { #expect(cell.sources.reduce(0) { $0 + $1.bytes } == cell.memory, comment) }
            if cell.binding == .strict, let node = cell.node, !cell.sources.isEmpty {
                #expect(cell.sources.map(\.node) == [node], comment)
            }
        }
        if case .huge = placement.pages.value {
            #expect(plan.memory.value == request.hugePages.limits[Self.page], "to the byte; \(comment)")
            for held in placement.holdings {
                let node = host.node(held.node)
                #expect(held.count <= node.map { Self.free($0, others) } ?? 0, "within the free pages; \(comment)")
            }
            #expect(placement.holdings.reduce(0) { $0 + $1.count * $1.size } == plan.memory.value, comment)
        }
    }

    /// Whether trying everything finds no way either.
    private static func hasNoLegalPlan(_ request: MachineRequest, _ host: HostTopology, _ others: [Holding]) -> Bool {
        let exclusive = request.cpuShares == UInt64(request.cpus.count) * 1024 && !request.cpus.isEmpty
        let annotations = request.annotations
        if !exclusive && (annotations.realtime || annotations.emulatorThreads == .isolate) { return true }
        if exclusive {
            if request.cpus.count == 1 && (annotations.emulatorThreads == .isolate || annotations.realtime) {
                return true
            }
            if others.contains(where: { !$0.cpus.isDisjoint(with: request.cpus) }) { return true }
        }
        let allowed = request.mems.isEmpty ? host.nodesWithMemory : request.mems.intersection(host.nodesWithMemory)
        if allowed.isEmpty { return true }
        let huge = request.hugePages.limits[page]
        let isStrict = (annotations.numaPolicy ?? (huge == nil ? .preferred : .strict)) == .strict
        let units = huge.map { $0 / page } ?? (request.memoryLimit ?? 0) >> 20
        func room(_ id: Int) -> UInt64 {
            guard allowed.contains(id), let node = host.node(id) else { return 0 }
            return huge == nil ? node.available >> 20 : free(node, others)
        }
        let total = host.nodes.reduce(0) { $0 + room($1.id) }
        guard exclusive, isStrict else { return (huge != nil || isStrict) && total < units }
        // Which CPU is QEMU's own may decide which nodes have vCPUs: the rule is part of the contract, so is used here.
        var vcpus = request.cpus
        if annotations.emulatorThreads == .isolate {
            let lone = vcpus.filter { id in
                let siblings = host.cpu(id)?.siblings ?? []
                return siblings.count > 1 && siblings.intersection(request.cpus).count == 1
            }
            vcpus.remove(lone.last ?? vcpus.last ?? 0)
        }
        let homes = CPUSet(
            vcpus.map { id -> Int in
                let node = host.cpu(id).flatMap { host.node($0.node) }
                guard let node, node.memory == 0 else { return node?.id ?? 0 }
                return host.nodesWithMemory.min { (node.distance(to: $0), $0) < (node.distance(to: $1), $1) } ?? 0
            })
        if !homes.isSubset(of: allowed) { return true }
        return !canDivide(units, Array(homes).map(room)[...])
    }

    /// Tries every way of giving each node one unit or more.
    private static func canDivide(_ units: UInt64, _ room: ArraySlice<UInt64>) -> Bool {
        guard let first = room.first else { return units == 0 }
        if room.count == 1 { return units >= 1 && units <= first }
        guard first > 0 else { return false }
        // Ordinary memory has thousands of units; for it the ends of the range decide.
        let tries = first > 100 ? [1, first, min(first, units > 0 ? units - 1 : 0)] : Array(1...first)
        return tries.contains { $0 > 0 && $0 <= units && canDivide(units - $0, room.dropFirst()) }
    }

    // MARK: Decisions

    private static let twoNodes = HostTopology(
        nodes: (0..<2).map { id in
            HostNode(
                id: id, cpus: id == 0 ? [0, 1, 4, 5] : [2, 3, 6, 7], memory: 16 << 30,
                distances: [0: id == 0 ? 10 : 21, 1: id == 0 ? 21 : 10],
                hugePages: [
                    HugePagePool(size: 2 << 20, total: 2048, free: 2048),
                    HugePagePool(size: 1 << 30, total: 8, free: 8),
                ])
        },
        cpus: (0..<8).map { id in
            HostCPU(
                id: id, node: id % 4 / 2, socket: id % 4 / 2, core: id % 4, siblings: [id % 4, id % 4 + 4],
                cache: id % 4 < 2 ? [0, 1, 4, 5] : [2, 3, 6, 7])
        },
        devices: [
            HostDevice(
                address: "0000:3b:02.1", node: 1, classCode: 0x020000, vendor: 0x8086, device: 0x154c,
                driver: "vfio-pci", iommuGroup: 40)
        ])

    private func request(_ cpus: CPUSet, pages: [UInt64: UInt64] = [:]) -> MachineRequest {
        var request = MachineRequest.sample
        request.cpus = cpus
        request.cpuShares = UInt64(cpus.count) * 1024
        (request.cpuQuota, request.cpuPeriod) = (Int64(cpus.count) * 100_000, 100_000)
        request.hugePages.limits = pages
        return request
    }

    private func refusal(_ request: MachineRequest, beside others: [Holding] = []) -> PlanRefusal? {
        do throws(PlanRefusal) {
            _ = try MachinePlan(request, on: Self.twoNodes, beside: others)
            return nil
        } catch {
            return error
        }
    }

    @Test func siblingsOfTheHostAreSiblingsInTheGuest() throws {
        let plan = try MachinePlan(request([2, 3, 6, 7], pages: [1 << 30: 4 << 30]), on: Self.twoNodes)
        #expect(plan.placement.processors.value == .pinned([2, 6, 3, 7]))
        #expect(plan.placement.topology.value == Placement.GuestTopology(sockets: 1, cores: 2, threads: 2))
        #expect(plan.placement.cells.map(\.node) == [1])
        #expect(plan.placement.holdings == [Holding.Pages(node: 1, size: 1 << 30, count: 4)])
        #expect(plan.placement.emulator.value == [2, 3, 6, 7])
    }

    @Test func cpusOfBothNodesAreTwoCells() throws {
        let plan = try MachinePlan(request([0, 2, 3], pages: [2 << 20: 3 << 30]), on: Self.twoNodes)
        #expect(plan.placement.processors.value == .pinned([0, 2, 3]))
        #expect(plan.placement.cells.map(\.vcpus) == [[0], [1, 2]])
        #expect(plan.placement.cells.map(\.memory) == [1 << 30, 2 << 30])
        #expect(plan.placement.cells.map(\.distances) == [[10, 21], [21, 10]])
        #expect(plan.placement.topology.value == Placement.GuestTopology(sockets: 3, cores: 1, threads: 1))
    }

    @Test func theIsolatedCPUIsOneWhoseSiblingIsNotThePods() throws {
        var request = request([2, 6, 7], pages: [2 << 20: 1 << 30])
        request.annotations.emulatorThreads = .isolate
        let plan = try MachinePlan(request, on: Self.twoNodes)
        #expect(plan.placement.emulator.value == [7])
        #expect(plan.placement.processors.value == .pinned([2, 6]))
        #expect(plan.vcpus.value == 2)
        #expect(plan.placement.exclusive == [2, 6, 7])
    }

    @Test func aShortNodeIsNamedWithWhatTheOthersHave() throws {
        let refused = refusal(
            request([2, 3], pages: [1 << 30: 8 << 30]),
            beside: [Holding(pod: "nf/other", pages: [Holding.Pages(node: 1, size: 1 << 30, count: 3)])])
        #expect(refused?.kind == .exhausted)
        #expect(
            refused?.description.hasPrefix(
                "limits.hugepages-1Gi: 8 GiB asked on node 1, node 1: 5 GiB free, node 0: 8 GiB free; the pod's CPUs "
                    + "2-3 "
                    + "are on node 1") == true, "\(String(describing: refused))")
    }

    @Test func aHeldCPUIsRefusedWithItsHolder() throws {
        let refused = refusal(request([2, 3]), beside: [Holding(pod: "nf/router", cpus: [3, 7])])
        #expect(refused?.field == "cpuset.cpus" && refused?.problem.contains("held by pod nf/router") == true)
    }

    @Test func twoPageSizesAreRefused() throws {
        let refused = refusal(request([2], pages: [1 << 30: 1 << 30, 2 << 20: 2 << 20]))
        #expect(refused?.field == "limits.hugepages" && refused?.problem.contains("2Mi and 1Gi") == true)
        var request = request([2], pages: [1 << 30: 1 << 30])
        request.hugePages.volumes = [2 << 20]
        #expect(refusal(request)?.problem.contains("the volume says otherwise") == true)
    }

    @Test func hiddenLimitsAreReadFromThePodsCgroup() throws {
        var request = request([2])
        request.hugePages.volumes = [2 << 20]
        #expect(refusal(request)?.problem.contains("disable_hugetlb_controller = false") == true)
        request.hugePages.podLimits = [2 << 20: 512 << 20]
        #expect(try MachinePlan(request, on: Self.twoNodes).memory.value == 512 << 20)
    }

    @Test func theHighPerformanceProfileTakesNothingLess() throws {
        var request = request([2, 3], pages: [2 << 20: 1 << 30])
        request.profile = .highPerformance
        #expect(refusal(request) == nil)
        request.hugePages = HugePageSources()
        #expect(refusal(request)?.field == "limits.hugepages")
        request.cpus = []
        #expect(refusal(request)?.field == "limits.cpu")
    }

    @Test func memoryBesideHugePagesHasToBeEnoughForQEMU() throws {
        var request = request([2, 3], pages: [2 << 20: 1 << 30])
        request.memoryLimit = 64 << 20
        #expect(refusal(request)?.field == "limits.memory")
        request.memoryLimit = 512 << 20
        #expect(try MachinePlan(request, on: Self.twoNodes).memory.value == 1 << 30)
    }

    @Test func realtimeNeedsACPUForQEMU() throws {
        var request = request([2, 3], pages: [2 << 20: 1 << 30])
        request.annotations.realtime = true
        let shared = try MachinePlan(request, on: Self.twoNodes).placement
        #expect(shared.realtime.value == [1] && shared.emulator.value == [2] && shared.locked.value)
        request.annotations.emulatorThreads = .isolate
        let isolated = try MachinePlan(request, on: Self.twoNodes).placement
        #expect(isolated.realtime.value == [0] && isolated.emulator.value == [3])
    }

    @Test func whoHasNoCPUsOfItsOwnLeavesOthersAlone() throws {
        let others = [Holding(pod: "nf/other", cpus: [1, 2])]
        #expect(
            try MachinePlan(.sample, on: .plain, beside: others).placement.processors.value == .floating([0, 3]))
        let all = [Holding(pod: "nf/other", cpus: [0, 1, 2, 3])]
        #expect(try MachinePlan(.sample, on: .plain, beside: all).placement.processors.value == .anywhere)
    }

    @Test func aFunctionIsInTheCellOfItsNode() throws {
        var request = request([0, 2], pages: [2 << 20: 2 << 30])
        request.devices = ["0000:3b:02.1"]
        #expect(try MachinePlan(request, on: Self.twoNodes).devices.map(\.cell) == [1])
        request.cpus = [0, 1]
        #expect(refusal(request)?.problem.contains("is on node 1") == true)
        request.annotations.numaPolicy = .preferred
        #expect(try MachinePlan(request, on: Self.twoNodes).devices.map(\.cell) == [nil])
        request.devices = ["0000:00:00.0"]
        #expect(refusal(request)?.problem.contains("is not on this node") == true)
    }

    /// The firmware numbers the root ports of the first bus, then those of each expander from its own number on. Seen
    /// with QEMU 7.2's `info pci` after its SeaBIOS had run; the lab's guest is asked for it too.
    @Test func functionsAreWhereTheFirmwareNumbersTheirBuses() throws {
        var host = Self.twoNodes
        host.devices += [("0000:3b:02.2", 1), ("0000:1a:00.0", 0), ("0000:00:1f.0", nil)].map { address, node in
            HostDevice(
                address: address, node: node, classCode: 0x020000, vendor: 0x8086, device: 0x154c, driver: "vfio-pci",
                iommuGroup: 41)
        }
        var request = request([0, 2], pages: [2 << 20: 2 << 30])
        request.devices = ["0000:1a:00.0", "0000:00:1f.0", "0000:3b:02.1"]
        request.annotations.hotNICs = 3
        request.links = [
            RequestedLink("eth0", number: 0, backend: .tap(device: "slw0"), mac: "0a:58:00:00:00:01", mtu: 1500),
            RequestedLink(
                "net1", number: 1, backend: .hostDevice(address: "0000:3b:02.2", isManaged: false),
                mac: "0a:58:00:00:00:02", mtu: 1500),
        ]
        let plan = try MachinePlan(request, on: host)
        // Five places for NICs; libvirt's indexes go on behind them, and count the expanders too.
        #expect(plan.nics.map(\.bus) == [1, 7] && plan.devices.map(\.bus) == [9, 10, 11])
        #expect(plan.nics.map(\.pciAddress) == ["0000:01:00.0", "0000:41:00.0"])
        #expect(plan.devices.map(\.pciAddress) == ["0000:51:00.0", "0000:06:00.0", "0000:42:00.0"])
        // One that comes later is at its own root port.
        let later = try plan.adding(
            RequestedLink("net2", number: 2, backend: .tap(device: "slw2"), mac: "0a:58:00:00:00:03", mtu: 1500))
        #expect(later.nic(2)?.pciAddress == "0000:03:00.0")
    }

    @Test func whoFloatsIsWhereItsFunctionIs() throws {
        var request = MachineRequest.sample
        request.hugePages.limits = [1 << 30: 2 << 30]
        request.devices = ["0000:3b:02.1"]
        // Node 0 would be the tighter fit.
        let others = [Holding(pod: "nf/other", pages: [Holding.Pages(node: 0, size: 1 << 30, count: 6)])]
        let plan = try MachinePlan(request, on: Self.twoNodes, beside: others)
        #expect(plan.placement.cells.map(\.node) == [1] && plan.devices.map(\.cell) == [0])
        // One that has a driver of the host is known by its link alone.
        request.devices = []
        request.links = [
            RequestedLink(
                "net1", number: 0, backend: .hostDevice(address: "0000:3b:02.1", isManaged: false),
                mac: "0a:58:00:00:00:01", mtu: 1500)
        ]
        #expect(request.functions == ["0000:3b:02.1"])
        #expect(try MachinePlan(request, on: Self.twoNodes, beside: others).placement.cells.map(\.node) == [1])
    }

    @Test func lockedMemoryDoesNotGrow() throws {
        var request = MachineRequest.sample
        (request.annotations.maxMemory, request.annotations.lockMemory) = (2 << 30, true)
        #expect(refusal(request)?.field == "slipway.dev/max-memory")
    }

    @Test func vCPUsThatMayComeHaveAPlace() throws {
        var request = MachineRequest.sample
        (request.cpuQuota, request.cpuPeriod) = (200_000, 100_000)
        (request.annotations.maxCPUs, request.annotations.maxMemory) = (4, 1 << 30)
        let plan = try MachinePlan(request, on: .plain)
        #expect((plan.vcpus.value, plan.vcpusLimit.value) == (2, 4))
        #expect((plan.memory.value, plan.memoryLimit.value) == (512 << 20, 1 << 30))
        #expect(plan.placement.cells.map(\.vcpus) == [[0, 1, 2, 3]])
        request.annotations.maxCPUs = 1
        #expect(refusal(request)?.field == "slipway.dev/max-cpus")
    }
}

import HostTopology

/// The memory nodes of the host, as far as a pod may use them, and what is free there.
struct MemorySupply {
    /// Nodes that RAM may come from.
    let allowed: CPUSet
    /// Units that are free, by allowed node.
    let free: [Int: UInt64]
    /// Bytes of a unit: a huge page, or a MiB of ordinary memory.
    let unit: UInt64
    /// For each node with CPUs the node that their RAM lies on: itself, or the nearest with memory.
    let homes: [Int: Int]

    /// - Throws: ``PlanRefusal`` when the pod's `cpuset.mems` holds no node with memory.
    init(
        _ request: MachineRequest, pages: HugePageRequest?, on host: HostTopology, beside others: [Holding]
    ) throws(PlanRefusal) {
        let withMemory = host.nodesWithMemory
        allowed = request.mems.isEmpty ? withMemory : request.mems.intersection(withMemory)
        guard !allowed.isEmpty else {
            throw PlanRefusal(
                .exhausted, field: "cpuset.mems",
                problem: "no node of \(request.mems) has memory; nodes with memory are \(withMemory)")
        }
        var free: [Int: UInt64] = [:]
        for node in host.nodes where allowed.contains(node.id) {
            if let pages {
                let pending = others.flatMap(\.pages).filter { $0.node == node.id && $0.size == pages.size }
                let available = node.freePages(size: pages.size)
                let taken = pending.reduce(UInt64(0)) {
                    min($0.addingReportingOverflow($1.count).partialValue, 1 << 48)
                }
                free[node.id] = available > taken ? available - taken : 0
            } else {
                free[node.id] = node.available >> 20
            }
        }
        self.free = free
        unit = pages?.size ?? 1 << 20
        homes = Dictionary(
            uniqueKeysWithValues: host.nodes.map { node in
                // A node that has memory is its CPUs' home even where the pod may not use it: that is a contradiction to tell.
                let home =
                    node.memory > 0
                    ? node.id
                    : withMemory.min { (node.distance(to: $0), $0) < (node.distance(to: $1), $1) } ?? node.id
                return (node.id, home)
            })
    }

    /// What is free, for a sentence: `5 GiB free on node 1, 16 GiB on node 0`.
    func sentence(first: Int? = nil) -> String {
        let nodes = free.keys.sorted { ($0 == first ? 0 : 1, $0) < ($1 == first ? 0 : 1, $1) }
        return nodes.map { "node \($0): \(ByteCount.short((free[$0] ?? 0) * unit)) free" }.joined(separator: ", ")
    }
}

/// The cells of a machine and what its RAM is tied to.
struct MemoryPlacement {
    var cells: [Placement.Cell]
    /// For vCPUs that float: the CPUs.
    var floating: Placement.Processors
    var reason: String

    private let host: HostTopology
    private let supply: MemorySupply
    private let field: String
    private let isHuge: Bool
    private let deviceNodes: CPUSet

    /// - Parameters:
    ///   - bytes: of RAM; whole units of the supply.
    ///   - vcpus: number of vCPUs.
    ///   - deviceNodes: nodes that vCPUs which float have to be on, for the functions that the machine gets.
    init(
        bytes: UInt64, vcpus: Int, pages: HugePageRequest?, _ grant: ProcessorGrant, _ supply: MemorySupply,
        policy: MachineAnnotations.NUMAPolicy, near deviceNodes: CPUSet, on host: HostTopology
    ) throws(PlanRefusal) {
        (self.host, self.supply, self.deviceNodes) = (host, supply, deviceNodes)
        field = pages?.field ?? "limits.memory"
        isHuge = pages != nil
        (cells, floating, reason) = ([], .anywhere, "")
        let units = bytes / supply.unit
        if grant.pins.isEmpty {
            try placeFloating(units, vcpus: vcpus, grant, policy)
        } else {
            floating = .pinned(grant.pins)
            reason = grant.reason
            try placePinned(units, grant, policy)
        }
        let nodes = cells.map { cell in cell.node.flatMap { host.node($0) } }
        for index in cells.indices {
            if cells[index].sources.isEmpty { cells[index].memory = bytes }
            if let node = cells[index].node {
                cells[index].memoryless = CPUSet(supply.homes.filter { $0.value == node && $0.key != node }.keys)
            }
            cells[index].distances = cells.indices.map { other in
                if other == index { return 10 }
                guard let node = nodes[index], let target = cells[other].node else { return 20 }
                // Between different cells 10 would say that they are one.
                return min(max(node.distance(to: target), 11), 254)
            }
        }
    }

    // MARK: vCPUs with CPUs of their own

    private mutating func placePinned(
        _ units: UInt64, _ grant: ProcessorGrant, _ policy: MachineAnnotations.NUMAPolicy
    ) throws(PlanRefusal) {
        var vcpus: [Int: CPUSet] = [:]
        let nodes = Dictionary(uniqueKeysWithValues: host.cpus.map { ($0.id, $0.node) })
        for (index, cpu) in grant.pins.enumerated() {
            let node = nodes[cpu] ?? 0
            vcpus[supply.homes[node] ?? node, default: []].insert(index)
        }
        let homes = vcpus.keys.sorted()
        let cpus = CPUSet(grant.pins)
        switch policy {
        case .strict:
            let foreign = CPUSet(homes).subtracting(supply.allowed)
            guard foreign.isEmpty else {
                throw PlanRefusal(
                    .exhausted, field: "cpuset.mems",
                    problem: "lets RAM come from node \(supply.allowed) alone, but the pod's CPUs \(cpus) are on node "
                        + "\(CPUSet(homes)); slipway.dev/numa-policy: preferred accepts memory of other nodes")
            }
            let capacities = homes.map { supply.free[$0] ?? 0 }
            let weights = homes.map { vcpus[$0]?.count ?? 0 }
            guard let shares = proportionalShares(of: units, weights: weights, capacities: capacities) else {
                throw short(units, CPUSet(homes), cpus)
            }
            cells = zip(homes, shares).map { home, share in
                cell(
                    vcpus[home] ?? [], home, [(home, share)], .strict,
                    shares.count > 1 ? "in proportion to its vCPUs" : "")
            }
        case .preferred:
            cells = try spread(units, homes: homes, vcpus: vcpus, cpus: cpus)
        }
    }

    /// Each cell takes its proportion from its own node as far as that goes, and the rest from the nearest nodes.
    private func spread(
        _ units: UInt64, homes: [Int], vcpus: [Int: CPUSet], cpus: CPUSet
    ) throws(PlanRefusal) -> [Placement.Cell] {
        let weights = homes.map { vcpus[$0]?.count ?? 0 }
        let wanted = proportionalShares(of: units, weights: weights, capacities: homes.map { _ in units })
        guard let wanted, !isHuge || supply.free.values.reduce(0, +) >= units else {
            throw short(units, supply.allowed, cpus)
        }
        var left = supply.free
        var sources = zip(homes, wanted).map { home, share -> [(Int, UInt64)] in
            guard let free = left[home], free > 0 else { return [] }
            left[home] = free - min(share, free)
            return [(home, min(share, free))]
        }
        for (index, home) in homes.enumerated() {
            var rest = wanted[index] - sources[index].reduce(0) { $0 + $1.1 }
            let node = host.node(home)
            func distance(_ other: Int) -> Int { other == home ? 0 : node?.distance(to: other) ?? 20 }
            let byDistance = left.keys.sorted { (distance($0), $0) < (distance($1), $1) }
            for other in byDistance where rest > 0 {
                guard let free = left[other], free > 0 else { continue }
                let part = min(rest, free)
                left[other] = free - part
                rest -= part
                sources[index].append((other, part))
            }
            // Ordinary memory can be made free; where it will come from is then the kernel's to find.
            if rest > 0 {
                let target = supply.allowed.contains(home) ? home : byDistance.first ?? home
                if let known = sources[index].firstIndex(where: { $0.0 == target }) {
                    sources[index][known].1 += rest
                } else {
                    sources[index].append((target, rest))
                }
            }
        }
        return zip(homes, sources).map { home, sources in
            let remote = sources.filter { $0.0 != home }
            let why =
                remote.isEmpty
                ? ""
                : "\(ByteCount.short(remote.reduce(0) { $0 + $1.1 } * supply.unit)) from node "
                    + "\(CPUSet(remote.map(\.0))), as node \(home) has too little"
            return cell(vcpus[home] ?? [], home, sources, .preferred, why)
        }
    }

    // MARK: vCPUs that float

    private mutating func placeFloating(
        _ units: UInt64, vcpus: Int, _ grant: ProcessorGrant, _ policy: MachineAnnotations.NUMAPolicy
    ) throws(PlanRefusal) {
        let all = CPUSet(0..<vcpus)
        guard host.nodes.count > 1 || isHuge else {
            reason = "\(grant.reason); the node has one memory node"
            floating = grant.avoids.isEmpty ? .anywhere : .floating(grant.usable)
            cells = [cell(all, nil, [], .preferred, "the node has one memory node")]
            return
        }
        let candidates = host.nodes.filter { node in
            (supply.free[node.id] ?? 0) >= units && node.cpus.intersection(grant.usable).count >= vcpus
                && deviceNodes.isSubset(of: [node.id])
        }
        // Huge pages: the tightest fit keeps large holes for large machines. Ordinary memory is shared with everything
        // else on the node: the emptiest node.
        let best = candidates.min { first, second in
            let (a, b) = (supply.free[first.id] ?? 0, supply.free[second.id] ?? 0)
            return a == b ? first.id < second.id : (isHuge ? a < b : a > b)
        }
        if let best {
            let cpus = best.cpus.intersection(grant.usable)
            floating = host.nodes.count > 1 || !grant.avoids.isEmpty ? .floating(cpus) : .anywhere
            let fit =
                candidates.count == 1
                ? "the one node with room"
                : isHuge ? "the tightest of \(candidates.count) nodes with room" : "the emptiest node"
            reason = "\(grant.reason); node \(best.id) has room for all of it (\(fit))"
            cells = [cell(all, best.id, [(best.id, units)], policy, fit)]
            return
        }
        reason = "\(grant.reason); no single node has CPUs and memory for all of it"
        floating = grant.avoids.isEmpty ? .anywhere : .floating(grant.usable)
        guard isHuge || policy == .strict else {
            cells = [cell(all, nil, [], .preferred, "no single node has room")]
            return
        }
        // As few nodes as possible, the fullest pools first.
        var sources: [(Int, UInt64)] = []
        var rest = units
        for (node, free) in supply.free.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) })
        where rest > 0 && free > 0 {
            sources.append((node, min(free, rest)))
            rest -= min(free, rest)
        }
        guard rest == 0 else { throw short(units, supply.allowed, nil) }
        cells = [cell(all, nil, sources, policy, "no single node has CPUs and free pages for all of it")]
    }

    // MARK: Words

    private func cell(
        _ vcpus: CPUSet, _ node: Int?, _ sources: [(node: Int, units: UInt64)],
        _ binding: MachineAnnotations.NUMAPolicy,
        _ why: String
    ) -> Placement.Cell {
        let place = node.map { "node \($0)" } ?? (sources.isEmpty ? "any node" : "nodes \(CPUSet(sources.map(\.node)))")
        return Placement.Cell(
            vcpus: vcpus, memory: sources.reduce(0) { $0 + $1.units } * supply.unit, node: node,
            sources: sources.map { Placement.Cell.Source(node: $0.node, bytes: $0.units * supply.unit) },
            binding: binding, distances: [], reason: why.isEmpty ? place : "\(place), \(why)")
    }

    private func short(_ units: UInt64, _ nodes: CPUSet, _ cpus: CPUSet?) -> PlanRefusal {
        let asked = "\(ByteCount.short(units * supply.unit)) asked on node \(nodes)"
        let pinned = cpus.map { "; the pod's CPUs \($0) are on node \(nodes)" } ?? ""
        let help =
            isHuge
            ? "; pages come free with other pods, or by more of them in /sys/devices/system/node/nodeN/hugepages" : ""
        return PlanRefusal(
            .exhausted, field: field, problem: "\(asked), \(supply.sentence(first: nodes.first))\(pinned)\(help)")
    }
}

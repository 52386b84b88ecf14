internal import HostTopology
internal import MachinePlanning

extension Comparison {
    /// Bytes of RAM by the node that they are planned on.
    private var planned: [Int: UInt64] {
        placement.cells.flatMap(\.sources).reduce(into: [:]) { sums, source in
            sums[source.node] = (sums[source.node] ?? 0).saturatingSum(source.bytes)
        }
    }

    private var isStrict: Bool { placement.cells.allSatisfy { $0.binding == .strict } }

    func memory() -> [Drift] {
        switch placement.pages.value {
        case .huge(let size): return hugePages(size)
        case .ordinary: return strayedPages()
        }
    }

    private func hugePages(_ size: UInt64) -> [Drift] {
        let found = machine.bytes(hugePages: size)
        let kind = "RAM, \(ByteCount.text(size)) pages"
        var drift: [Drift] = []
        if isStrict {
            for node in Set(planned.keys).union(found.keys).sorted() {
                let (plan, there) = (planned[node] ?? 0, found[node] ?? 0)
                guard plan != there else { continue }
                drift.append(
                    Drift(
                        "\(kind), node \(node)", planned: ByteCount.short(plan), found: ByteCount.short(there),
                        remedy: "delete the pod, so that its pages are taken anew"))
            }
        } else {
            let sum = found.values.reduce(UInt64(0)) { $0.saturatingSum($1) }
            if sum != plan.memory.value {
                drift.append(Drift(kind, planned: ByteCount.short(plan.memory.value), found: ByteCount.short(sum)))
            } else if found != planned {
                drift.append(Drift(.note, "\(kind), by node", planned: words(planned), found: words(found)))
            }
        }
        for other in machine.memory where other.hugePages.map({ $0 != size }) ?? false {
            drift.append(
                Drift(
                    "huge pages of another size", planned: "none",
                    found: "\(ByteCount.short(other.bytes.values.reduce(UInt64(0)) { $0.saturatingSum($1) })) of "
                        + "\(ByteCount.text(other.hugePages ?? 0)) pages"))
        }
        return drift
    }

    /// Ordinary pages under a strict binding that lie where they should not. How much of the RAM is there at all is the
    /// guest's doing.
    private func strayedPages() -> [Drift] {
        guard isStrict, !planned.isEmpty else { return [] }
        let bound = machine.memory.filter { $0.hugePages == nil && $0.policy.hasPrefix("bind") }
        let nodes = CPUSet(planned.keys)
        let strayed = bound.reduce(into: [Int: UInt64]()) { sums, part in
            for (node, bytes) in part.bytes where !nodes.contains(node) {
                sums[node] = (sums[node] ?? 0).saturatingSum(bytes)
            }
        }
        return strayed.sorted { $0.key < $1.key }.map { node, bytes in
            Drift(
                "RAM on node \(node)", planned: "none; all of it on node \(nodes)", found: ByteCount.short(bytes),
                remedy: "migratepages \(machine.pid) \(node) \(nodes.first ?? 0) moves it")
        }
    }

    private func words(_ bytes: [Int: UInt64]) -> String {
        let parts = bytes.sorted { $0.key < $1.key }.map { "node \($0.key): \(ByteCount.short($0.value))" }
        return parts.isEmpty ? "none" : parts.joined(separator: ", ")
    }

    func lockedMemory() -> [Drift] {
        guard placement.locked.value else { return [] }
        // Huge pages are never swapped, and the kernel does not count them as locked.
        let least = placement.pages.value == .ordinary ? plan.memory.value : 1
        guard machine.locked < least else { return [] }
        return [
            Drift(
                "locked memory", planned: "all of QEMU's", found: ByteCount.short(machine.locked),
                remedy: "delete the pod to start it anew")
        ]
    }

    func cgroup() -> [Drift] {
        guard let cgroup = machine.cgroup else {
            return [Drift("cgroup", planned: "the container's", found: "none of that name")]
        }
        var drift: [Drift] = []
        if !cgroup.holdsMachine {
            drift.append(
                Drift(
                    "cgroup", planned: cgroup.path, found: "QEMU in another one",
                    remedy: "delete the pod: none of its limits holds"))
        }
        if case .huge(let size) = placement.pages.value, let pages = cgroup.hugePages.first(where: { $0.size == size })
        {
            let planned = plan.memory.value
            if pages.used != planned {
                drift.append(
                    Drift(
                        "huge pages of the cgroup", planned: ByteCount.short(planned),
                        found: ByteCount.short(pages.used)))
            }
            if let limit = pages.limit, limit < planned {
                drift.append(
                    Drift(
                        "limit of huge pages", planned: "\(ByteCount.short(planned)) or more",
                        found: ByteCount.short(limit)))
            }
        }
        if case .pinned = placement.processors.value, let quota = cgroup.cpuQuota {
            let throttled = (cgroup.throttledPeriods ?? 0) > 0
            let isRealtime = !placement.realtime.value.isEmpty
            if isRealtime || throttled {
                drift.append(
                    Drift(
                        isRealtime ? .drift : .note, "CPU quota",
                        planned: isRealtime ? "none, as the machine is a real-time one" : "never used up",
                        found: "\(quota) of \(cgroup.cpuPeriod ?? 100_000) µs, used up in "
                            + "\(cgroup.throttledPeriods ?? 0) periods"))
            }
        }
        return drift
    }

    func claim() -> [Drift] {
        let holds = Holding(pod: "", cpus: placement.exclusive, pages: placement.holdings)
        guard !holds.cpus.isEmpty || !holds.pages.isEmpty else { return [] }
        guard let own else {
            return [
                Drift(
                    "claim", planned: words(holds), found: "none",
                    remedy: "delete the pod: other pods may be given what it has")
            ]
        }
        guard own.cpus == holds.cpus, own.pages == holds.pages else {
            return [Drift("claim", planned: words(holds), found: words(own))]
        }
        return []
    }

    private func words(_ holding: Holding) -> String {
        let pages = holding.pages.map { "\($0.count) × \(ByteCount.text($0.size)) on node \($0.node)" }
        return ([holding.cpus.words] + pages).joined(separator: ", ")
    }
}

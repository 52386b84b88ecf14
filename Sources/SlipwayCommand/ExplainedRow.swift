internal import HostTopology
internal import MachinePlanning
internal import MachineVerification
internal import OCIRuntimeSpec

/// What a pod asked for, by what it leads to, as its container's specification says it.
struct Asked {
    private var texts: [(PlanTopic, String)] = []

    init() {}

    init(_ spec: Spec) {
        let resources = spec.linux?.resources
        if let cpu = resources?.cpu {
            if let quota = cpu.quota, quota > 0 { texts.append((.vcpus, "quota \(quota)/\(cpu.period ?? 100_000) µs")) }
            let cpus = cpu.cpus.flatMap { $0.isEmpty ? nil : "cpuset \($0)" }
            texts.append(
                (.processors, [cpus, cpu.shares.map { "shares \($0)" }].compactMap { $0 }.joined(separator: ", ")))
            if let mems = cpu.mems, !mems.isEmpty { texts.append((.cell(0), "cpuset.mems \(mems)")) }
        }
        let huge = (resources?.hugepageLimits ?? []).filter { $0.limit > 0 }
        for limit in huge { texts.append((.pages, "\(ByteCount.text(limit.limit)) of \(limit.pageSize) pages")) }
        if let limit = resources?.memory?.limit, limit > 0 {
            let words = "limit \(ByteCount.text(UInt64(limit)))"
            texts.append((.memory, huge.isEmpty ? words : words + " for QEMU"))
        }
        for (key, value) in (spec.annotations ?? [:]).sorted(by: { $0.key < $1.key })
        where key.hasPrefix(MachineAnnotations.prefix) {
            let name = String(key.dropFirst(MachineAnnotations.prefix.count))
            if let topic = Self.topics[name] { texts.append((topic, "\(name) \(value)")) }
        }
    }

    func text(_ topic: PlanTopic) -> String {
        texts.filter { $0.0 == topic && !$0.1.isEmpty }.map(\.1).joined(separator: ", ")
    }

    private static let topics: [String: PlanTopic] = [
        "disk": .boot, "disk-size": .disk("vda"), "kernel-arguments": .boot, "emulator-threads": .emulator,
        "numa-policy": .cell(0), "realtime": .realtime, "lock-memory": .locked, "max-cpus": .vcpus,
        "max-memory": .memory, "shared-memory": .pages,
    ]
}

/// One decision from the wish to what became of it.
struct ExplainedRow: Renderable {
    let what: String
    let asked: String
    let decided: String
    let actual: String
    let reason: String

    static let columns = ["WHAT", "ASKED", "DECIDED", "ACTUAL", "WHY"]
    static let tableColumns = 5
    var cells: [String] { [what, asked.isEmpty ? "-" : asked, decided, actual.isEmpty ? "-" : actual, reason] }

    static func rows(
        _ plan: MachinePlan, asked: Asked, actual machine: ObservedMachine?, on host: HostTopology
    ) -> [ExplainedRow] {
        let user = PlanRow(.user, "\(plan.user):\(plan.group)", "a user of the pod's own, without capabilities")
        return (PlanRow.rows(plan) + [user]).map { row in
            ExplainedRow(
                what: row.topic.name, asked: asked.text(row.topic), decided: row.decided,
                actual: machine.flatMap { Actual(plan: plan, machine: $0, host: host).text(row.topic) } ?? "",
                reason: row.reason)
        }
    }
}

/// What the kernel shows of a decision.
private struct Actual {
    let plan: MachinePlan
    let machine: ObservedMachine
    let host: HostTopology

    /// nil where there is nothing to look at.
    func text(_ topic: PlanTopic) -> String? {
        switch topic {
        case .machine: return "process \(machine.pid)"
        case .accelerator:
            guard let thread = machine.threads.first(where: { $0.role == .vcpu(0) }) else { return nil }
            return thread.name.split(separator: "/").last?.lowercased()
        case .vcpus: return "\(vcpus.count) threads"
        case .processors:
            let sets = Set(vcpus.map(\.cpus))
            if sets.count == 1, let all = sets.first, vcpus.count > 1 { return "any of \(all)" }
            return vcpus.enumerated().map { "\($0.offset)→\($0.element.cpus)" }.joined(separator: " ")
        case .emulator:
            let threads = machine.threads.filter { $0.role == .emulator }
            return "\(threads.reduce(CPUSet()) { $0.union($1.cpus) })"
        case .memory:
            guard case .huge(let size) = plan.placement.pages.value else {
                guard let used = machine.cgroup?.memory else { return nil }
                let limit = machine.cgroup?.memoryLimit.map { " of \(ByteCount.short($0))" } ?? ""
                return "\(ByteCount.short(used))\(limit) used by the cgroup"
            }
            return ByteCount.short(sum(machine.bytes(hugePages: size)))
        case .pages:
            guard case .huge(let size) = plan.placement.pages.value else {
                return words(machine.bytes(hugePages: nil)) + " resident"
            }
            return words(machine.bytes(hugePages: size))
        case .cell(let number):
            guard case .huge(let size) = plan.placement.pages.value, plan.placement.cells.indices.contains(number)
            else {
                return nil
            }
            let nodes = Set(plan.placement.cells[number].sources.map(\.node))
            return words(machine.bytes(hugePages: size).filter { nodes.contains($0.key) })
        case .realtime:
            let fifo = CPUSet(
                vcpus.indices.filter {
                    if case .fifo = vcpus[$0].policy { true } else { false }
                })
            return fifo.isEmpty ? "none" : "FIFO vCPU \(fifo)"
        case .locked: return ByteCount.short(machine.locked)
        case .user: return "\(machine.privileges.user):\(machine.privileges.group)"
        case .device(let address): return function(address)
        case .nic(let link): return plan.nics.first { $0.link == link }?.backend.function.flatMap(function)
        case .topology, .boot, .disk: return nil
        }
    }

    private func function(_ address: String) -> String? {
        guard let group = host.devices.first(where: { $0.address == address })?.iommuGroup else { return nil }
        return "/dev/vfio/\(group) \(machine.openGroups.contains(group) ? "open" : "not open")"
    }

    private var vcpus: [ObservedThread] {
        (0..<plan.vcpus.value).compactMap { machine.threads(ofVCPU: $0).first }
    }

    private func sum(_ bytes: [Int: UInt64]) -> UInt64 {
        bytes.values.reduce(0) { $0.addingReportingOverflow($1).overflow ? .max : $0 + $1 }
    }

    private func words(_ bytes: [Int: UInt64]) -> String {
        let parts = bytes.sorted { $0.key < $1.key }.map { "\(ByteCount.short($0.value)) of node \($0.key)" }
        return parts.isEmpty ? "none" : parts.joined(separator: " + ")
    }
}

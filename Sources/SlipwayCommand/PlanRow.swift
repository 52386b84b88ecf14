internal import HostTopology
internal import MachinePlanning

/// What a decision of a plan is about.
enum PlanTopic: Equatable {
    case machine, accelerator, vcpus, processors, emulator, topology, memory, pages, realtime, locked, boot, user
    case cell(Int)
    case disk(String)
    case nic(String)
    case device(String)

    var name: String {
        switch self {
        case .machine: "machine"
        case .accelerator: "accelerator"
        case .vcpus: "vCPUs"
        case .processors: "their CPUs"
        case .emulator: "emulator's CPUs"
        case .topology: "guest topology"
        case .memory: "RAM"
        case .pages: "pages"
        case .realtime: "real time"
        case .locked: "locked memory"
        case .boot: "boot"
        case .user: "user"
        case .cell(let number): "cell \(number)"
        case .disk(let target): "disk \(target)"
        case .nic(let link): "NIC \(link)"
        case .device(let address): "PCI \(address)"
        }
    }
}

/// One decision of a plan.
struct PlanRow: Renderable {
    let topic: PlanTopic
    let decided: String
    let reason: String

    static let columns = ["WHAT", "DECIDED", "WHY"]
    static let tableColumns = 3
    var cells: [String] { [topic.name, decided, reason] }

    enum CodingKeys: CodingKey { case what, decided, reason }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(topic.name, forKey: .what)
        try container.encode(decided, forKey: .decided)
        try container.encode(reason, forKey: .reason)
    }

    init(_ topic: PlanTopic, _ decided: String, _ reason: String) {
        self.topic = topic
        self.decided = decided
        self.reason = reason
    }

    static func rows(_ plan: MachinePlan) -> [PlanRow] {
        [
            PlanRow(.machine, "\(plan.identity.podNamespace)/\(plan.identity.podName)", ""),
            PlanRow(.accelerator, plan.accelerator.value.rawValue, plan.accelerator.reason),
        ] + processorRows(plan) + memoryRows(plan) + deviceRows(plan)
    }

    private static func processorRows(_ plan: MachinePlan) -> [PlanRow] {
        let placement = plan.placement
        let (vcpus, most) = (plan.vcpus.value, plan.vcpusLimit.value)
        var rows = [
            PlanRow(.vcpus, most > vcpus ? "\(vcpus), up to \(most)" : "\(vcpus)", plan.vcpus.reason),
            PlanRow(.processors, placement.processors.value.words, placement.processors.reason),
        ]
        if !placement.emulator.value.isEmpty {
            rows.append(PlanRow(.emulator, "\(placement.emulator.value)", placement.emulator.reason))
        }
        let topology = placement.topology.value
        rows.append(
            PlanRow(
                .topology,
                [(topology.sockets, "socket"), (topology.cores, "core"), (topology.threads, "thread")]
                    .map { "\($0) \($1)\($0 == 1 ? "" : "s")" }.joined(separator: " × "),
                placement.topology.reason))
        if !placement.realtime.value.isEmpty {
            rows.append(PlanRow(.realtime, "vCPU \(placement.realtime.value)", placement.realtime.reason))
        }
        return rows
    }

    private static func memoryRows(_ plan: MachinePlan) -> [PlanRow] {
        let placement = plan.placement
        let (memory, most) = (plan.memory.value, plan.memoryLimit.value)
        let more = most > memory ? ", up to \(ByteCount.text(most))" : ""
        var rows = [
            PlanRow(.memory, ByteCount.text(memory) + more, plan.memory.reason),
            PlanRow(.pages, placement.pages.value.words, placement.pages.reason),
        ]
        for (number, cell) in placement.cells.enumerated() {
            let sources = cell.sources.map { "\(ByteCount.short($0.bytes)) of node \($0.node)" }
            let memory = sources.isEmpty ? ByteCount.short(cell.memory) : sources.joined(separator: " + ")
            rows.append(
                PlanRow(.cell(number), "vCPU \(cell.vcpus), \(memory), \(cell.binding.rawValue)", cell.reason))
        }
        if placement.locked.value { rows.append(PlanRow(.locked, "yes", placement.locked.reason)) }
        return rows
    }

    private static func deviceRows(_ plan: MachinePlan) -> [PlanRow] {
        var rows = [PlanRow(.boot, plan.boot.value == .disk ? "disk" : "kernel", plan.boot.reason)]
        for disk in plan.disks {
            switch disk.content {
            case .root(let base):
                rows.append(
                    PlanRow(
                        .disk(disk.target), ByteCount.text(disk.virtualSize ?? base.virtualSize),
                        "writable over the image's \(base.path), \(base.format.rawValue)"))
            case .seed:
                let kind = plan.cloudInit == .configdrive ? "ConfigDrive" : "NoCloud"
                rows.append(PlanRow(.disk(disk.target), "seed", "cloud-init, \(kind)"))
            }
        }
        for nic in plan.nics {
            let function = nic.backend.function.map { "function \($0), " } ?? ""
            rows.append(PlanRow(.nic(nic.link), "PCI \(nic.pciAddress), \(function)MTU \(nic.mtu)", nic.reason))
        }
        for device in plan.devices {
            rows.append(PlanRow(.device(device.address), "PCI \(device.pciAddress)", device.reason))
        }
        return rows
    }
}

extension Placement.Processors {
    /// `0→4 1→5` for pins.
    var words: String {
        switch self {
        case .pinned(let cpus): cpus.enumerated().map { "\($0.offset)→\($0.element)" }.joined(separator: " ")
        case .floating(let cpus): "any of \(cpus)"
        case .anywhere: "any"
        }
    }
}

extension Placement.PageKind {
    var words: String {
        switch self {
        case .ordinary: "ordinary"
        case .huge(let size): ByteCount.text(size)
        }
    }
}

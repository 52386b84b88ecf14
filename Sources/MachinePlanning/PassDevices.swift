import HostTopology

extension MachinePlan {
    /// Puts the PCI functions that the pod was given on the bus of their cell: those behind its links, which are NICs, and
    /// the others.
    mutating func pass(_ request: MachineRequest, on host: HostTopology) throws(PlanRefusal) {
        let ofNICs = nics.indices.compactMap { index -> (index: Int, address: String, isManaged: Bool)? in
            guard case .hostDevice(let address, let isManaged) = nics[index].backend else { return nil }
            return (index, address, isManaged)
        }
        // A device plugin names the functions of the pod's links too.
        let others = request.devices.filter { address in !ofNICs.contains { $0.address == address } }
        guard nicPorts.value + others.count <= Self.maximumRootPorts else {
            throw PlanRefusal(
                field: "devices",
                problem:
                    "\(others.count) PCI functions beside \(nicPorts.value) places for NICs; up to "
                    + "\(Self.maximumRootPorts) together are accepted, and \(MachineAnnotations.prefix)hot-nics says how "
                    + "many places are kept for NICs that come later")
        }
        var buses = FunctionBuses(next: UInt8(clamping: nicPorts.value + 1))
        for (index, address, isManaged) in ofNICs {
            let device = try Self.function(address, isManaged: isManaged, on: host)
            let (cell, reason) = try cell(of: device, request.annotations.numaPolicy ?? .strict)
            nics[index].reason += "; \(reason)"
            guard let cell else { continue }
            (nics[index].bus, nics[index].expander) = try buses.take(in: cell)
            nics[index].cell = cell
        }
        for address in others {
            let device = try Self.function(address, isManaged: false, on: host)
            let (cell, reason) = try cell(of: device, request.annotations.numaPolicy ?? .strict)
            let (bus, expander) = try buses.take(in: cell)
            devices.append(
                PassedDevice(
                    address: address, node: device.node, cell: cell, bus: bus, expander: expander, reason: reason))
        }
    }

    /// The function as the node has it, ready to be passed.
    private static func function(
        _ address: String, isManaged: Bool, on host: HostTopology
    ) throws(PlanRefusal) -> HostDevice {
        guard let device = host.devices.first(where: { $0.address == address }) else {
            throw PlanRefusal(.exhausted, field: "devices", problem: "the PCI function \(address) is not on this node")
        }
        guard isManaged || device.driver == "vfio-pci" else {
            throw PlanRefusal(
                field: "devices",
                problem:
                    "the PCI function \(address) is bound to \(device.driver ?? "no driver"); vfio-pci is accepted, to "
                    + "which its device plugin or driverctl binds it")
        }
        return device
    }

    private func cell(
        of device: HostDevice, _ policy: MachineAnnotations.NUMAPolicy
    ) throws(PlanRefusal) -> (Int?, String) {
        guard let node = device.node else { return (nil, "the platform does not say which node it is on") }
        if let cell = placement.cells.firstIndex(where: { $0.mirrors(node) }) {
            return placement.showsCells
                ? (cell, "on node \(node), as cell \(cell)") : (nil, "on node \(node); the guest has no NUMA cells")
        }
        let nodes = CPUSet(placement.cells.flatMap { $0.node.map { [$0] } ?? $0.sources.map(\.node) })
        guard policy == .preferred || nodes.isEmpty else {
            throw PlanRefusal(
                .exhausted, field: "devices",
                problem: "the PCI function \(device.address) is on node \(node), the pod's CPUs and memory are on node "
                    + "\(nodes); topologyManagerPolicy: single-numa-node of the kubelet aligns them, and "
                    + "slipway.dev/numa-policy: "
                    + "preferred accepts it")
        }
        return (nil, "on node \(node)" + (nodes.isEmpty ? "" : ", outside of the machine's nodes \(nodes)"))
    }

    /// Bytes that QEMU is known to need beside the guest's RAM.
    ///
    /// 96 MiB of its own, 8 MiB of stacks and buffers for each vCPU, 4 MiB for each NIC's queues, page tables for the RAM
    /// (8 bytes for 4 KiB, none to speak of for huge pages), and under TCG the cache of translated code.
    public var overheadEstimate: UInt64 {
        var bytes: UInt64 = 96 << 20
        bytes += UInt64(vcpusLimit.value) * 8 << 20
        bytes += UInt64(nics.count) * 4 << 20
        if placement.pages.value == .ordinary { bytes += memoryLimit.value / 512 }
        if accelerator.value == .tcg { bytes += 160 << 20 }
        return bytes
    }

    /// With RAM on huge pages `limits.memory` is QEMU's alone, and too little of it would end the machine at any moment.
    func checkOverhead(_ request: MachineRequest) throws(PlanRefusal) {
        guard placement.pages.value != .ordinary, let limit = request.memoryLimit else { return }
        guard limit >= overheadEstimate else {
            throw PlanRefusal(
                field: "limits.memory",
                problem:
                    "is \(ByteCount.text(limit)); beside RAM of huge pages it is what QEMU itself may take, and this "
                    + "machine needs \(ByteCount.short(overheadEstimate)) or more")
        }
    }
}

/// The numbers of buses for PCI functions: after the NICs' root ports, and a bus that spans a cell has a number of its own.
private struct FunctionBuses {
    /// Each expander has a slot of the first bus, and sixteen bus numbers of the guest.
    private static let maximumExpanders = 8
    private static let functionsOfAnExpander = 15

    private var next: UInt8
    private var expanders: [Int: (bus: UInt8, functions: Int)] = [:]

    init(next: UInt8) { self.next = next }

    /// A bus behind a root port of its own, and the expander bus that this one is on.
    mutating func take(in cell: Int?) throws(PlanRefusal) -> (bus: UInt8, expander: UInt8?) {
        guard let cell else { return (take(), nil) }
        guard expanders[cell] != nil || expanders.count < Self.maximumExpanders else {
            throw PlanRefusal(
                field: "devices",
                problem:
                    "they are on more than \(Self.maximumExpanders) nodes, and a machine has no more expander buses")
        }
        var expander = expanders[cell] ?? (take(), 0)
        guard expander.functions < Self.functionsOfAnExpander else {
            throw PlanRefusal(
                field: "devices",
                problem: "more than \(Self.functionsOfAnExpander) PCI functions belong to cell \(cell)"
            )
        }
        expander.functions += 1
        expanders[cell] = expander
        return (take(), expander.bus)
    }

    private mutating func take() -> UInt8 {
        defer { next += 1 }
        return next
    }
}

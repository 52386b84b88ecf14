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
        var buses = FunctionBuses(rootPorts: UInt8(clamping: nicPorts.value))
        for (index, address, isManaged) in ofNICs {
            let device = try Self.function(address, isManaged: isManaged, on: host)
            let (cell, reason) = try cell(of: device, request.annotations.numaPolicy ?? .strict)
            nics[index].reason += "; \(reason)"
            guard let cell else { continue }
            let bus = try buses.take(in: cell)
            (nics[index].bus, nics[index].expander, nics[index].guestBus) = (bus.index, bus.expander, bus.number)
            nics[index].cell = cell
        }
        for address in others {
            let device = try Self.function(address, isManaged: false, on: host)
            let (cell, reason) = try cell(of: device, request.annotations.numaPolicy ?? .strict)
            let bus = try buses.take(in: cell)
            devices.append(
                PassedDevice(
                    address: address, node: device.node, cell: cell, bus: bus.index, expander: bus.expander,
                    guestBus: bus.number, reason: reason))
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

extension MachinePlan {
    /// Most expander buses: each has a slot of the first bus, and sixteen bus numbers of the guest.
    static let maximumExpanders = 8
    /// Most functions on an expander bus: each has one of its sixteen numbers, beside its own.
    static let functionsOfAnExpander = 15

    /// The number that an expander bus has in the guest, by the expanders' order. The root ports of the first bus are
    /// numbered from 1 on, 48 at most.
    public static func expanderBusNumber(_ order: Int) -> UInt8 { 0x40 + UInt8(clamping: order) * 0x10 }
}

/// A bus behind a root port of its own.
private struct FunctionBus {
    /// libvirt's index of the root port.
    var index: UInt8
    /// libvirt's index of the expander bus that the root port is on; nil: it is on the first bus.
    var expander: UInt8?
    /// The guest's number of the bus.
    var number: UInt8
}

/// The buses of PCI functions. libvirt's indexes are those after the NICs' root ports, and an expander bus has one of its
/// own. The guest's numbers are the firmware's, which gives each root port the next one: on the first bus from 1 on, then
/// on each expander from the expander's own number on (SeaBIOS, `pci_bios_init_bus`). Kernels keep them.
private struct FunctionBuses {
    private struct Expander {
        var index: UInt8
        var number: UInt8
        var functions: UInt8 = 0
    }

    private var index: UInt8
    /// Root ports of the first bus, whose last one has the same number.
    private var rootPorts: UInt8
    private var expanders: [Int: Expander] = [:]

    init(rootPorts: UInt8) {
        index = rootPorts
        self.rootPorts = rootPorts
    }

    /// The next bus, on the expander bus of a cell; nil: on the first bus.
    mutating func take(in cell: Int?) throws(PlanRefusal) -> FunctionBus {
        guard let cell else {
            rootPorts += 1
            return FunctionBus(index: takeIndex(), expander: nil, number: rootPorts)
        }
        guard expanders[cell] != nil || expanders.count < MachinePlan.maximumExpanders else {
            throw PlanRefusal(
                field: "devices",
                problem:
                    "they are on more than \(MachinePlan.maximumExpanders) nodes, and a machine has no more expander "
                    + "buses")
        }
        var expander =
            expanders[cell]
            ?? Expander(index: takeIndex(), number: MachinePlan.expanderBusNumber(expanders.count))
        guard expander.functions < MachinePlan.functionsOfAnExpander else {
            throw PlanRefusal(
                field: "devices",
                problem: "more than \(MachinePlan.functionsOfAnExpander) PCI functions belong to cell \(cell)"
            )
        }
        expander.functions += 1
        expanders[cell] = expander
        return FunctionBus(
            index: takeIndex(), expander: expander.index, number: expander.number + expander.functions)
    }

    private mutating func takeIndex() -> UInt8 {
        index += 1
        return index
    }
}

import HostTopology

extension MachinePlan {
    /// Most expander buses: each has a slot of the first bus and a sixteenth of the bus numbers.
    static let maximumExpanders = 8

    /// Puts the PCI functions that the pod was given on the bus of their cell.
    mutating func pass(_ request: MachineRequest, on host: HostTopology) throws(PlanRefusal) {
        guard devices.count + request.devices.count + nics.count <= Self.maximumNICs else {
            throw PlanRefusal(
                field: "devices",
                problem:
                    "\(request.devices.count) PCI functions and \(nics.count) links; up to \(Self.maximumNICs) "
                    + "together "
                    + "are accepted")
        }
        let policy = request.annotations.numaPolicy ?? .strict
        // Root ports of functions come after those of links, and a bus that spans a cell takes a number of its own.
        var bus = UInt8(nics.count)
        var expanders: [Int: UInt8] = [:]
        for address in request.devices {
            guard let device = host.devices.first(where: { $0.address == address }) else {
                throw PlanRefusal(
                    .exhausted, field: "devices", problem: "the PCI function \(address) is not on this node")
            }
            guard device.driver == "vfio-pci" else {
                throw PlanRefusal(
                    field: "devices",
                    problem:
                        "the PCI function \(address) is bound to \(device.driver ?? "no driver"); vfio-pci is "
                        + "accepted, "
                        + "to which its device plugin or driverctl binds it")
            }
            let (cell, reason) = try cell(of: device, policy)
            if let cell, expanders[cell] == nil {
                guard expanders.count < Self.maximumExpanders else {
                    throw PlanRefusal(
                        field: "devices",
                        problem:
                            "they are on more than \(Self.maximumExpanders) nodes, and a machine has no more "
                            + "expander buses"
                    )
                }
                bus += 1
                expanders[cell] = bus
            }
            bus += 1
            // The expanders' bus numbers are sixteen apart.
            guard devices.count(where: { $0.cell == cell && cell != nil }) < 15 else {
                throw PlanRefusal(field: "devices", problem: "more than 15 PCI functions of node \(device.node ?? 0)")
            }
            devices.append(
                PassedDevice(
                    address: address, node: device.node, cell: cell, bus: bus, expander: cell.flatMap { expanders[$0] },
                    reason: reason))
        }
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

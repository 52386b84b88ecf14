import HostTopology
public import MachinePlanning

// Where threads run and where RAM lies, in libvirt's words (formatdomain.html: CPU allocation, CPU tuning, NUMA node
// tuning, memory backing, CPU model and topology).
extension MachinePlan {
    private var isPinned: Bool {
        if case .pinned = placement.processors.value { return true }
        return false
    }

    private var hugePageSize: UInt64? {
        if case .huge(let size) = placement.pages.value { return size }
        return nil
    }

    /// Memory that is added later needs a cell to be added to.
    private var showsCells: Bool { placement.showsCells || memoryLimit.value > memory.value }

    /// The driver attribute of disks. Machines with CPUs of their own have a thread for the disks, beside the emulator's.
    var ioThread: String? { isPinned ? "1" : nil }

    var memoryBacking: XML? {
        guard hugePageSize != nil || isPinned || placement.locked.value || sharedMemory.value else { return nil }
        return XML("memoryBacking") {
            if let size = hugePageSize {
                XML("hugepages") { XML("page", ["size": "\(size >> 10)", "unit": "KiB"]) }
            }
            // Merging pages with other machines would add faults, and tell neighbours what is in them.
            XML("nosharepages")
            if placement.locked.value { XML("locked") }
            if hugePageSize != nil || sharedMemory.value {
                // Pages that no file system has to be mounted for, nor its directories made accessible to QEMU's user.
                XML("source", ["type": "memfd"])
            }
            // Cells and memory that is added take it from here.
            if sharedMemory.value { XML("access", ["mode": "shared"]) }
            if hugePageSize != nil {
                XML("allocation", ["mode": "immediate", "threads": "\(min(max(vcpus.value, 1), 16))"])
            }
        }
    }

    var vcpu: XML {
        var cpus: String?
        if case .floating(let set) = placement.processors.value { cpus = "\(set)" }
        let current = vcpusLimit.value > vcpus.value ? "\(vcpus.value)" : nil
        return XML("vcpu", ["placement": "static", "cpuset": cpus, "current": current], text: "\(vcpusLimit.value)")
    }

    var processorTuning: XML? {
        guard case .pinned(let cpus) = placement.processors.value else { return nil }
        let emulator = "\(placement.emulator.value)"
        return XML("cputune") {
            for (vcpu, cpu) in cpus.enumerated() { XML("vcpupin", ["vcpu": "\(vcpu)", "cpuset": "\(cpu)"]) }
            XML("emulatorpin", ["cpuset": emulator])
            XML("iothreadpin", ["iothread": "1", "cpuset": emulator])
            if !placement.realtime.value.isEmpty {
                XML(
                    "vcpusched",
                    ["vcpus": "\(placement.realtime.value)", "scheduler": "fifo", "priority": "1"])
            }
        }
    }

    var memoryTuning: XML? {
        let nodes = CPUSet(placement.cells.flatMap(\.sources).map(\.node))
        guard !nodes.isEmpty else { return nil }
        let isStrict = placement.cells.allSatisfy { $0.binding == .strict }
        return XML("numatune") {
            // libvirt's "preferred" names one node.
            if isStrict {
                XML("memory", ["mode": "strict", "nodeset": "\(nodes)"])
            } else if nodes.count == 1 {
                XML("memory", ["mode": "preferred", "nodeset": "\(nodes)"])
            }
            if showsCells {
                for (index, cell) in placement.cells.enumerated() { memoryNode(index, cell) }
            }
        }
    }

    private func memoryNode(_ index: Int, _ cell: Placement.Cell) -> XML {
        let sources = CPUSet(cell.sources.map(\.node))
        let nodes = cell.binding == .strict ? sources : CPUSet(sources.prefix(1))
        let own = cell.node.map { sources.contains($0) ? [$0] : nodes } ?? nodes
        return XML(
            "memnode",
            [
                "cellid": "\(index)", "mode": cell.binding.rawValue,
                "nodeset": "\(cell.binding == .strict ? nodes : own)",
            ])
    }

    var processor: XML {
        let isKVM = accelerator.value == .kvm
        let topology = placement.topology.value
        return XML(
            "cpu",
            [
                "mode": isKVM ? "host-passthrough" : "maximum", "migratable": isKVM ? "off" : nil,
                "check": isKVM ? nil : "none",
            ]
        ) {
            XML(
                "topology",
                [
                    "sockets": "\(topology.sockets)", "dies": "1", "cores": "\(topology.cores)",
                    "threads": "\(topology.threads)",
                ])
            if isKVM && isPinned { XML("cache", ["mode": "passthrough"]) }
            // QEMU leaves it out of the host's model, and a guest without it takes AMD's threads for cores.
            if isKVM && topology.threads > 1 && topologyExtensions {
                XML("feature", ["policy": "require", "name": "topoext"])
            }
            if showsCells {
                XML("numa") { for (index, cell) in placement.cells.enumerated() { self.cell(index, cell) } }
            }
        }
    }

    private func cell(_ index: Int, _ cell: Placement.Cell) -> XML {
        XML(
            "cell",
            ["id": "\(index)", "cpus": "\(cell.vcpus)", "memory": "\(cell.memory >> 10)", "unit": "KiB"]
        ) {
            XML("distances") {
                for (other, distance) in cell.distances.enumerated() {
                    XML("sibling", ["id": "\(other)", "value": "\(distance)"])
                }
            }
        }
    }

    /// The device that brings RAM beyond the cells', as libvirt is told to change it.
    public var growingMemoryXML: String { growingMemory.rendered() }

    /// RAM that a resize may add: blocks of 2 MiB, none of them at first.
    var growingMemory: XML {
        let base = placement.cells.reduce(UInt64(0)) { $0 + $1.memory }
        return virtioMem(size: memoryLimit.value - base, requested: memory.value - base)
    }

    private func virtioMem(size: UInt64, requested: UInt64) -> XML {
        XML("memory", ["model": "virtio-mem"]) {
            XML("target") {
                XML("size", ["unit": "KiB"], text: "\(size >> 10)")
                XML("node", text: "0")
                XML("block", ["unit": "KiB"], text: "2048")
                XML("requested", ["unit": "KiB"], text: "\(requested >> 10)")
            }
            // By both libvirt knows the device again.
            XML("alias", ["name": "ua-growing-memory"])
            pciAddress(slot: 30)
        }
    }

    // MARK: PCI functions of the host

    /// Root ports and expander buses of PCI functions: those of links on a cell's bus, and all others.
    @XMLBuilder var functionBuses: [XML] {
        for (order, expander) in expanders.enumerated() { self.expander(expander.bus, cell: expander.cell, order) }
        for (index, function) in functions.enumerated() {
            rootPort(function, ordinal: functions[..<index].count { $0.expander == function.expander })
        }
    }

    private typealias Function = (bus: UInt8, expander: UInt8?, cell: Int?)

    private var functions: [Function] {
        nics.filter { $0.expander != nil }.map { ($0.bus, $0.expander, $0.cell) }
            + devices.map { ($0.bus, $0.expander, $0.cell) }
    }

    private var expanders: [(bus: UInt8, cell: Int)] {
        var found: [(bus: UInt8, cell: Int)] = []
        for function in functions {
            guard let bus = function.expander, let cell = function.cell, !found.contains(where: { $0.bus == bus })
            else { continue }
            found.append((bus, cell))
        }
        return found
    }

    // Slots 22 to 29 of bus 0.
    private func expander(_ bus: UInt8, cell: Int, _ order: Int) -> XML {
        XML("controller", ["type": "pci", "index": "\(bus)", "model": "pcie-expander-bus"]) {
            XML("target", ["busNr": "\(Self.expanderBusNumber(order))"]) { XML("node", text: "\(cell)") }
            pciAddress(slot: UInt8(22 + order))
        }
    }

    /// - Parameter ordinal: how many functions before it are on the same bus.
    private func rootPort(_ function: Function, ordinal: Int) -> XML {
        guard let expander = function.expander else {
            return rootPort(bus: function.bus, ordinal: UInt8(clamping: nicPorts.value + ordinal))
        }
        return XML("controller", ["type": "pci", "index": "\(function.bus)", "model": "pcie-root-port"]) {
            XML(
                "address",
                ["type": "pci", "bus": hex(expander), "slot": hex(UInt8(clamping: ordinal)), "function": "0x0"])
        }
    }

    func hostDevice(_ device: PassedDevice) -> XML { hostFunction(device.address, bus: device.bus) }
}

/// A PCI function of the host behind its own root port.
func hostFunction(_ address: String, bus: UInt8, isManaged: Bool = false, alias: String? = nil) -> XML {
    // The address was found in sysfs: 0000:3b:02.1
    let parts = address.split(whereSeparator: { $0 == ":" || $0 == "." }).map { "0x\($0)" }
    return XML("hostdev", ["mode": "subsystem", "type": "pci", "managed": isManaged ? "yes" : "no"]) {
        XML("driver", ["name": "vfio"])
        XML("source") {
            if parts.count == 4 {
                XML("address", ["domain": parts[0], "bus": parts[1], "slot": parts[2], "function": parts[3]])
            }
        }
        if let alias { XML("alias", ["name": alias]) }
        XML("rom", ["enabled": "no"])
        XML("address", ["type": "pci", "bus": hex(bus), "slot": "0x00", "function": "0x0"])
    }
}

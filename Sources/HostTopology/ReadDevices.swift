extension HostTopology {
    /// PCI functions, by address; those that went meanwhile are left out.
    static func readDevices(
        _ system: Sysfs, addresses: [String]?, nodes: CPUSet
    ) throws(HostTopologyError) -> [HostDevice] {
        var devices: [HostDevice] = []
        let names: [String]
        if let addresses { names = Set(addresses).sorted() } else { names = try system.names("bus/pci/devices") }
        for address in names where HostDevice.isAddress(address) {
            let directory = Sysfs(root: system.path("bus/pci/devices/\(address)"))
            // Vendor, device and class in one file that takes no lock and wakes no hardware; `uevent` and `config` do.
            guard let alias = try directory.text("modalias") else { continue }
            guard let ids = PCIIdentity(alias) else {
                throw .malformed(
                    directory.path("modalias"), alias, wanted: "an alias such as pci:v00008086d00001572sv…")
            }
            let node = try directory.number("numa_node") ?? -1
            devices.append(
                HostDevice(
                    address: address,
                    // Some firmware names nodes that are not there.
                    node: nodes.contains(node) ? node : nil,
                    classCode: ids.classCode, vendor: ids.vendor, device: ids.device,
                    driver: try directory.link("driver"),
                    iommuGroup: try directory.link("iommu_group").flatMap { Int($0) }))
        }
        return devices
    }
}

extension HostDevice {
    /// Whether a text is a PCI address as sysfs writes it: `0000:3b:02.1`. Domains of Intel VMD have five digits or more.
    static func isAddress(_ text: some StringProtocol) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count == 3, (4...8).contains(parts[0].count), parts[1].count == 2 else { return false }
        let slot = parts[2].split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard slot.count == 2, slot[0].count == 2, slot[1].count == 1 else { return false }
        return [parts[0], parts[1], slot[0], slot[1]].allSatisfy {
            $0.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        }
    }
}

/// `pci:v00008086d00001572sv00008086sd00000006bc02sc00i00` (Linux, drivers/pci/pci-sysfs.c, `modalias_show`).
private struct PCIIdentity {
    let vendor: UInt16
    let device: UInt16
    let classCode: UInt32

    init?(_ alias: Substring) {
        var rest = alias[...]
        func field(_ name: String, digits: Int) -> UInt32? {
            guard rest.hasPrefix(name) else { return nil }
            rest = rest.dropFirst(name.count)
            defer { rest = rest.dropFirst(digits) }
            let number = rest.prefix(digits)
            return number.count == digits ? UInt32(number, radix: 16) : nil
        }
        guard let vendor = field("pci:v", digits: 8).flatMap(UInt16.init(exactly:)),
            let device = field("d", digits: 8).flatMap(UInt16.init(exactly:)),
            field("sv", digits: 8) != nil, field("sd", digits: 8) != nil,
            let base = field("bc", digits: 2), let sub = field("sc", digits: 2), let interface = field("i", digits: 2)
        else { return nil }
        self.vendor = vendor
        self.device = device
        classCode = base << 16 | sub << 8 | interface
    }
}

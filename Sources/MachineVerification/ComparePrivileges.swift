internal import HostTopology
internal import MachinePlanning

extension Comparison {
    /// The groups of the functions that are the guest's: a node in its `/dev` and an open descriptor for each, and no other.
    func devices() -> [Drift] {
        var drift: [Drift] = []
        var groups: Set<Int> = []
        let functions =
            plan.devices.map { (address: $0.address, node: $0.node) }
            + plan.nics.compactMap { nic in
                nic.backend.function.map { address in
                    (address: address, node: host.devices.first { $0.address == address }?.node)
                }
            }
        for passed in functions {
            let subject = "PCI function \(passed.address)"
            guard let device = host.devices.first(where: { $0.address == passed.address }) else {
                drift.append(Drift(subject, planned: "on this node", found: "not there"))
                continue
            }
            if device.driver != "vfio-pci" {
                drift.append(Drift(subject, planned: "bound to vfio-pci", found: device.driver ?? "bound to no driver"))
            }
            if device.node != passed.node {
                drift.append(
                    Drift(
                        .note, subject, planned: passed.node.map { "on node \($0)" } ?? "on no known node",
                        found: device.node.map { "on node \($0)" } ?? "on no known node"))
            }
            guard let group = device.iommuGroup else { continue }
            groups.insert(group)
            if !machine.openGroups.contains(group) {
                drift.append(Drift(subject, planned: "/dev/vfio/\(group) open", found: "not open"))
            }
            if !machine.devices.contains("vfio/\(group)") {
                drift.append(Drift(subject, planned: "/dev/vfio/\(group) in QEMU's /dev", found: "not there"))
            }
        }
        let foreign = Set(machine.openGroups).subtracting(groups).sorted()
        if !foreign.isEmpty {
            drift.append(
                Drift(
                    "open devices", planned: groups.isEmpty ? "none" : "groups \(CPUSet(groups))",
                    found: foreign.map { "/dev/vfio/\($0)" }.joined(separator: ", "),
                    remedy: "delete the pod: its guest reaches a device that is not its own"))
        }
        let visible = machine.devices.compactMap { name in
            name.hasPrefix("vfio/") ? Int(name.dropFirst("vfio/".count)) : nil
        }.filter { !groups.contains($0) && !foreign.contains($0) }
        if !visible.isEmpty {
            drift.append(
                Drift(
                    .note, "devices in QEMU's /dev", planned: "no other groups",
                    found: visible.map { "vfio/\($0)" }.joined(separator: ", ")))
        }
        return drift
    }

    func privileges() -> [Drift] {
        let found = machine.privileges
        var drift: [Drift] = []
        func demand(_ holds: Bool, _ subject: String, _ planned: String, _ there: String) {
            guard !holds else { return }
            drift.append(Drift(subject, planned: planned, found: there, remedy: "delete the pod: its QEMU is not held"))
        }
        demand(
            found.user == plan.user && found.group == plan.group, "user", "\(plan.user):\(plan.group)",
            "\(found.user):\(found.group)")
        demand(found.capabilities == 0, "capabilities", "none", "0x" + String(found.capabilities, radix: 16))
        demand(found.noNewPrivileges, "no_new_privs", "set", "not set")
        demand(found.filtered, "seccomp", "a filter", "none")
        return drift
    }
}

extension GuestNetwork {
    /// Which NIC is which, as the `devices` of OpenStack's meta_data.json say it (Nova's `_get_device_metadata`): in both
    /// kinds of seed, so that a program in the guest finds it at the same place, cloud-init's `ds.meta_data.devices`.
    var devices: JSONText { .array(interfaces.map(\.device)) }
}

extension GuestNetwork.Interface {
    fileprivate var device: JSONText {
        var members: [(key: String, value: JSONText)] = []
        if let vlan { members.append(("vlan", .number(vlan))) }
        members += [
            ("vf_trusted", .bool(isTrusted)), ("type", .string("nic")), ("mac", .string(mac)),
            ("bus", .string(pciAddress == nil ? "none" : "pci")), ("address", .string(pciAddress ?? "none")),
            ("tags", .strings(tags)),
        ]
        return .object(members)
    }
}

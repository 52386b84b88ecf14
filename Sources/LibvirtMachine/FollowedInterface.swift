import PodNetwork

extension InterfacePlan {
    /// Whether a NIC is the same one once more. A function that the guest could not get comes back with a new link.
    func isAgain(_ other: InterfacePlan) -> Bool {
        var same = self
        if isFunction { same.linkIndex = other.linkIndex }
        return same == other
    }

    /// Whether the guest drives a PCI function.
    var isFunction: Bool { if case .hostDevice = binding { true } else { false } }

    /// libvirt's name of the guest's device.
    var alias: String { "ua-nic\(number)" }

    /// Where the switch makes the socket to which QEMU connects; nil for other NICs.
    var switchDirectory: String? {
        guard case .vhostUser(let path, listens: false) = binding, let slash = path.lastIndex(of: "/") else {
            return nil
        }
        return String(path[..<slash])
    }
}

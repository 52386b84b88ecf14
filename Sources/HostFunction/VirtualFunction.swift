import LinuxSystem
public import Netlink

/// A virtual function's place at its physical function, which says what the virtual one may do on the Ethernet.
public struct VirtualFunction: Equatable, Sendable {
    /// The physical function's link in the node's network namespace.
    public let physicalLink: String
    /// Its number there.
    public let number: UInt32

    /// Finds it in sysfs.
    ///
    /// - Returns: nil for a function that is no virtual one, or whose physical one has no link on the node.
    public init?(_ address: String, sysfs: String = "/sys") {
        let physical = "\(sysfs)/bus/pci/devices/\(address)/physfn"
        guard let link = ((try? File.list("\(physical)/net")) ?? []).first else { return nil }
        let numbers = ((try? File.list(physical)) ?? []).filter { $0.hasPrefix("virtfn") }
        guard
            let name = numbers.first(where: { File.target(of: "\(physical)/\($0)")?.hasSuffix("/\(address)") == true }),
            let number = UInt32(name.dropFirst("virtfn".count))
        else { return nil }
        physicalLink = link
        self.number = number
    }

    /// Gives it the guest's Ethernet address, and says whether it may use others. A driver in the guest finds them when
    /// it starts.
    ///
    /// - Throws: `SystemError` with EOPNOTSUPP where the hardware's driver cannot.
    public func set(mac: MACAddress, isTrusted: Bool, procfs: String = "/proc") throws {
        let node = try NetworkNamespace(path: "\(procfs)/1/ns/net")
        let (link, number) = (physicalLink, number)
        try node.runAndWait {
            try RTNetlink().setVirtualFunction(number, of: link, mac: mac, isTrusted: isTrusted ? true : nil)
        }
    }
}

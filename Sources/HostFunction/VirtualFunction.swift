import LinuxSystem
public import Netlink

/// A virtual function's place at its physical function, which says what the virtual one may do on the Ethernet. Most of
/// that (VLAN, trust, rates) CNI's SR-IOV plugin sets there and takes back; it stays when the driver changes.
public struct VirtualFunction: Codable, Equatable, Sendable {
    /// The physical function's link in the node's network namespace.
    public let physicalLink: String
    /// Its number there.
    public let number: UInt32
    /// The Ethernet address that the physical function has for it; zeros: its driver chooses one. nil: nobody tells.
    public internal(set) var mac: MACAddress?

    /// Finds it in sysfs, and asks its physical function.
    ///
    /// - Returns: nil for a function that is no virtual one, or whose physical one has no link on the node.
    public init?(_ address: String, sysfs: String = "/sys", procfs: String = "/proc") {
        let physical = "\(sysfs)/bus/pci/devices/\(address)/physfn"
        guard let link = ((try? File.list("\(physical)/net")) ?? []).first else { return nil }
        let numbers = ((try? File.list(physical)) ?? []).filter { $0.hasPrefix("virtfn") }
        guard
            let name = numbers.first(where: { File.target(of: "\(physical)/\($0)")?.hasSuffix("/\(address)") == true }),
            let number = UInt32(name.dropFirst("virtfn".count))
        else { return nil }
        physicalLink = link
        self.number = number
        mac = try? Self.inNode(procfs) { try $0.virtualFunctions(of: link)[number] }
    }

    /// Gives it an Ethernet address. A driver in the guest finds it when it starts.
    ///
    /// - Throws: `SystemError` with EOPNOTSUPP where the hardware's driver cannot.
    func set(_ mac: MACAddress, procfs: String) throws {
        let (link, number) = (physicalLink, number)
        try Self.inNode(procfs) { try $0.setVirtualFunction(number, of: link, mac: mac) }
    }

    private static func inNode<Success: Sendable>(
        _ procfs: String, _ body: @escaping @Sendable (RTNetlink) throws -> Success
    ) throws -> Success {
        try NetworkNamespace(path: "\(procfs)/1/ns/net").runAndWait { try body(RTNetlink()) }
    }
}

import CLinux
public import LinuxSystem

// What a physical function says of its virtual ones and is told of them (ip link show, ip link set dev NAME vf NUMBER).
extension RTNetlink {
    private static let withVirtualFunctions = UInt32(1)  // RTEXT_FILTER_VF

    /// The Ethernet addresses that a physical function has for its virtual ones, by number; zeros where it leaves the
    /// choice to their drivers.
    ///
    /// - Throws: `SystemError` with ENODEV when there is no such link.
    public func virtualFunctions(of name: String) throws(SystemError) -> [UInt32: MACAddress] {
        try checkName(name, "list virtual functions of")
        var request = MessageBuilder(type: Int(RTM_GETLINK), flags: Self.acknowledged)
        request.append(ifinfomsg())
        request.attribute(Int(IFLA_IFNAME), string: name)
        request.attribute(Int(IFLA_EXT_MASK), value: Self.withVirtualFunctions | Self.skipStatistics)
        var addresses: [UInt32: MACAddress] = [:]
        for message in try perform(request, "list virtual functions of", name) where message.type == Int(RTM_NEWLINK) {
            let attributes = Attributes(message.payload.dropFirst(MemoryLayout<ifinfomsg>.size))
            for information in Attributes.list(attributes[Int(IFLA_VFINFO_LIST)] ?? [])
            where information.type == UInt16(IFLA_VF_INFO) {
                let function = Attributes(information.content)
                guard let address: ifla_vf_mac = function.value(Int(IFLA_VF_MAC)) else { continue }
                let octets = withUnsafeBytes(of: address.mac) { Array($0.prefix(6)) }
                addresses[address.vf] = MACAddress(bytes: octets)
            }
        }
        return addresses
    }

    /// Sets the Ethernet address of a virtual function: its driver finds it, and may set no other.
    ///
    /// - Throws: `SystemError` with EOPNOTSUPP where the physical function's driver cannot.
    public func setVirtualFunction(_ number: UInt32, of name: String, mac: MACAddress) throws(SystemError) {
        try checkName(name, "set virtual function")
        var request = MessageBuilder(type: Int(RTM_NEWLINK), flags: Self.acknowledged)
        request.append(ifinfomsg())
        request.attribute(Int(IFLA_IFNAME), string: name)
        request.nested(Int(IFLA_VFINFO_LIST)) { list in
            list.nested(Int(IFLA_VF_INFO)) { function in
                var address = ifla_vf_mac()
                address.vf = number
                withUnsafeMutableBytes(of: &address.mac) { $0.copyBytes(from: mac.bytes) }
                function.attribute(Int(IFLA_VF_MAC), value: address)
            }
        }
        _ = try perform(request, "set virtual function \(number) of", name)
    }
}

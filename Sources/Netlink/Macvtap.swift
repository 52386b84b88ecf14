import CLinux
public import LinuxSystem

extension RTNetlink {
    /// Creates a macvtap that has its parent for itself (mode passthru) and the parent's Ethernet address.
    ///
    /// - Parameters:
    ///   - index: the number that it gets.
    ///   - receivesAll: the parent takes frames for other Ethernet addresses too, as long as the macvtap is up.
    /// - Throws: `SystemError` with EBUSY or EINVAL when the parent carries other links, or is a macvlan itself.
    public func createMacvtap(
        _ name: String, over parent: Int32, index: Int32, receivesAll: Bool, _ change: LinkChange = LinkChange()
    ) throws(SystemError) {
        try checkName(name, "create macvtap")
        var header = change.header
        header.ifi_index = index
        var request = MessageBuilder(type: Int(RTM_NEWLINK), flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)
        request.append(header)
        request.attribute(Int(IFLA_IFNAME), string: name)
        request.attribute(Int(IFLA_LINK), value: parent)
        change.append(to: &request)
        request.nested(Int(IFLA_LINKINFO)) { information in
            information.attribute(Int(IFLA_INFO_KIND), string: "macvtap")
            information.nested(Int(IFLA_INFO_DATA)) { data in
                data.attribute(Int(IFLA_MACVLAN_MODE), value: UInt32(MACVLAN_MODE_PASSTHRU.rawValue))
                data.attribute(
                    Int(IFLA_MACVLAN_FLAGS), value: receivesAll ? UInt16(0) : UInt16(MACVLAN_FLAG_NOPROMISC))
            }
        }
        _ = try perform(request, "create macvtap", name)
    }
}

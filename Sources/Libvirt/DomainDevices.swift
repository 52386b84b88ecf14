import CLibvirt
import Glibc

// Devices that come and go while a domain runs. Calls block for as long as QEMU takes.
extension Domain {
    /// Plugs a device in. After an error the domain is as it was.
    public func attach(device xml: String) throws(LibvirtError) {
        try checked(
            lv_virDomainAttachDeviceFlags(pointer, xml, UInt32(VIR_DOMAIN_DEVICE_MODIFY_LIVE.rawValue)),
            "virDomainAttachDeviceFlags")
    }

    /// Asks the guest to give a device up, and does not wait: it does so when it gets to it, perhaps never, and
    /// ``onDevice(_:)`` tells.
    ///
    /// - Parameter alias: as in the device's XML.
    /// - Throws: a ``LibvirtError`` whose `isNoDevice` is true when there is none of that alias.
    public func detach(alias: String) throws(LibvirtError) {
        try checked(
            lv_virDomainDetachDeviceAlias(pointer, alias, UInt32(VIR_DOMAIN_DEVICE_MODIFY_LIVE.rawValue)),
            "virDomainDetachDeviceAlias")
    }

    /// Shows the guest a carrier on a NIC, or none, past libvirt, which changes nothing of vhost-user NICs: its XML goes on
    /// saying what it said.
    ///
    /// - Parameter alias: as in the device's XML.
    public func set(carrier isUp: Bool, of alias: String) throws(LibvirtError) {
        let command = #"{"execute":"set_link","arguments":{"name":"\#(alias)","up":\#(isUp)}}"#
        var reply: UnsafeMutablePointer<CChar>?
        try checked(lv_virDomainQemuMonitorCommand(pointer, command, &reply, 0), "virDomainQemuMonitorCommand")
        defer { free(reply) }
        let text = reply.map { String(cString: $0) } ?? ""
        if text.contains(#""error""#) { throw LibvirtError(operation: "set_link", message: text) }
    }

    /// Calls `handler` on libvirt's event thread for every device that comes or goes, until the returned value is
    /// released. Once at a time for a domain: libvirt refuses a second one.
    public func onDevice(_ handler: @escaping @Sendable (DeviceEvent) -> Void) throws(LibvirtError) -> Subscription {
        try Subscription(self, of: connection, devices: handler)
    }
}

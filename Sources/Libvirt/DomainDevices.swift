import CLibvirt
import FoundationEssentials
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
        let reply = try monitor(#"{"execute":"set_link","arguments":{"name":"\#(alias)","up":\#(isUp)}}"#)
        if reply.contains(#""error""#) { throw LibvirtError(operation: "set_link", message: reply) }
    }

    /// Whether QEMU is connected to the other end of a vhost-user NIC's socket.
    ///
    /// - Parameter alias: as in the device's XML.
    public func isConnected(toSwitchOf alias: String) throws(LibvirtError) -> Bool {
        let reply = try monitor(#"{"execute":"query-chardev"}"#)
        // The names that libvirt and QEMU make of a NIC's alias and of a socket whose other end is away.
        guard let devices = try? JSONDecoder().decode(CharacterDevices.self, from: Data(reply.utf8)),
            let device = devices.return.first(where: { $0.label == "char\(alias)" })
        else { throw LibvirtError(operation: "query-chardev", message: "no socket of \(alias): \(reply)") }
        return !device.filename.hasPrefix("disconnected:")
    }

    /// Sends QEMU a command; its reply.
    private func monitor(_ command: String) throws(LibvirtError) -> String {
        var reply: UnsafeMutablePointer<CChar>?
        try checked(lv_virDomainQemuMonitorCommand(pointer, command, &reply, 0), "virDomainQemuMonitorCommand")
        defer { free(reply) }
        return reply.map { String(cString: $0) } ?? ""
    }

    /// Calls `handler` on libvirt's event thread for every device that comes or goes, until the returned value is
    /// released. Once at a time for a domain: libvirt refuses a second one.
    public func onDevice(_ handler: @escaping @Sendable (DeviceEvent) -> Void) throws(LibvirtError) -> Subscription {
        try Subscription(self, of: connection, devices: handler)
    }
}

/// A reply to `query-chardev`.
private struct CharacterDevices: Decodable {
    struct Device: Decodable {
        var label: String
        var filename: String
    }
    var `return`: [Device]
}

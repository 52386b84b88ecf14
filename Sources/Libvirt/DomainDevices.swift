import CLibvirt

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

    /// Calls `handler` on libvirt's event thread for every device that comes or goes, until the returned value is
    /// released. Once at a time for a domain: libvirt refuses a second one.
    public func onDevice(_ handler: @escaping @Sendable (DeviceEvent) -> Void) throws(LibvirtError) -> Subscription {
        try Subscription(self, of: connection, devices: handler)
    }
}

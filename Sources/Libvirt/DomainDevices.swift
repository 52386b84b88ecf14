import CLibvirt
import Glibc
import LinuxSystem
import Synchronization

// Devices that come and go while a domain runs. Calls block: attaching for as long as QEMU takes to open what is behind
// the device, detaching for as long as the guest takes to let go of it.
extension Domain {
    /// How a request to give a device up has ended.
    public enum Removal: Equatable, Sendable {
        /// It is gone.
        case removed
        /// The guest refused.
        case refused
        /// The guest has not answered yet: it may still give it up at any moment (``DeviceEvent/removed(alias:)``), for
        /// example when it has booted far enough.
        case pending
    }

    /// Plugs a device in. After an error the domain is as it was.
    public func attach(device xml: String) throws(LibvirtError) {
        try checked(
            lv_virDomainAttachDeviceFlags(pointer, xml, UInt32(VIR_DOMAIN_DEVICE_MODIFY_LIVE.rawValue)),
            "virDomainAttachDeviceFlags")
    }

    /// Asks the guest to give a device up, and waits.
    ///
    /// - Parameters:
    ///   - alias: as in the device's XML.
    ///   - milliseconds: how long to wait. libvirt itself waits for up to five seconds.
    /// - Throws: a ``LibvirtError`` whose `isNoDevice` is true when there is none of that alias.
    public func detach(alias: String, milliseconds: Int32) throws(LibvirtError) -> Removal {
        let answer = Answer(alias)
        let subscription = try onDevice { answer.hear($0) }
        defer { withExtendedLifetime(subscription) {} }
        try checked(
            lv_virDomainDetachDeviceAlias(pointer, alias, UInt32(VIR_DOMAIN_DEVICE_MODIFY_LIVE.rawValue)),
            "virDomainDetachDeviceAlias")
        return answer.wait(milliseconds: milliseconds)
    }

    /// Calls `handler` on libvirt's event thread for every device that comes or goes, until the returned value is released.
    public func onDevice(_ handler: @escaping @Sendable (DeviceEvent) -> Void) throws(LibvirtError) -> Subscription {
        try Subscription(self, of: connection, devices: handler)
    }
}

/// The guest's answer, which comes on another thread.
private final class Answer: Sendable {
    private let alias: String
    private let removal = Mutex<Domain.Removal?>(nil)
    private let answered: FileDescriptor?

    init(_ alias: String) {
        self.alias = alias
        answered = try? FileDescriptor.event()
    }

    func hear(_ event: DeviceEvent) {
        switch event {
        case .removed(alias): removal.withLock { $0 = .removed }
        case .removalRefused(alias): removal.withLock { $0 = .refused }
        default: return
        }
        answered?.signalEvent()
    }

    func wait(milliseconds: Int32) -> Domain.Removal {
        _ = try? answered?.wait(for: Int16(POLLIN), milliseconds: milliseconds)
        return removal.withLock { $0 } ?? .pending
    }
}

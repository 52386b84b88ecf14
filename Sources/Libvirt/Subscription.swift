import CLibvirt

/// Registered event handlers; deregistered when released.
public final class Subscription: Sendable {
    private final class Box<Event: Sendable>: Sendable {
        let handler: @Sendable (Event) -> Void
        init(_ handler: @escaping @Sendable (Event) -> Void) { self.handler = handler }
    }

    private let connection: Connection
    private let identifiers: [Int32]

    /// For every lifecycle event of a domain.
    init(
        _ domain: Domain, of connection: Connection, lifecycle handler: @escaping @Sendable (LifecycleEvent) -> Void
    ) throws(LibvirtError) {
        self.connection = connection
        // libvirt's own macro VIR_DOMAIN_EVENT_CALLBACK casts the same way: the callback's type depends on the event.
        let callback = unsafeBitCast(Self.lifecycle, to: virConnectDomainEventGenericCallback.self)
        identifiers = [
            try Self.register(
                domain, connection, VIR_DOMAIN_EVENT_ID_LIFECYCLE, callback, Unmanaged.passRetained(Box(handler)),
                Self.releaseLifecycle)
        ]
    }

    /// For every device of a domain that comes or goes.
    init(
        _ domain: Domain, of connection: Connection, devices handler: @escaping @Sendable (DeviceEvent) -> Void
    ) throws(LibvirtError) {
        self.connection = connection
        var identifiers: [Int32] = []
        do {
            for (event, callback) in [
                (VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, Self.deviceAdded),
                (VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, Self.deviceRemoved),
                (VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, Self.deviceRemovalFailed),
            ] {
                let identifier = try Self.register(
                    domain, connection, event, unsafeBitCast(callback, to: virConnectDomainEventGenericCallback.self),
                    Unmanaged.passRetained(Box(handler)), Self.releaseDevice)
                identifiers.append(identifier)
            }
        } catch {
            for identifier in identifiers { _ = lv_virConnectDomainEventDeregisterAny(connection.pointer, identifier) }
            throw error
        }
        self.identifiers = identifiers
    }

    deinit {
        for identifier in identifiers { _ = lv_virConnectDomainEventDeregisterAny(connection.pointer, identifier) }
    }

    private static func register<Event>(
        _ domain: Domain, _ connection: Connection, _ event: virDomainEventID,
        _ callback: @escaping virConnectDomainEventGenericCallback, _ box: Unmanaged<Box<Event>>,
        _ release: @escaping virFreeCallback
    ) throws(LibvirtError) -> Int32 {
        let identifier = lv_virConnectDomainEventRegisterAny(
            connection.pointer, domain.pointer, Int32(event.rawValue), callback, box.toOpaque(), release)
        if identifier < 0 {
            let error = LibvirtError.last("virConnectDomainEventRegisterAny")
            box.release()
            throw error
        }
        return identifier
    }

    // MARK: On libvirt's event thread

    private typealias DeviceCallback =
        @convention(c) (
            virConnectPtr?, virDomainPtr?, UnsafePointer<CChar>?, UnsafeMutableRawPointer?
        ) -> Void

    private static let lifecycle: virConnectDomainEventCallback = { _, _, event, detail, opaque in
        guard let opaque else { return 0 }
        Unmanaged<Box<LifecycleEvent>>.fromOpaque(opaque).takeUnretainedValue()
            .handler(LifecycleEvent(type: event, detail: detail))
        return 0
    }

    private static let deviceAdded: DeviceCallback = { _, _, alias, opaque in
        tell(opaque, alias) { .added(alias: $0) }
    }
    private static let deviceRemoved: DeviceCallback = { _, _, alias, opaque in
        tell(opaque, alias) { .removed(alias: $0) }
    }
    private static let deviceRemovalFailed: DeviceCallback = { _, _, alias, opaque in
        tell(opaque, alias) { .removalRefused(alias: $0) }
    }

    private static func tell(
        _ opaque: UnsafeMutableRawPointer?, _ alias: UnsafePointer<CChar>?, _ event: (String) -> DeviceEvent
    ) {
        guard let opaque, let alias else { return }
        Unmanaged<Box<DeviceEvent>>.fromOpaque(opaque).takeUnretainedValue().handler(event(String(cString: alias)))
    }

    private static let releaseLifecycle: virFreeCallback = { opaque in
        guard let opaque else { return }
        Unmanaged<Box<LifecycleEvent>>.fromOpaque(opaque).release()
    }

    private static let releaseDevice: virFreeCallback = { opaque in
        guard let opaque else { return }
        Unmanaged<Box<DeviceEvent>>.fromOpaque(opaque).release()
    }
}

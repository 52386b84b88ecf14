import CLibvirt

/// What happened to a domain (`virDomainEventType` and the detail that belongs to it).
public enum LifecycleEvent: Equatable, Sendable {
    /// QEMU runs, or runs again.
    case resumed
    /// The vCPUs are stopped.
    case suspended
    /// QEMU is about to end: the guest powered off, or something on the host asked QEMU to end.
    case shutdown(byGuest: Bool)
    /// The guest's kernel panicked (pvpanic).
    case crashed
    /// QEMU has ended; why, as far as libvirt knows.
    case stopped(Stop)
    /// Anything else.
    case other(type: Int32, detail: Int32)

    /// `virDomainEventStoppedDetailType`.
    public enum Stop: Equatable, Sendable {
        // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
        case shutdown, destroyed, crashed, failed
        // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
        case other(Int32)
    }

    init(type: Int32, detail: Int32) {
        switch UInt32(bitPattern: type) {
        case VIR_DOMAIN_EVENT_RESUMED.rawValue: self = .resumed
        case VIR_DOMAIN_EVENT_SUSPENDED.rawValue: self = .suspended
        case VIR_DOMAIN_EVENT_SHUTDOWN.rawValue:
            self = .shutdown(byGuest: detail != Int32(VIR_DOMAIN_EVENT_SHUTDOWN_HOST.rawValue))
        case VIR_DOMAIN_EVENT_CRASHED.rawValue: self = .crashed
        case VIR_DOMAIN_EVENT_STOPPED.rawValue:
            switch UInt32(bitPattern: detail) {
            case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN.rawValue: self = .stopped(.shutdown)
            case VIR_DOMAIN_EVENT_STOPPED_DESTROYED.rawValue: self = .stopped(.destroyed)
            case VIR_DOMAIN_EVENT_STOPPED_CRASHED.rawValue: self = .stopped(.crashed)
            case VIR_DOMAIN_EVENT_STOPPED_FAILED.rawValue: self = .stopped(.failed)
            default: self = .stopped(.other(detail))
            }
        default: self = .other(type: type, detail: detail)
        }
    }
}

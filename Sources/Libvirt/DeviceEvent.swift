import CLibvirt

/// What happened to a device of a domain, by its alias.
public enum DeviceEvent: Equatable, Sendable {
    /// It was plugged in.
    case added(alias: String)
    /// It is gone, and what was behind it is closed: the answer to a request, however late, or the guest's own doing.
    case removed(alias: String)
    /// The guest refuses to give it up. Not every refusal is told: a guest may also say nothing.
    case removalRefused(alias: String)
}

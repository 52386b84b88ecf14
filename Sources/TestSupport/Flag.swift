internal import Synchronization

/// Something that happens once and is asked about from anywhere.
public final class Flag: Sendable {
    private let value = Atomic(false)

    /// It has not happened.
    public init() {}

    /// It happens.
    public func raise() { value.store(true, ordering: .releasing) }

    /// Whether it has happened.
    public var isRaised: Bool { value.load(ordering: .acquiring) }
}

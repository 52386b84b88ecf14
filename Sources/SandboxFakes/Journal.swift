import Synchronization

/// What fakes were asked for, in order.
public final class Journal: Sendable {
    private let lines = Mutex<[String]>([])

    /// An empty one.
    public init() {}

    /// Adds a line.
    public func note(_ line: String) { lines.withLock { $0.append(line) } }
    /// The lines so far.
    public var all: [String] { lines.withLock { $0 } }
    /// Whether there is such a line.
    public func contains(_ line: String) -> Bool { all.contains(line) }
}

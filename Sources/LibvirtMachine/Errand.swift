import LinuxSystem
import Synchronization

/// Something that blocks, on a thread of its own, for somebody who has more to do than to wait for it.
final class Errand<Success: Sendable>: Sendable {
    private let outcome = Mutex<Result<Success, any Error>?>(nil)

    /// Sets out.
    ///
    /// - Parameter done: an event that is signalled when there is a result.
    init(_ name: String, done: FileDescriptor, _ body: @escaping @Sendable () throws -> Success) throws(SystemError) {
        try Thread.start(name) { [self] in
            let result = Result(catching: body)
            outcome.withLock { $0 = result }
            done.signalEvent()
        }
    }

    /// What came of it; nil while it is under way.
    var result: Result<Success, any Error>? { outcome.withLock { $0 } }
}

import Synchronization

extension Task {
    /// Suspends until the task has ended, or the time is over; a task that blocks a thread cannot be cancelled.
    func ended(within limit: Duration) async {
        let waiter = Waiter()
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            waiter.continuation.withLock { $0 = continuation }
            Task<Void, Never> {
                _ = await result
                waiter.resume()
            }
            Task<Void, Never> {
                try? await Task<Never, Never>.sleep(for: limit)
                waiter.resume()
            }
        }
    }
}

/// Resumes once, whoever comes first.
private final class Waiter: Sendable {
    let continuation = Mutex<CheckedContinuation<Void, Never>?>(nil)

    func resume() {
        let waiting = continuation.withLock { continuation in
            defer { continuation = nil }
            return continuation
        }
        waiting?.resume()
    }
}

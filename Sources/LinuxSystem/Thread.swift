import CLinux
import Glibc
import Synchronization

/// POSIX threads for what blocks or changes per-thread kernel state.
public enum Thread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        let name: String
        init(_ name: String, _ run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Starts a detached thread with a small stack that runs `body` and ends.
    ///
    /// - Parameter name: at most 15 bytes are shown by ps(1).
    public static func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 512 * 1024)
        let box = Unmanaged.passRetained(Body(name, body))
        var thread = pthread_t()
        let result = pthread_create(&thread, &attributes, entry, box.toOpaque())
        if result != 0 {
            box.release()
            throw SystemError("pthread_create", name, code: result)
        }
    }

    private static let entry: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { raw in
        guard let raw else { return nil }
        let body = Unmanaged<Body>.fromOpaque(raw).takeRetainedValue()
        _ = slipway_set_thread_name(body.name)
        body.run()
        return nil
    }

    /// Runs a blocking function on a thread of its own and suspends the task until it is done.
    public static func run<Success: Sendable>(
        _ name: String, _ body: @escaping @Sendable () throws -> Success
    ) async throws -> Success {
        try await withCheckedThrowingContinuation { continuation in
            do {
                try start(name) { continuation.resume(with: Result(catching: body)) }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// Runs a function on a thread of its own and blocks until it is done.
    public static func runAndWait<Success: Sendable>(
        _ name: String, _ body: @escaping @Sendable () throws -> Success
    ) throws -> Success {
        let outcome = Outcome<Success>()
        let done = try FileDescriptor.event()
        try start(name) {
            outcome.result.withLock { $0 = Result(catching: body) }
            done.signalEvent()
        }
        done.clearEvent()
        guard let result = outcome.result.withLock({ $0 }) else { throw SystemError(name, code: EINTR) }
        return try result.get()
    }

    private final class Outcome<Success: Sendable>: Sendable {
        let result = Mutex<Result<Success, any Error>?>(nil)
    }

    /// The kernel's id of the calling thread.
    public static var id: Int32 { slipway_gettid() }

    /// Lets a thread, of whatever process, run on these CPUs alone (sched_setaffinity(2)).
    ///
    /// - Parameter cpus: numbers; negative ones are left out.
    /// - Throws: `SystemError` with ESRCH, EPERM, or EINVAL where the thread's cgroup has none of them.
    public static func restrict(_ thread: Int32, to cpus: some Sequence<Int>) throws(SystemError) {
        var words: [UInt64] = []
        for cpu in cpus where cpu >= 0 {
            while words.count <= cpu / 64 { words.append(0) }
            words[cpu / 64] |= 1 << UInt64(cpu % 64)
        }
        let result = words.withUnsafeBytes { slipway_set_affinity(thread, $0.baseAddress, $0.count) }
        try check(result, "sched_setaffinity", "thread \(thread)")
    }
}

import Glibc

/// An executor with one thread of its own, for actors whose work blocks: the cooperative pool, which has one thread a
/// core, is never held up by them.
///
/// Jobs run one after another in the order of arrival. The thread ends when the executor goes.
public final class ThreadExecutor: SerialExecutor, @unchecked Sendable {
    // Unchecked: every access to the queue is under the mutex.
    private final class Queue: @unchecked Sendable {
        private var mutex = pthread_mutex_t()
        private var condition = pthread_cond_t()
        private var jobs: [UnownedJob] = []
        private var closed = false
        private var thread: pthread_t?

        init() {
            pthread_mutex_init(&mutex, nil)
            pthread_cond_init(&condition, nil)
        }

        func push(_ job: UnownedJob) {
            pthread_mutex_lock(&mutex)
            jobs.append(job)
            pthread_cond_signal(&condition)
            pthread_mutex_unlock(&mutex)
        }

        func close() {
            pthread_mutex_lock(&mutex)
            closed = true
            pthread_cond_signal(&condition)
            pthread_mutex_unlock(&mutex)
        }

        func adopt() {
            pthread_mutex_lock(&mutex)
            thread = pthread_self()
            pthread_mutex_unlock(&mutex)
        }

        var isCurrent: Bool {
            pthread_mutex_lock(&mutex)
            defer { pthread_mutex_unlock(&mutex) }
            guard let thread else { return false }
            return pthread_equal(thread, pthread_self()) != 0
        }

        func next() -> UnownedJob? {
            pthread_mutex_lock(&mutex)
            defer { pthread_mutex_unlock(&mutex) }
            while jobs.isEmpty {
                if closed { return nil }
                pthread_cond_wait(&condition, &mutex)
            }
            return jobs.removeFirst()
        }

        deinit {
            pthread_mutex_destroy(&mutex)
            pthread_cond_destroy(&condition)
        }
    }

    private let queue = Queue()

    /// Starts the thread.
    public init(_ name: String) throws(SystemError) {
        let queue = queue
        let executor = UnownedReference()
        try Thread.start(name) {
            queue.adopt()
            while let job = queue.next() {
                if let current = executor.value { job.runSynchronously(on: current) }
            }
        }
        executor.value = asUnownedSerialExecutor()
    }

    // Written once before the first job can be enqueued, which happens under the queue's mutex.
    private final class UnownedReference: @unchecked Sendable {
        var value: UnownedSerialExecutor?
    }

    /// Adds a job.
    public func enqueue(_ job: consuming ExecutorJob) {
        queue.push(UnownedJob(job))
    }

    /// This executor for actors.
    public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    /// Traps when the calling thread is not this executor's.
    public func checkIsolated() {
        precondition(queue.isCurrent, "not on the executor's thread")
    }

    /// Whether the calling thread is this executor's.
    public func isIsolatingCurrentContext() -> Bool? {
        queue.isCurrent
    }

    deinit { queue.close() }
}

import ContainerIO
import Glibc

/// What happened in a sandbox, in the order in which it happened (containerd's runtime v2 README, "Events").
public enum SandboxEvent: Equatable, Sendable {
    /// A container was created.
    case created(CreateRequest, pid: UInt32)
    /// A container runs.
    case started(id: String, pid: UInt32)
    /// A container or an exec has ended; `process` is the container's id or the exec's.
    case exited(id: String, process: String, pid: UInt32, Exit)
    /// A container or an exec was deleted; `process` is empty for a container.
    case deleted(id: String, process: String, pid: UInt32, Exit)
    /// QEMU was killed for memory.
    case outOfMemory(id: String)
    /// An exec was added.
    case execAdded(id: String, exec: String)
    /// An exec runs.
    case execStarted(id: String, exec: String, pid: UInt32)
    /// The vCPUs are stopped.
    case paused(id: String)
    /// The vCPUs run again.
    case resumed(id: String)
    /// A running machine's NIC has changed.
    case nic(id: String, link: String, NICChange)
}

/// What became of a NIC while its machine runs.
public enum NICChange: Equatable, Sendable {
    /// The guest has it.
    case plugged
    /// The guest has let go of it.
    case unplugged
    /// The guest is as it was, for the reason in the sentence; it is tried again where that may help.
    case failed(reason: String)
}

/// How a process of a container ended.
public struct Exit: Equatable, Sendable {
    /// 0 to 255.
    public var status: UInt32
    /// When.
    public var at: Timestamp

    /// An exit that happens now.
    public init(status: UInt32, at: Timestamp = .now) {
        self.status = status
        self.at = at
    }
}

/// A point in time, since 1970 in UTC.
public struct Timestamp: Equatable, Sendable {
    /// Whole seconds.
    public var seconds: Int64
    /// The rest, 0 to 999,999,999.
    public var nanoseconds: Int32

    /// A point in time.
    public init(seconds: Int64, nanoseconds: Int32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// The node's clock.
    public static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: Int32(time.tv_nsec))
    }
}

/// Takes events to whom they concern.
public protocol EventSink: Sendable {
    /// Takes an event; order is kept. Never blocks.
    func publish(_ event: SandboxEvent)
    /// Suspends until everything published so far has been delivered, or the time is up.
    func flush(milliseconds: Int64) async
}

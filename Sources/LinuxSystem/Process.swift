import CLinux
import Glibc

/// A running process held by a pidfd, so that its number cannot be reused under our hands (pidfd_open(2)).
public struct Process: Sendable {
    /// How a process ended.
    public enum Status: Equatable, Sendable {
        /// exit(2) with this code.
        case exited(Int32)
        /// Ended by this signal.
        case signaled(Int32)

        /// The shell's and containerd's number for it: the exit code, or 128 + signal.
        public var code: UInt32 {
            switch self {
            case .exited(let code): UInt32(truncatingIfNeeded: code) & 0xff
            case .signaled(let signal): 128 + (UInt32(truncatingIfNeeded: signal) & 0x7f)
            }
        }
    }

    /// The process id.
    public let pid: Int32
    /// The pidfd; readable once the process has ended.
    public let pidfd: FileDescriptor

    /// A process by an already open pidfd.
    public init(pid: Int32, pidfd: FileDescriptor) {
        self.pid = pid
        self.pidfd = pidfd
    }

    /// Opens a process by its number.
    ///
    /// - Throws: `SystemError` with ESRCH when there is none.
    public init(pid: Int32) throws(SystemError) {
        let raw = try check(slipway_pidfd_open(pid), "pidfd_open", "\(pid)")
        self.init(pid: pid, pidfd: FileDescriptor(owning: raw))
    }

    /// Sends a signal.
    ///
    /// - Throws: `SystemError` with ESRCH when it has ended and was reaped.
    public func signal(_ number: Int32) throws(SystemError) {
        try check(slipway_pidfd_send_signal(pidfd.raw, number), "pidfd_send_signal", "\(pid)")
    }

    /// One of its descriptors, as a descriptor of this process: both share what is open (pidfd_getfd(2)).
    ///
    /// - Throws: `SystemError` with EBADF when it has no such descriptor, EPERM when it may not be traced.
    public func descriptor(_ number: Int32) throws(SystemError) -> FileDescriptor {
        FileDescriptor(owning: try check(slipway_pidfd_getfd(pidfd.raw, number), "pidfd_getfd", "\(pid)"))
    }

    /// Blocks until a child has ended and reaps it.
    ///
    /// - Throws: `SystemError` with ECHILD when it is not a child of this process.
    public func wait() throws(SystemError) -> Status {
        var code: Int32 = 0
        var signal: Int32 = 0
        try check(slipway_pidfd_wait(pidfd.raw, &code, &signal), "waitid", "\(pid)")
        return signal == 0 ? .exited(code) : .signaled(signal)
    }

    /// Blocks until the process, child or not, has ended; false when the time is up first.
    public func waitForEnd(milliseconds: Int32) throws(SystemError) -> Bool {
        try pidfd.wait(for: Int16(POLLIN), milliseconds: milliseconds)
    }

    /// Field 22 of `/proc/PID/stat`: clock ticks after boot at which the process started. With the number it names a
    /// process for ever (proc_pid_stat(5)).
    public static func startTime(of pid: Int32) throws(SystemError) -> UInt64 {
        let text = try File.text("/proc/\(pid)/stat", limit: 4096)
        // The second field is the command in parentheses and may itself hold blanks and parentheses.
        guard let close = text.lastIndex(of: ")") else { throw SystemError("parse", "/proc/\(pid)/stat", code: EINVAL) }
        let fields = text[text.index(after: close)...].split(separator: " ")
        guard fields.count > 19, let time = UInt64(fields[19]) else {
            throw SystemError("parse", "/proc/\(pid)/stat", code: EINVAL)
        }
        return time
    }
}

/// Monotonic time for deadlines and time stamps (clock_gettime(2), `CLOCK_MONOTONIC`).
public enum Clock {
    /// Nanoseconds since an arbitrary point.
    public static var nanoseconds: Int64 { slipway_monotonic_ns() }
    /// Milliseconds since an arbitrary point.
    public static var milliseconds: Int64 { slipway_monotonic_ns() / 1_000_000 }
}

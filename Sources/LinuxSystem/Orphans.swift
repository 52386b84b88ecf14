import CLinux
import Glibc
import Synchronization

/// Adoption of processes that programs started below this one leave behind (prctl(2), `PR_SET_CHILD_SUBREAPER`).
public enum Orphans {
    /// Runs a function during which orphans below this process become its children, and stay so: a program that
    /// daemonises can then be waited for.
    ///
    /// Those that end meanwhile are reaped, as whoever waits for one to vanish (libvirt does, with `kill(pid, 0)`) would
    /// wait for long. A process's own children are left to those who started them: an orphan is told by its session,
    /// which is neither this process's nor led by itself. Of those that lead one the daemon's own are reaped: the process
    /// between it and its starter.
    ///
    /// - Parameter daemon: the name of the program that daemonises.
    public static func adopting<Success>(_ daemon: String, _ body: () throws -> Success) throws -> Success {
        try check(slipway_set_child_subreaper(1), "prctl", "PR_SET_CHILD_SUBREAPER")
        let stop = try FileDescriptor.event()
        let stopped = try FileDescriptor.event()
        try Thread.start("reaper") {
            let session = getsid(0)
            while (try? stop.wait(for: Int16(POLLIN), milliseconds: 10)) == false { reap(session, daemon) }
            reap(session, daemon)
            stopped.signalEvent()
        }
        defer {
            stop.signalEvent()
            stopped.clearEvent()
            _ = slipway_set_child_subreaper(0)
        }
        return try body()
    }

    private static func reap(_ session: Int32, _ daemon: String) {
        let tasks = (try? File.list("/proc/self/task")) ?? []
        for task in tasks {
            let children = (try? File.text("/proc/self/task/\(task)/children", limit: 1 << 16)) ?? ""
            for child in children.split(separator: " ").compactMap({ Int32($0) }) {
                guard let state = try? ProcessState(child), state.isZombie, state.session != session,
                    state.session != child || state.isNamed(daemon)
                else { continue }
                var status: Int32 = 0
                _ = waitpid(child, &status, WNOHANG)
            }
        }
    }

    /// Fields 2, 3 and 6 of `/proc/PID/stat` (proc_pid_stat(5)).
    private struct ProcessState {
        private let name: Substring
        let isZombie: Bool
        let session: Int32

        init(_ pid: Int32) throws(SystemError) {
            let text = try File.text("/proc/\(pid)/stat", limit: 4096)
            name = text.drop { $0 != "(" }.dropFirst().prefix { $0 != ")" }
            let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
            guard fields.count > 4, let session = Int32(fields[4]) else {
                throw SystemError("parse", "/proc/\(pid)/stat", code: EINVAL)
            }
            isZombie = fields[1] == "Z"
            self.session = session
        }

        /// The kernel keeps 15 bytes of a name.
        func isNamed(_ program: String) -> Bool { name == program.prefix(15) }
    }
}

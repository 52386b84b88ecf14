public import LinuxSystem

/// What can be wrong with a control group: the request, the host, or the group's own state.
public enum CgroupError: Error, Equatable, Sendable, CustomStringConvertible {
    /// `linux.cgroupsPath` cannot name a group.
    case invalidPath(String, CgroupPath.Problem)
    /// No cgroup file system is mounted.
    case noHierarchy
    /// A resource value that no kernel would take, by its OCI field.
    case invalidResource(field: String, value: String, accepted: String)
    /// The host does not offer the controller that a resource needs.
    case controllerMissing(String, setting: String)
    /// The kernel refused a value.
    case refused(file: String, value: String, SystemError)
    /// A group to be created exists and has processes.
    case occupied(String, processes: [Int32])
    /// Processes are still in the group after the deadline.
    case populated(String, processes: [Int32], milliseconds: Int32)
    /// The freezer has not reached the wanted state before the deadline.
    case notSettled(String, frozen: Bool, milliseconds: Int32)
    /// Single threads can be moved in version 1 only.
    case threadsAreVersion1Only
    /// The group does not exist.
    case gone(String)
    /// A system call failed.
    case system(SystemError)

    /// One sentence for the pod's events.
    public var description: String {
        switch self {
        case .invalidPath(let path, let problem):
            "linux.cgroupsPath \"\(path)\" \(problem); accepted are /parent/name and slice:prefix:name"
        case .noHierarchy:
            "no cgroup file system is mounted: neither cgroup2 nor any version 1 controller is in /proc/self/mountinfo"
        case .invalidResource(let field, let value, let accepted):
            "linux.resources.\(field) is \(value); accepted is \(accepted)"
        case .controllerMissing(let controller, let setting):
            "\(setting) needs the cgroup controller \"\(controller)\", which this host does not offer to the group"
        case .refused(let file, let value, let error):
            "the kernel refused \"\(value)\" for \(file): \(error)"
        case .occupied(let path, let processes):
            "cgroup \(path) exists and has the processes \(Self.list(processes)); remove what is left of them first"
        case .populated(let path, let processes, let milliseconds):
            "cgroup \(path) still has the processes \(Self.list(processes)) after \(milliseconds) ms"
        case .notSettled(let path, let frozen, let milliseconds):
            "cgroup \(path) is not \(frozen ? "frozen" : "thawed") after \(milliseconds) ms"
        case .threadsAreVersion1Only:
            "a single thread cannot be moved in cgroup version 2; move the process"
        case .gone(let path):
            "cgroup \(path) does not exist"
        case .system(let error):
            error.description
        }
    }

    private static func list(_ processes: [Int32]) -> String {
        processes.prefix(8).map(String.init).joined(separator: ", ") + (processes.count > 8 ? " …" : "")
    }
}

/// Runs system calls and gives their errors this module's type.
func system<Value>(_ body: () throws(SystemError) -> Value) throws(CgroupError) -> Value {
    do {
        return try body()
    } catch {
        throw .system(error)
    }
}

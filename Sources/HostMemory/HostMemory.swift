import CNuma
import Glibc
public import HostTopology
public import LinuxSystem

/// What libnuma tells about memory that is in use, as against what sysfs tells about the host.
///
/// libnuma is loaded at the first question, about a millisecond. Without it there are no answers, and no failure either
/// where a question has "not known" among its answers.
public enum HostMemory {
    /// The nodes that this process may allocate from (numa_get_mems_allowed(3)): its cgroup's `cpuset.mems`, on nodes that
    /// have memory. nil without libnuma or without NUMA in the kernel.
    public static func allowedNodes() -> CPUSet? {
        guard isAvailable, let mask = nu_numa_get_mems_allowed() else { return nil }
        defer { nu_numa_bitmask_free(mask) }
        return CPUSet((0..<CPUSet.limit).lazy.filter { nu_numa_bitmask_isbitset(mask, UInt32($0)) != 0 })
    }

    /// The node that each page of a process's memory is on (numa_move_pages(3), move_pages(2)); nil for addresses that
    /// have no page: nothing was written there yet, or it is swapped out.
    ///
    /// - Parameters:
    ///   - process: a process id; another user's process needs CAP_SYS_PTRACE.
    ///   - addresses: addresses anywhere in the pages.
    /// - Throws: `SystemError` with ESRCH, EPERM, and ENOSYS without libnuma or without NUMA in the kernel.
    public static func nodes(of addresses: [UInt64], in process: Int32) throws(SystemError) -> [Int?] {
        guard isAvailable else { throw SystemError("numa_move_pages", "\(process)", code: ENOSYS) }
        guard !addresses.isEmpty else { return [] }
        var pages = addresses.map { UnsafeMutableRawPointer(bitPattern: UInt($0)) }
        var status = [Int32](repeating: -1, count: addresses.count)
        let result = nu_numa_move_pages(process, UInt(addresses.count), &pages, nil, &status, 0)
        guard result >= 0 else { throw SystemError.last("numa_move_pages", "\(process)") }
        return status.map { $0 < 0 ? nil : Int($0) }
    }

    /// Once a process: libnuma's own state is not meant to be loaded by two threads at a time.
    private static let isAvailable = slipway_numa_load() == nil && nu_numa_available() >= 0
}

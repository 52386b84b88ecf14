import LinuxSystem

extension Cgroup {
    /// The group above, which is the pod's where this is a container's; nil at the top.
    public var parent: Cgroup? {
        path.parent.map { Cgroup(hierarchy: hierarchy, path: $0) }
    }

    /// The limit of the group's huge pages of a size, in bytes; nil when there is none, or no hugetlb controller.
    public func hugePageLimit(size: UInt64) -> UInt64? {
        guard let directory = directory(of: "hugetlb") else { return nil }
        let name = size >= 1 << 30 ? "\(size >> 30)GB" : size >= 1 << 20 ? "\(size >> 20)MB" : "\(size >> 10)KB"
        let file = if case .v2 = hierarchy { "max" } else { "limit_in_bytes" }
        let text = (try? File.text("\(directory)/hugetlb.\(name).\(file)", limit: 64)) ?? "max"
        // "max", and version 1's largest number of pages, say that there is no limit.
        guard let limit = UInt64(text.split(separator: "\n").first ?? ""), limit < 1 << 60 else { return nil }
        return limit
    }

    /// The group's own CPUs in the kernel's list format; nil where there is no cpuset controller, empty where they are the
    /// parent's.
    public var cpus: String? {
        guard let directory = directory(of: "cpuset"),
            let text = try? File.text("\(directory)/cpuset.cpus", limit: 1 << 16)
        else { return nil }
        return text.split(separator: "\n").first.map(String.init) ?? ""
    }

    /// Microseconds a period that realtime threads of the group may run; nil where the kernel does not share that out by
    /// group.
    public var realtimeRuntime: Int64? {
        guard case .v1 = hierarchy, let directory = directory(of: "cpu"),
            let text = try? File.text("\(directory)/cpu.rt_runtime_us", limit: 64)
        else { return nil }
        return Int64(text.split(separator: "\n").first ?? "")
    }

    /// Takes the limit of CPU time away where there is one: a thread that is throttled in the middle of its work misses
    /// its deadline, whatever its priority.
    ///
    /// - Returns: whether there was a limit.
    /// - Throws: ``CgroupError/system(_:)``.
    @discardableResult
    public func liftCPUQuota() throws(CgroupError) -> Bool {
        guard let directory = directory(of: "cpu") else { return false }
        do throws(SystemError) {
            switch hierarchy {
            case .v2:
                guard let text = try? File.text("\(directory)/cpu.max", limit: 64), !text.hasPrefix("max") else {
                    return false
                }
                try File.put("max", into: "\(directory)/cpu.max")
            case .v1:
                guard let text = try? File.text("\(directory)/cpu.cfs_quota_us", limit: 64), !text.hasPrefix("-1")
                else {
                    return false
                }
                try File.put("-1", into: "\(directory)/cpu.cfs_quota_us")
            }
        } catch {
            throw .system(error)
        }
        return true
    }
}

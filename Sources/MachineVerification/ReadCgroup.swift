internal import Cgroup
internal import HostTopology
internal import LinuxSystem
internal import MachinePlanning

extension ObservedCgroup {
    /// Reads the group's files; nil when there is no such group.
    init?(_ group: Cgroup, pid: Int32, procfs: String) {
        guard group.exists else { return nil }
        let membership = (try? File.text("\(procfs)/\(pid)/cgroup", limit: 1 << 16)) ?? ""
        let path = group.path.description
        self.init(
            path: path,
            holdsMachine: membership.split(separator: "\n").contains { line in
                line.hasSuffix(":\(path)") || line.contains(":\(path)/")
            })
        let files = GroupFiles(directories: group.directories)
        switch group.hierarchy {
        case .v2:
            memory = files.number("memory.current")
            memoryLimit = files.number("memory.max")
            let quota = files.text("cpu.max")?.split(separator: " ") ?? []
            cpuQuota = quota.first.flatMap { UInt64($0) }
            cpuPeriod = quota.last.flatMap { UInt64($0) }
            cpus = files.set("cpuset.cpus")
            mems = files.set("cpuset.mems")
            readHugePages(files, usage: "current", limit: "max")
        case .v1:
            memory = files.number("memory.usage_in_bytes")
            // The largest number of pages stands for no limit.
            memoryLimit = files.number("memory.limit_in_bytes").flatMap { $0 < 1 << 60 ? $0 : nil }
            cpuQuota = files.number("cpu.cfs_quota_us")
            cpuPeriod = files.number("cpu.cfs_period_us")
            cpus = files.set("cpuset.cpus")
            mems = files.set("cpuset.mems")
            readHugePages(files, usage: "usage_in_bytes", limit: "limit_in_bytes")
        }
        throttledPeriods =
            files.text("cpu.stat")?.split(separator: "\n").lazy
            .compactMap { $0.hasPrefix("nr_throttled ") ? UInt64($0.dropFirst(13)) : nil }.first
    }

    private mutating func readHugePages(_ files: GroupFiles, usage: String, limit: String) {
        for name in files.names where name.hasPrefix("hugetlb.") && name.hasSuffix(".\(usage)") {
            let parts = name.split(separator: ".")
            guard parts.count == 3, let size = HugePageSources.pageSize(String(parts[1])),
                let used = files.number(name)
            else { continue }
            let most = files.number("hugetlb.\(parts[1]).\(limit)")
            hugePages.append(HugePages(size: size, used: used, limit: most.flatMap { $0 < 1 << 60 ? $0 : nil }))
        }
        hugePages.sort { $0.size < $1.size }
    }
}

/// The files of a group, in whichever hierarchy they are.
private struct GroupFiles {
    let directories: [String]

    var names: [String] { directories.flatMap { (try? File.list($0)) ?? [] } }

    func text(_ name: String) -> Substring? {
        for directory in directories {
            guard let text = try? File.text("\(directory)/\(name)", limit: 1 << 16) else { continue }
            return text.last == "\n" ? text.dropLast() : text[...]
        }
        return nil
    }

    /// nil for no limit (`max`, -1) too.
    func number(_ name: String) -> UInt64? { text(name).flatMap { UInt64($0) } }

    /// nil when nothing is set.
    func set(_ name: String) -> CPUSet? { text(name).flatMap { try? CPUSet($0) }.flatMap { $0.isEmpty ? nil : $0 } }
}

internal import LinuxSystem

extension Cgroup {
    /// Reads the group's statistics, with everything below it.
    ///
    /// - Throws: ``CgroupError/gone(_:)`` when there is no group. A file that is missing or cannot be read (no
    ///   controller, an older kernel, pressure accounting switched off) is only absent.
    public func metrics() throws(CgroupError) -> CgroupMetrics {
        guard exists else { throw .gone(path.description) }
        switch hierarchy {
        case .v2: return .v2(CgroupMetricsV2(files: texts(CgroupMetricsV2.files)))
        case .v1: return .v1(CgroupMetricsV1(files: texts(CgroupMetricsV1.files)))
        }
    }

    private func texts(_ names: [String]) -> [String: String] {
        var texts: [String: String] = [:]
        let hugetlb = directory(of: "hugetlb").flatMap { try? File.list($0) } ?? []
        for name in names + hugetlb.filter({ $0.hasPrefix("hugetlb.") && !$0.contains("rsvd") }) {
            guard let directory = directory(of: String(name.prefix { $0 != "." })) else { continue }
            texts[name] = try? File.text("\(directory)/\(name)")
        }
        return texts
    }

    /// How many processes of the group the kernel has killed for memory, whoever's limit was hit. To be read when a
    /// process has died of SIGKILL, before ``remove(milliseconds:)``; in version 1 groups below are not counted.
    ///
    /// - Throws: ``CgroupError/gone(_:)``, ``CgroupError/controllerMissing(_:setting:)``.
    public func oomKillCount() throws(CgroupError) -> UInt64 {
        guard exists else { throw .gone(path.description) }
        let name =
            switch hierarchy {
            case .v2: "memory.events"
            case .v1: "memory.oom_control"
            }
        guard let directory = directory(of: "memory"), let text = try? File.text("\(directory)/\(name)") else {
            throw .controllerMissing("memory", setting: "counting kills for memory")
        }
        return StatFiles(texts: [name: text]).table(name)?["oom_kill"] ?? 0
    }
}

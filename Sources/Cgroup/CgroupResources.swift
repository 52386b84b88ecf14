/// Limits for a group, in the units and with the meaning of the OCI field `linux.resources` (config-linux.md).
/// What is nil or empty stays as it is.
public struct CgroupResources: Hashable, Sendable {
    /// Relative CPU weight, 2 … 262144 (`cpu.shares`); 0 is unset.
    public var cpuShares: UInt64?
    /// CPU time in microseconds a period; negative is no limit, 0 is unset.
    public var cpuQuota: Int64?
    /// The period in microseconds; 0 is unset.
    public var cpuPeriod: UInt64?
    /// CPUs in the kernel's list format, `0-3,8`.
    public var cpus: String = ""
    /// Memory nodes in the kernel's list format.
    public var mems: String = ""
    /// Bytes of memory; negative is no limit, 0 is unset.
    public var memoryLimit: Int64?
    /// Bytes of memory **and** swap together; negative is no limit, 0 is unset.
    public var memorySwapLimit: Int64?
    /// Bytes below which memory is spared under pressure; negative is none, 0 is unset.
    public var memoryReservation: Int64?
    /// Number of tasks; negative is no limit, 0 is unset.
    public var pidsLimit: Int64?
    /// Page size as the kernel names it (`2MB`, `1GB`) → bytes.
    public var hugepageLimits: [String: UInt64] = [:]
    /// Version 2 files by name → value, written as they are.
    public var unified: [String: String] = [:]

    /// No limits.
    public init() {}

    /// One value for one file of one controller.
    struct Setting: Hashable, Sendable {
        var controller: String
        var file: String
        var value: String
        /// The OCI field that asks for it.
        var field: String
        /// Without the file there is nothing to limit, or an older kernel limits by the other file of the pair.
        var isOptional = false
    }

    /// What to write for a version, in the order of writing. Pure.
    ///
    /// - Throws: ``CgroupError/invalidResource(field:value:accepted:)``.
    func settings(version2: Bool) throws(CgroupError) -> [Setting] {
        var settings: [Setting] = []
        func add(_ file: String, _ value: String, _ field: String, optional: Bool = false) {
            let controller = String(file.prefix { $0 != "." })
            settings.append(
                Setting(controller: controller, file: file, value: value, field: field, isOptional: optional))
        }
        if let shares = cpuShares, shares != 0 {
            if version2 {
                add("cpu.weight", "\(Self.weight(shares: shares))", "cpu.shares")
            } else {
                add("cpu.shares", "\(shares)", "cpu.shares")
            }
        }
        let quota = cpuQuota == 0 ? nil : cpuQuota
        let period = cpuPeriod == 0 ? nil : cpuPeriod
        if version2 {
            if quota != nil || period != nil {
                let limit = quota.flatMap { $0 > 0 ? "\($0)" : nil } ?? "max"
                add("cpu.max", "\(limit) \(period ?? 100_000)", "cpu.quota")
            }
        } else {
            if let period { add("cpu.cfs_period_us", "\(period)", "cpu.period") }
            if let quota { add("cpu.cfs_quota_us", "\(max(quota, -1))", "cpu.quota") }
        }
        if !cpus.isEmpty { add("cpuset.cpus", cpus, "cpu.cpus") }
        if !mems.isEmpty { add("cpuset.mems", mems, "cpu.mems") }

        try addMemory(version2, add)

        if let limit = pidsLimit, limit != 0 { add("pids.max", limit < 0 ? "max" : "\(limit)", "pids.limit") }
        for (size, limit) in hugepageLimits.sorted(by: { $0.key < $1.key }) {
            guard Self.isPageSize(size) else {
                throw .invalidResource(
                    field: "hugepageLimits.pageSize", value: "\"\(size)\"", accepted: "a size such as 2MB or 1GB")
            }
            let name = version2 ? "max" : "limit_in_bytes"
            // No hugetlb controller and a limit of 0: the kubelet lists every size of the host, used or not.
            add("hugetlb.\(size).\(name)", "\(limit)", "hugepageLimits", optional: limit == 0)
            // Reservations fail mmap(2) with ENOMEM; the limit above alone would be met as SIGBUS on the first touch.
            add("hugetlb.\(size).rsvd.\(name)", "\(limit)", "hugepageLimits", optional: true)
        }
        for (file, value) in unified.sorted(by: { $0.key < $1.key }) {
            guard version2 else {
                throw .invalidResource(field: "unified", value: file, accepted: "nothing, on a cgroup version 1 host")
            }
            guard Self.isControllerFile(file) else {
                throw .invalidResource(
                    field: "unified", value: "\"\(file)\"", accepted: "a controller's file such as memory.high")
            }
            add(file, value, "unified")
        }
        return settings
    }

    private func addMemory(
        _ version2: Bool, _ add: (String, String, String, Bool) -> Void
    ) throws(CgroupError) {
        let limit = memoryLimit == 0 ? nil : memoryLimit
        let swap = memorySwapLimit == 0 ? nil : memorySwapLimit
        let reservation = memoryReservation == 0 ? nil : memoryReservation
        if let limit, let swap, limit > 0, swap > 0, swap < limit {
            throw .invalidResource(
                field: "memory.swap", value: "\(swap)", accepted: "at least memory.limit, \(limit), which it includes")
        }
        if version2 {
            if let value = try swapOnly(limit, swap) {
                add("memory.swap.max", value, "memory.swap", value == "max" || value == "0")
            }
            if let limit { add("memory.max", limit < 0 ? "max" : "\(limit)", "memory.limit", false) }
            if let reservation { add("memory.low", "\(max(reservation, 0))", "memory.reservation", false) }
        } else {
            if let limit { add("memory.limit_in_bytes", "\(max(limit, -1))", "memory.limit", false) }
            // Missing where the kernel does not account swap.
            if let swap {
                add("memory.memsw.limit_in_bytes", "\(max(swap, -1))", "memory.swap", swap < 0 || swap == limit)
            }
            if let reservation {
                add("memory.soft_limit_in_bytes", "\(max(reservation, -1))", "memory.reservation", false)
            }
        }
    }

    /// Version 2 limits swap by itself, OCI memory and swap together.
    private func swapOnly(_ limit: Int64?, _ swap: Int64?) throws(CgroupError) -> String? {
        guard let swap else { return limit.map { $0 < 0 } == true ? "max" : nil }
        if swap < 0 { return "max" }
        guard let limit else {
            throw .invalidResource(field: "memory.swap", value: "\(swap)", accepted: "a value beside memory.limit")
        }
        return limit < 0 ? "\(swap)" : "\(swap - limit)"
    }

    /// runc's conversion of 2 … 262144 to 1 … 10000.
    static func weight(shares: UInt64) -> UInt64 {
        1 + (min(max(shares, 2), 262_144) - 2) * 9999 / 262_142
    }

    private static func isPageSize(_ size: String) -> Bool {
        let digits = size.utf8.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        return (1...7).contains(digits.count) && ["KB", "MB", "GB"].contains(String(size.dropFirst(digits.count)))
    }

    /// `cgroup.*` would let a spec stop, kill or restructure the group.
    private static func isControllerFile(_ name: String) -> Bool {
        let letters = name.utf8.allSatisfy {
            ($0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z")) || ($0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z"))
                || ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9"))
                || [UInt8(ascii: "."), UInt8(ascii: "_")].contains($0)
        }
        return letters && name.contains(".") && !name.hasPrefix(".") && !name.hasPrefix("cgroup.")
    }
}

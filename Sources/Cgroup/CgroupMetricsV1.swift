/// Statistics from version 1 trees. Field names are those of `io.containerd.cgroups.v1.Metrics`; memory is in bytes,
/// CPU time in nanoseconds, the rest are counts (cgroup-v1/*.rst).
public struct CgroupMetricsV1: Equatable, Sendable {
    /// CPU time.
    public struct CPU: Equatable, Sendable {
        /// `cpuacct.usage`, and its parts from `cpuacct.stat`.
        public var total: UInt64 = 0, kernel: UInt64 = 0, user: UInt64 = 0
        /// One value a CPU.
        public var perCPU: [UInt64] = []
        /// From `cpu.stat`: periods, periods in which the quota was used up, and the time spent so.
        public var periods: UInt64 = 0, throttledPeriods: UInt64 = 0, throttledTime: UInt64 = 0
    }

    /// One `memory.*` family: `limit_in_bytes`, `usage_in_bytes`, `max_usage_in_bytes`, `failcnt`.
    public struct MemoryEntry: Equatable, Sendable {
        /// Never 0, of which containerd would subtract the working set.
        public var limit: UInt64
        /// Now, the most ever, and how often the limit was hit.
        public var usage: UInt64, max: UInt64, failcnt: UInt64
    }

    /// The counters of `memory.stat`, which has them twice: of the group, and with those below (`total_`).
    public struct MemoryCounters: Equatable, Sendable {
        /// `memory.stat`.
        public var cache: UInt64 = 0, rss: UInt64 = 0, rssHuge: UInt64 = 0, mappedFile: UInt64 = 0, dirty: UInt64 = 0
        public var writeback: UInt64 = 0, pgPgIn: UInt64 = 0, pgPgOut: UInt64 = 0, pgFault: UInt64 = 0
        public var pgMajFault: UInt64 = 0, inactiveAnon: UInt64 = 0, activeAnon: UInt64 = 0, inactiveFile: UInt64 = 0
        public var activeFile: UInt64 = 0, unevictable: UInt64 = 0
    }

    /// Memory.
    public struct Memory: Equatable, Sendable {
        /// Fields 1 to 15.
        public var own: MemoryCounters
        /// The lowest limits of the group and its parents.
        public var hierarchicalMemoryLimit: UInt64, hierarchicalSwapLimit: UInt64
        /// Fields 18 to 32.
        public var total: MemoryCounters
        /// Memory.
        public var usage: MemoryEntry
        /// Memory and swap together; nil where the kernel does not account swap.
        public var swap: MemoryEntry?
        /// The kernel's memory.
        public var kernel: MemoryEntry?
        /// TCP buffers.
        public var kernelTCP: MemoryEntry?
    }

    /// `memory.oom_control`.
    public struct OOMControl: Equatable, Sendable {
        /// 1 for yes.
        public var oomKillDisable: UInt64, underOom: UInt64
        /// 0 before Linux 4.13, which does not count.
        public var oomKill: UInt64
    }

    /// One line of a `blkio.*` file.
    public struct BlkIOEntry: Equatable, Sendable {
        /// `Read`, `Write`, `Sync` …
        public var op: String
        /// The device's number, and the count.
        public var major: UInt64, minor: UInt64, value: UInt64
    }

    /// Huge pages of one size, in bytes.
    public struct HugeTLB: Equatable, Sendable {
        /// In use, the most ever, and how often the limit was hit.
        public var usage: UInt64, max: UInt64, failcnt: UInt64
        /// As the kernel names it, `2MB`.
        public var pagesize: String
    }

    /// Tasks.
    public var pids: CgroupMetrics.Pids?
    /// CPU time.
    public var cpu: CPU?
    /// Memory.
    public var memory: Memory?
    /// Kills for memory.
    public var memoryOOMControl: OOMControl?
    /// Bytes.
    public var ioServiceBytesRecursive: [BlkIOEntry] = []
    /// Requests.
    public var ioServicedRecursive: [BlkIOEntry] = []
    /// One entry a page size.
    public var hugetlb: [HugeTLB] = []
    /// RDMA resources in use.
    public var rdmaCurrent: [CgroupMetrics.RDMA] = []
    /// RDMA limits.
    public var rdmaLimit: [CgroupMetrics.RDMA] = []

    private static let families = ["memory", "memory.memsw", "memory.kmem", "memory.kmem.tcp"]
    private static let members = ["limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes", "failcnt"]
    /// The recursive files first: BFQ's, CFQ's (before Linux 5.0), the throttling layer's.
    private static let blkioFamilies = [
        "blkio.bfq.%_recursive", "blkio.%_recursive", "blkio.throttle.%_recursive", "blkio.throttle.%",
    ]

    /// The files that are read, beside those of hugetlb.
    static let files =
        [
            "pids.current", "pids.max", "cpu.stat", "cpuacct.usage", "cpuacct.usage_percpu", "cpuacct.stat",
            "memory.stat", "memory.oom_control", "rdma.current", "rdma.max",
        ]
        + families.flatMap { family in members.map { "\(family).\($0)" } }
        + ["io_service_bytes", "io_serviced"].flatMap(blkioFiles)

    private static func blkioFiles(_ name: String) -> [String] {
        blkioFamilies.map { family in
            family.split(separator: "%", omittingEmptySubsequences: false).joined(separator: name)
        }
    }

    /// Reads the files' texts, by file name. Pure; what is missing or does not parse is absent.
    public init(files texts: [String: String]) {
        let files = StatFiles(texts: texts)
        pids = files.number("pids.current").map { .init(current: $0, limit: files.number("pids.max") ?? .max) }
        cpu = CPU(files)
        memory = Memory(files)
        memoryOOMControl = files.table("memory.oom_control").map {
            OOMControl(
                oomKillDisable: $0["oom_kill_disable"] ?? 0, underOom: $0["under_oom"] ?? 0,
                oomKill: $0["oom_kill"] ?? 0)
        }
        ioServiceBytesRecursive = Self.blkio("io_service_bytes", files)
        ioServicedRecursive = Self.blkio("io_serviced", files)
        hugetlb = files.pageSizes("usage_in_bytes").compactMap { size in
            files.number("hugetlb.\(size).usage_in_bytes").map {
                HugeTLB(
                    usage: $0, max: files.number("hugetlb.\(size).max_usage_in_bytes") ?? 0,
                    failcnt: files.number("hugetlb.\(size).failcnt") ?? 0, pagesize: size)
            }
        }
        rdmaCurrent = files.rdma("rdma.current")
        rdmaLimit = files.rdma("rdma.max")
    }

    /// The first family that counts anything; those whose scheduler is not in use are empty or have a total only.
    private static func blkio(_ name: String, _ files: StatFiles) -> [BlkIOEntry] {
        for file in blkioFiles(name) {
            let entries = files.devices(file).compactMap { device -> BlkIOEntry? in
                guard device.words.count == 2, let op = device.words.first, let value = device.words.last,
                    let value = UInt64(value)
                else { return nil }
                return BlkIOEntry(op: String(op), major: device.major, minor: device.minor, value: value)
            }
            if !entries.isEmpty { return entries }
        }
        return []
    }

    fileprivate static func entry(_ family: String, _ files: StatFiles) -> MemoryEntry? {
        files.number("\(family).usage_in_bytes").map { usage in
            MemoryEntry(
                limit: files.number("\(family).limit_in_bytes").flatMap { $0 == 0 ? nil : $0 } ?? .max, usage: usage,
                max: files.number("\(family).max_usage_in_bytes") ?? 0, failcnt: files.number("\(family).failcnt") ?? 0)
        }
    }
}

extension CgroupMetricsV1.CPU {
    init?(_ files: StatFiles) {
        guard let usage = files.number("cpuacct.usage") else { return nil }
        total = usage
        perCPU = (files.texts["cpuacct.usage_percpu"] ?? "").split(whereSeparator: \.isWhitespace).compactMap {
            UInt64($0)
        }
        let ticks = files.table("cpuacct.stat") ?? [:]
        kernel = Self.nanoseconds(ticks["system"] ?? 0)
        user = Self.nanoseconds(ticks["user"] ?? 0)
        let stat = files.table("cpu.stat") ?? [:]
        periods = stat["nr_periods"] ?? 0
        throttledPeriods = stat["nr_throttled"] ?? 0
        throttledTime = stat["throttled_time"] ?? 0
    }

    /// `cpuacct.stat` counts in USER_HZ, 1/100 s on every architecture that Linux shows to user space today.
    private static func nanoseconds(_ ticks: UInt64) -> UInt64 {
        let (value, overflow) = ticks.multipliedReportingOverflow(by: 10_000_000)
        return overflow ? .max : value
    }
}

extension CgroupMetricsV1.MemoryCounters {
    init(_ stat: [Substring: UInt64], prefix: String) {
        let count = { (name: String) in stat["\(prefix)\(name)"] ?? 0 }
        cache = count("cache")
        rss = count("rss")
        rssHuge = count("rss_huge")
        mappedFile = count("mapped_file")
        dirty = count("dirty")
        writeback = count("writeback")
        pgPgIn = count("pgpgin")
        pgPgOut = count("pgpgout")
        pgFault = count("pgfault")
        pgMajFault = count("pgmajfault")
        inactiveAnon = count("inactive_anon")
        activeAnon = count("active_anon")
        inactiveFile = count("inactive_file")
        activeFile = count("active_file")
        unevictable = count("unevictable")
    }
}

extension CgroupMetricsV1.Memory {
    init?(_ files: StatFiles) {
        guard let stat = files.table("memory.stat"), let entry = CgroupMetricsV1.entry("memory", files) else {
            return nil
        }
        own = CgroupMetricsV1.MemoryCounters(stat, prefix: "")
        hierarchicalMemoryLimit = stat["hierarchical_memory_limit"] ?? .max
        hierarchicalSwapLimit = stat["hierarchical_memsw_limit"] ?? .max
        total = CgroupMetricsV1.MemoryCounters(stat, prefix: "total_")
        usage = entry
        swap = CgroupMetricsV1.entry("memory.memsw", files)
        kernel = CgroupMetricsV1.entry("memory.kmem", files)
        kernelTCP = CgroupMetricsV1.entry("memory.kmem.tcp", files)
    }
}

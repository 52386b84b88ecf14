/// Statistics from a version 2 group. Field names are those of `io.containerd.cgroups.v2.Metrics`; memory is in bytes,
/// CPU time in microseconds, the rest are counts (cgroup-v2.rst).
public struct CgroupMetricsV2: Equatable, Sendable {
    /// CPU time. The kernel counts the first three even without the cpu controller.
    public struct CPU: Equatable, Sendable {
        /// `cpu.stat`.
        public var usageUsec: UInt64 = 0, userUsec: UInt64 = 0, systemUsec: UInt64 = 0
        public var nrPeriods: UInt64 = 0, nrThrottled: UInt64 = 0, throttledUsec: UInt64 = 0
        public var nrBursts: UInt64 = 0, burstUsec: UInt64 = 0
        /// Pressure; nil where it is not accounted.
        public var psi: CgroupMetrics.Pressure?
    }

    /// Memory.
    public struct Memory: Equatable, Sendable {
        /// `memory.stat`.
        public var anon: UInt64 = 0, file: UInt64 = 0, kernelStack: UInt64 = 0, slab: UInt64 = 0, sock: UInt64 = 0
        public var shmem: UInt64 = 0, fileMapped: UInt64 = 0, fileDirty: UInt64 = 0, fileWriteback: UInt64 = 0
        public var anonThp: UInt64 = 0, inactiveAnon: UInt64 = 0, activeAnon: UInt64 = 0
        public var inactiveFile: UInt64 = 0, activeFile: UInt64 = 0, unevictable: UInt64 = 0
        public var slabReclaimable: UInt64 = 0, slabUnreclaimable: UInt64 = 0
        public var pgfault: UInt64 = 0, pgmajfault: UInt64 = 0
        /// Sums of the anon and file counters below where the kernel (5.9 and newer) has only those.
        public var workingsetRefault: UInt64 = 0, workingsetActivate: UInt64 = 0
        /// Shadow nodes reclaimed.
        public var workingsetNodereclaim: UInt64 = 0
        public var pgrefill: UInt64 = 0, pgscan: UInt64 = 0, pgsteal: UInt64 = 0, pgactivate: UInt64 = 0
        public var pgdeactivate: UInt64 = 0, pglazyfree: UInt64 = 0, pglazyfreed: UInt64 = 0
        public var thpFaultAlloc: UInt64 = 0, thpCollapseAlloc: UInt64 = 0
        public var workingsetRefaultAnon: UInt64 = 0, workingsetRefaultFile: UInt64 = 0
        public var workingsetActivateAnon: UInt64 = 0, workingsetActivateFile: UInt64 = 0
        /// `memory.current`.
        public var usage: UInt64 = 0
        /// `memory.max`; never 0, of which containerd would subtract the working set.
        public var usageLimit: UInt64 = .max
        /// `memory.swap.current`.
        public var swapUsage: UInt64 = 0
        /// `memory.swap.max`; 0 says that swap is not to be used.
        public var swapLimit: UInt64 = .max
        /// `memory.peak` and `memory.swap.peak`; 0 where the kernel has none.
        public var maxUsage: UInt64 = 0, swapMaxUsage: UInt64 = 0
        /// Pressure; nil where it is not accounted.
        public var psi: CgroupMetrics.Pressure?
    }

    /// `memory.events`, of the group and those below.
    public struct MemoryEvents: Equatable, Sendable {
        /// Counts of the events.
        public var low: UInt64 = 0, high: UInt64 = 0, max: UInt64 = 0, oom: UInt64 = 0, oomKill: UInt64 = 0
        /// Kills of a whole group; 0 before Linux 5.17.
        public var oomGroupKill: UInt64 = 0
    }

    /// Traffic with block devices.
    public struct IO: Equatable, Sendable {
        /// One device.
        public struct Entry: Equatable, Sendable {
            /// The device's number.
            public var major: UInt64, minor: UInt64
            /// Bytes.
            public var rbytes: UInt64, wbytes: UInt64
            /// Requests.
            public var rios: UInt64, wios: UInt64
        }
        /// One entry a device.
        public var usage: [Entry] = []
        /// Pressure; nil where it is not accounted.
        public var psi: CgroupMetrics.Pressure?
    }

    /// Huge pages of one size, in bytes.
    public struct HugeTLB: Equatable, Sendable {
        /// In use, and allowed.
        public var current: UInt64, max: UInt64
        /// As the kernel names it, `2MB`.
        public var pagesize: String
        /// How often the limit was hit.
        public var failcnt: UInt64
    }

    /// Tasks.
    public var pids: CgroupMetrics.Pids?
    /// CPU time.
    public var cpu: CPU?
    /// Memory.
    public var memory: Memory?
    /// Events of the memory controller.
    public var memoryEvents: MemoryEvents?
    /// Traffic with block devices.
    public var io: IO?
    /// One entry a page size.
    public var hugetlb: [HugeTLB] = []
    /// RDMA resources in use.
    public var rdmaCurrent: [CgroupMetrics.RDMA] = []
    /// RDMA limits.
    public var rdmaLimit: [CgroupMetrics.RDMA] = []

    /// The files that are read, beside those of hugetlb.
    static let files = [
        "pids.current", "pids.max", "cpu.stat", "cpu.pressure", "memory.stat", "memory.current", "memory.max",
        "memory.peak", "memory.swap.current", "memory.swap.max", "memory.swap.peak", "memory.events", "memory.pressure",
        "io.stat", "io.pressure", "rdma.current", "rdma.max",
    ]

    /// Reads the files' texts, by file name. Pure; what is missing or does not parse is absent.
    public init(files texts: [String: String]) {
        let files = StatFiles(texts: texts)
        pids = files.number("pids.current").map { .init(current: $0, limit: files.number("pids.max") ?? .max) }
        cpu = files.table("cpu.stat").map { CPU($0, psi: files.pressure("cpu.pressure")) }
        memory = Memory(files)
        memoryEvents = files.table("memory.events").map {
            MemoryEvents(
                low: $0["low"] ?? 0, high: $0["high"] ?? 0, max: $0["max"] ?? 0, oom: $0["oom"] ?? 0,
                oomKill: $0["oom_kill"] ?? 0, oomGroupKill: $0["oom_group_kill"] ?? 0)
        }
        if texts["io.stat"] != nil { io = IO(files) }
        hugetlb = files.pageSizes("current").compactMap { size in
            files.number("hugetlb.\(size).current").map {
                HugeTLB(
                    current: $0, max: files.number("hugetlb.\(size).max") ?? .max, pagesize: size,
                    failcnt: files.table("hugetlb.\(size).events")?["max"] ?? 0)
            }
        }
        rdmaCurrent = files.rdma("rdma.current")
        rdmaLimit = files.rdma("rdma.max")
    }
}

extension CgroupMetricsV2.CPU {
    init(_ stat: [Substring: UInt64], psi: CgroupMetrics.Pressure?) {
        usageUsec = stat["usage_usec"] ?? 0
        userUsec = stat["user_usec"] ?? 0
        systemUsec = stat["system_usec"] ?? 0
        nrPeriods = stat["nr_periods"] ?? 0
        nrThrottled = stat["nr_throttled"] ?? 0
        throttledUsec = stat["throttled_usec"] ?? 0
        nrBursts = stat["nr_bursts"] ?? 0
        burstUsec = stat["burst_usec"] ?? 0
        self.psi = psi
    }
}

extension CgroupMetricsV2.Memory {
    init?(_ files: StatFiles) {
        guard let current = files.number("memory.current"), let stat = files.table("memory.stat") else { return nil }
        anon = stat["anon"] ?? 0
        file = stat["file"] ?? 0
        kernelStack = stat["kernel_stack"] ?? 0
        slab = stat["slab"] ?? 0
        sock = stat["sock"] ?? 0
        shmem = stat["shmem"] ?? 0
        fileMapped = stat["file_mapped"] ?? 0
        fileDirty = stat["file_dirty"] ?? 0
        fileWriteback = stat["file_writeback"] ?? 0
        anonThp = stat["anon_thp"] ?? 0
        inactiveAnon = stat["inactive_anon"] ?? 0
        activeAnon = stat["active_anon"] ?? 0
        inactiveFile = stat["inactive_file"] ?? 0
        activeFile = stat["active_file"] ?? 0
        unevictable = stat["unevictable"] ?? 0
        slabReclaimable = stat["slab_reclaimable"] ?? 0
        slabUnreclaimable = stat["slab_unreclaimable"] ?? 0
        pgfault = stat["pgfault"] ?? 0
        pgmajfault = stat["pgmajfault"] ?? 0
        workingsetRefaultAnon = stat["workingset_refault_anon"] ?? 0
        workingsetRefaultFile = stat["workingset_refault_file"] ?? 0
        workingsetActivateAnon = stat["workingset_activate_anon"] ?? 0
        workingsetActivateFile = stat["workingset_activate_file"] ?? 0
        workingsetRefault = stat["workingset_refault"] ?? (workingsetRefaultAnon &+ workingsetRefaultFile)
        workingsetActivate = stat["workingset_activate"] ?? (workingsetActivateAnon &+ workingsetActivateFile)
        workingsetNodereclaim = stat["workingset_nodereclaim"] ?? 0
        pgrefill = stat["pgrefill"] ?? 0
        pgscan = stat["pgscan"] ?? 0
        pgsteal = stat["pgsteal"] ?? 0
        pgactivate = stat["pgactivate"] ?? 0
        pgdeactivate = stat["pgdeactivate"] ?? 0
        pglazyfree = stat["pglazyfree"] ?? 0
        pglazyfreed = stat["pglazyfreed"] ?? 0
        thpFaultAlloc = stat["thp_fault_alloc"] ?? 0
        thpCollapseAlloc = stat["thp_collapse_alloc"] ?? 0
        usage = current
        usageLimit = files.number("memory.max").flatMap { $0 == 0 ? nil : $0 } ?? .max
        swapUsage = files.number("memory.swap.current") ?? 0
        swapLimit = files.number("memory.swap.max") ?? .max
        maxUsage = files.number("memory.peak") ?? 0
        swapMaxUsage = files.number("memory.swap.peak") ?? 0
        psi = files.pressure("memory.pressure")
    }
}

extension CgroupMetricsV2.IO {
    init(_ files: StatFiles) {
        usage = files.devices("io.stat").map { device in
            let fields = StatFiles.pairs(device.words)
            let count = { (name: Substring) in fields[name].flatMap { UInt64($0) } ?? 0 }
            return Entry(
                major: device.major, minor: device.minor, rbytes: count("rbytes"), wbytes: count("wbytes"),
                rios: count("rios"), wios: count("wios"))
        }
        psi = files.pressure("io.pressure")
    }
}

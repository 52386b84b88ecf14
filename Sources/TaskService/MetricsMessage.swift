import Cgroup
import ContainerdAPI
import SwiftProtobuf

extension Google_Protobuf_Any {
    /// A group's statistics as `Stats` answers them: the message of the host's cgroup version, since containerd's
    /// Prometheus collector takes no other. What the group does not tell is left unset.
    ///
    /// - Throws: an error of SwiftProtobuf when the message cannot be serialized (beyond 2 GiB).
    init(_ metrics: CgroupMetrics) throws {
        switch metrics {
        case .v1(let metrics): try self.init(bare: CgroupsV1_Metrics(metrics))
        case .v2(let metrics): try self.init(bare: CgroupsV2_Metrics(metrics))
        }
    }
}

extension CgroupsV2_Metrics {
    fileprivate init(_ metrics: CgroupMetricsV2) {
        self.init()
        if let value = metrics.pids {
            pids = .with {
                $0.current = value.current
                $0.limit = value.limit
            }
        }
        if let value = metrics.cpu { cpu = CgroupsV2_CPUStat(value) }
        if let value = metrics.memory { memory = CgroupsV2_MemoryStat(value) }
        if let value = metrics.memoryEvents {
            memoryEvents = .with {
                $0.low = value.low
                $0.high = value.high
                $0.max = value.max
                $0.oom = value.oom
                $0.oomKill = value.oomKill
                $0.oomGroupKill = value.oomGroupKill
            }
        }
        if let value = metrics.io { io = CgroupsV2_IOStat(value) }
        hugetlb = metrics.hugetlb.map { value in
            .with {
                $0.current = value.current
                $0.max = value.max
                $0.pagesize = value.pagesize
                $0.failcnt = value.failcnt
            }
        }
        if !metrics.rdmaCurrent.isEmpty || !metrics.rdmaLimit.isEmpty {
            rdma = .with {
                $0.current = metrics.rdmaCurrent.map(CgroupsV2_RdmaEntry.init)
                $0.limit = metrics.rdmaLimit.map(CgroupsV2_RdmaEntry.init)
            }
        }
    }
}

extension CgroupsV2_CPUStat {
    fileprivate init(_ value: CgroupMetricsV2.CPU) {
        self.init()
        usageUsec = value.usageUsec
        userUsec = value.userUsec
        systemUsec = value.systemUsec
        nrPeriods = value.nrPeriods
        nrThrottled = value.nrThrottled
        throttledUsec = value.throttledUsec
        nrBursts = value.nrBursts
        burstUsec = value.burstUsec
        if let pressure = value.psi { psi = CgroupsV2_PSIStats(pressure) }
    }
}

extension CgroupsV2_MemoryStat {
    fileprivate init(_ value: CgroupMetricsV2.Memory) {
        self.init()
        anon = value.anon
        file = value.file
        kernelStack = value.kernelStack
        slab = value.slab
        sock = value.sock
        shmem = value.shmem
        fileMapped = value.fileMapped
        fileDirty = value.fileDirty
        fileWriteback = value.fileWriteback
        anonThp = value.anonThp
        inactiveAnon = value.inactiveAnon
        activeAnon = value.activeAnon
        inactiveFile = value.inactiveFile
        activeFile = value.activeFile
        unevictable = value.unevictable
        slabReclaimable = value.slabReclaimable
        slabUnreclaimable = value.slabUnreclaimable
        pgfault = value.pgfault
        pgmajfault = value.pgmajfault
        workingsetRefault = value.workingsetRefault
        workingsetActivate = value.workingsetActivate
        workingsetNodereclaim = value.workingsetNodereclaim
        pgrefill = value.pgrefill
        pgscan = value.pgscan
        pgsteal = value.pgsteal
        pgactivate = value.pgactivate
        pgdeactivate = value.pgdeactivate
        pglazyfree = value.pglazyfree
        pglazyfreed = value.pglazyfreed
        thpFaultAlloc = value.thpFaultAlloc
        thpCollapseAlloc = value.thpCollapseAlloc
        usage = value.usage
        usageLimit = value.usageLimit
        swapUsage = value.swapUsage
        swapLimit = value.swapLimit
        maxUsage = value.maxUsage
        swapMaxUsage = value.swapMaxUsage
        if let pressure = value.psi { psi = CgroupsV2_PSIStats(pressure) }
    }
}

extension CgroupsV2_IOStat {
    fileprivate init(_ value: CgroupMetricsV2.IO) {
        self.init()
        usage = value.usage.map { entry in
            .with {
                $0.major = entry.major
                $0.minor = entry.minor
                $0.rbytes = entry.rbytes
                $0.wbytes = entry.wbytes
                $0.rios = entry.rios
                $0.wios = entry.wios
            }
        }
        if let pressure = value.psi { psi = CgroupsV2_PSIStats(pressure) }
    }
}

extension CgroupsV2_PSIStats {
    fileprivate init(_ value: CgroupMetrics.Pressure) {
        self.init()
        if let share = value.some { some = CgroupsV2_PSIData(share) }
        if let share = value.full { full = CgroupsV2_PSIData(share) }
    }
}

extension CgroupsV2_PSIData {
    fileprivate init(_ value: CgroupMetrics.Pressure.Share) {
        self.init()
        avg10 = value.avg10
        avg60 = value.avg60
        avg300 = value.avg300
        total = value.total
    }
}

extension CgroupsV2_RdmaEntry {
    fileprivate init(_ value: CgroupMetrics.RDMA) {
        self.init()
        device = value.device
        hcaHandles = value.hcaHandles
        hcaObjects = value.hcaObjects
    }
}

extension CgroupsV1_Metrics {
    fileprivate init(_ metrics: CgroupMetricsV1) {
        self.init()
        if let value = metrics.pids {
            pids = .with {
                $0.current = value.current
                $0.limit = value.limit
            }
        }
        if let value = metrics.cpu { cpu = CgroupsV1_CPUStat(value) }
        if let value = metrics.memory { memory = CgroupsV1_MemoryStat(value) }
        if let value = metrics.memoryOOMControl {
            memoryOomControl = .with {
                $0.oomKillDisable = value.oomKillDisable
                $0.underOom = value.underOom
                $0.oomKill = value.oomKill
            }
        }
        if !metrics.ioServiceBytesRecursive.isEmpty || !metrics.ioServicedRecursive.isEmpty {
            blkio = .with {
                $0.ioServiceBytesRecursive = metrics.ioServiceBytesRecursive.map(CgroupsV1_BlkIOEntry.init)
                $0.ioServicedRecursive = metrics.ioServicedRecursive.map(CgroupsV1_BlkIOEntry.init)
            }
        }
        hugetlb = metrics.hugetlb.map { value in
            .with {
                $0.usage = value.usage
                $0.max = value.max
                $0.failcnt = value.failcnt
                $0.pagesize = value.pagesize
            }
        }
        if !metrics.rdmaCurrent.isEmpty || !metrics.rdmaLimit.isEmpty {
            rdma = .with {
                $0.current = metrics.rdmaCurrent.map(CgroupsV1_RdmaEntry.init)
                $0.limit = metrics.rdmaLimit.map(CgroupsV1_RdmaEntry.init)
            }
        }
    }
}

extension CgroupsV1_CPUStat {
    fileprivate init(_ value: CgroupMetricsV1.CPU) {
        self.init()
        usage = .with {
            $0.total = value.total
            $0.kernel = value.kernel
            $0.user = value.user
            $0.perCpu = value.perCPU
        }
        throttling = .with {
            $0.periods = value.periods
            $0.throttledPeriods = value.throttledPeriods
            $0.throttledTime = value.throttledTime
        }
    }
}

extension CgroupsV1_MemoryStat {
    fileprivate init(_ value: CgroupMetricsV1.Memory) {
        self.init()
        cache = value.own.cache
        rss = value.own.rss
        rssHuge = value.own.rssHuge
        mappedFile = value.own.mappedFile
        dirty = value.own.dirty
        writeback = value.own.writeback
        pgPgIn = value.own.pgPgIn
        pgPgOut = value.own.pgPgOut
        pgFault = value.own.pgFault
        pgMajFault = value.own.pgMajFault
        inactiveAnon = value.own.inactiveAnon
        activeAnon = value.own.activeAnon
        inactiveFile = value.own.inactiveFile
        activeFile = value.own.activeFile
        unevictable = value.own.unevictable
        hierarchicalMemoryLimit = value.hierarchicalMemoryLimit
        hierarchicalSwapLimit = value.hierarchicalSwapLimit
        totalCache = value.total.cache
        totalRss = value.total.rss
        totalRssHuge = value.total.rssHuge
        totalMappedFile = value.total.mappedFile
        totalDirty = value.total.dirty
        totalWriteback = value.total.writeback
        totalPgPgIn = value.total.pgPgIn
        totalPgPgOut = value.total.pgPgOut
        totalPgFault = value.total.pgFault
        totalPgMajFault = value.total.pgMajFault
        totalInactiveAnon = value.total.inactiveAnon
        totalActiveAnon = value.total.activeAnon
        totalInactiveFile = value.total.inactiveFile
        totalActiveFile = value.total.activeFile
        totalUnevictable = value.total.unevictable
        usage = CgroupsV1_MemoryEntry(value.usage)
        if let entry = value.swap { swap = CgroupsV1_MemoryEntry(entry) }
        if let entry = value.kernel { kernel = CgroupsV1_MemoryEntry(entry) }
        if let entry = value.kernelTCP { kernelTcp = CgroupsV1_MemoryEntry(entry) }
    }
}

extension CgroupsV1_MemoryEntry {
    fileprivate init(_ value: CgroupMetricsV1.MemoryEntry) {
        self.init()
        limit = value.limit
        usage = value.usage
        max = value.max
        failcnt = value.failcnt
    }
}

extension CgroupsV1_BlkIOEntry {
    fileprivate init(_ value: CgroupMetricsV1.BlkIOEntry) {
        self.init()
        op = value.op
        major = value.major
        minor = value.minor
        self.value = value.value
    }
}

extension CgroupsV1_RdmaEntry {
    fileprivate init(_ value: CgroupMetrics.RDMA) {
        self.init()
        device = value.device
        hcaHandles = value.hcaHandles
        hcaObjects = value.hcaObjects
    }
}

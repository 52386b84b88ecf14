import LinuxSystem
import Testing

@testable import Cgroup

@Suite struct CgroupMetricsTests {
    static let version2 = [
        "pids.current": "12\n", "pids.max": "max\n",
        "cpu.stat": """
        usage_usec 291911736
        user_usec 144143774
        system_usec 147767962
        nice_usec 0
        nr_periods 10
        nr_throttled 4
        throttled_usec 5000
        nr_bursts 1
        burst_usec 2

        """,
        "cpu.pressure": """
        some avg10=67.34 avg60=22.72 avg300=5.82 total=27530004
        full avg10=0.00 avg60=0.00 avg300=0.00 total=0

        """,
        "memory.stat": """
        anon 1000
        file 2000
        inactive_file 500
        pgfault 7
        pgmajfault 3
        workingset_refault_anon 5
        workingset_refault_file 6
        thp_collapse_alloc 1

        """,
        "memory.current": "4096\n", "memory.max": "1073741824\n", "memory.peak": "8192\n",
        "memory.swap.current": "0\n", "memory.swap.max": "0\n",
        "memory.events": "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 5\n",
        "io.stat": "8:0 rbytes=90112 wbytes=4096 rios=10 wios=2 dbytes=0 dios=0\n253:1 \nbroken\n",
        "hugetlb.2MB.current": "4194304\n", "hugetlb.2MB.max": "max\n", "hugetlb.2MB.events": "max 9\n",
        "hugetlb.2MB.rsvd.current": "1\n", "hugetlb.1GB.current": "0\n", "hugetlb.1GB.max": "0\n",
        "rdma.current": "mlx4_0 hca_handle=2 hca_object=2000\n", "rdma.max": "mlx4_0 hca_handle=max hca_object=3000\n",
    ]

    static let version1 = [
        "pids.current": "3\n", "pids.max": "100\n",
        "cpuacct.usage": "15000000000\n", "cpuacct.usage_percpu": "7000000000 8000000000 \n",
        "cpuacct.stat": "user 146\nsystem 150\n", "cpu.stat": "nr_periods 3\nnr_throttled 2\nthrottled_time 1\n",
        "memory.stat": """
        cache 1
        rss 2
        rss_huge 3
        pgfault 9
        pgmajfault 10
        hierarchical_memory_limit 20971520
        hierarchical_memsw_limit 9223372036854771712
        total_cache 18
        total_rss 19
        total_pgfault 26
        total_pgmajfault 27
        total_inactive_file 30

        """,
        "memory.limit_in_bytes": "20971520\n", "memory.usage_in_bytes": "100\n", "memory.max_usage_in_bytes": "200\n",
        "memory.failcnt": "5\n", "memory.kmem.usage_in_bytes": "7\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        "blkio.bfq.io_service_bytes_recursive": "Total 0\n",
        "blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 1\n8:0 Total 4097\nTotal 4097\n",
        "hugetlb.2MB.usage_in_bytes": "2097152\n", "hugetlb.2MB.max_usage_in_bytes": "4194304\n",
        "hugetlb.2MB.failcnt": "1\n", "hugetlb.2MB.limit_in_bytes": "1\n",
    ]

    private func check2(_ metrics: CgroupMetricsV2) throws {
        #expect(metrics.pids == .init(current: 12, limit: .max))
        let cpu = try #require(metrics.cpu)
        #expect([cpu.usageUsec, cpu.userUsec, cpu.systemUsec] == [291_911_736, 144_143_774, 147_767_962])
        #expect(
            [cpu.nrPeriods, cpu.nrThrottled, cpu.throttledUsec, cpu.nrBursts, cpu.burstUsec] == [10, 4, 5000, 1, 2])
        #expect(cpu.psi?.some == .init(avg10: 67.34, avg60: 22.72, avg300: 5.82, total: 27_530_004))
        #expect(cpu.psi?.full?.total == 0)
        let memory = try #require(metrics.memory)
        #expect([memory.anon, memory.file, memory.inactiveFile] == [1000, 2000, 500])
        #expect([memory.pgfault, memory.pgmajfault, memory.thpCollapseAlloc] == [7, 3, 1])
        #expect([memory.workingsetRefault, memory.workingsetRefaultAnon, memory.workingsetRefaultFile] == [11, 5, 6])
        #expect([memory.usage, memory.usageLimit, memory.maxUsage] == [4096, 1 << 30, 8192])
        #expect([memory.swapUsage, memory.swapLimit, memory.swapMaxUsage] == [0, 0, 0])
        #expect(memory.psi == nil)
        #expect(metrics.memoryEvents == .init(low: 0, high: 1, max: 2, oom: 3, oomKill: 4, oomGroupKill: 5))
        #expect(
            metrics.io?.usage == [
                .init(major: 8, minor: 0, rbytes: 90112, wbytes: 4096, rios: 10, wios: 2),
                .init(major: 253, minor: 1, rbytes: 0, wbytes: 0, rios: 0, wios: 0),
            ])
        #expect(
            metrics.hugetlb == [
                .init(current: 0, max: 0, pagesize: "1GB", failcnt: 0),
                .init(current: 4_194_304, max: .max, pagesize: "2MB", failcnt: 9),
            ])
        #expect(metrics.rdmaCurrent == [.init(device: "mlx4_0", hcaHandles: 2, hcaObjects: 2000)])
        #expect(metrics.rdmaLimit == [.init(device: "mlx4_0", hcaHandles: .max, hcaObjects: 3000)])
    }

    private func check1(_ metrics: CgroupMetricsV1) throws {
        #expect(metrics.pids == .init(current: 3, limit: 100))
        let cpu = try #require(metrics.cpu)
        #expect(cpu.total == 15_000_000_000)
        #expect(cpu.perCPU == [7_000_000_000, 8_000_000_000])
        #expect([cpu.user, cpu.kernel] == [1_460_000_000, 1_500_000_000])
        #expect([cpu.periods, cpu.throttledPeriods, cpu.throttledTime] == [3, 2, 1])
        let memory = try #require(metrics.memory)
        #expect([memory.own.cache, memory.own.rss, memory.own.rssHuge] == [1, 2, 3])
        #expect([memory.own.pgFault, memory.own.pgMajFault] == [9, 10])
        #expect([memory.total.cache, memory.total.rss, memory.total.inactiveFile] == [18, 19, 30])
        #expect([memory.total.pgFault, memory.total.pgMajFault] == [26, 27])
        #expect(
            [memory.hierarchicalMemoryLimit, memory.hierarchicalSwapLimit] == [20_971_520, 9_223_372_036_854_771_712])
        #expect(memory.usage == .init(limit: 20_971_520, usage: 100, max: 200, failcnt: 5))
        #expect(memory.swap == nil)
        #expect(memory.kernel == .init(limit: .max, usage: 7, max: 0, failcnt: 0))
        #expect(metrics.memoryOOMControl == .init(oomKillDisable: 0, underOom: 0, oomKill: 2))
        #expect(metrics.ioServiceBytesRecursive.map(\.op) == ["Read", "Write", "Total"])
        #expect(metrics.ioServiceBytesRecursive.first == .init(op: "Read", major: 8, minor: 0, value: 4096))
        #expect(metrics.ioServicedRecursive.isEmpty)
        #expect(metrics.hugetlb == [.init(usage: 2_097_152, max: 4_194_304, failcnt: 1, pagesize: "2MB")])
    }

    @Test func goldenVersion2() throws { try check2(CgroupMetricsV2(files: Self.version2)) }

    @Test func goldenVersion1() throws { try check1(CgroupMetricsV1(files: Self.version1)) }

    @Test func readsVersion2Tree() throws {
        try withTemporaryDirectory { root in
            let group = CgroupHierarchy.v2(root: root).group(at: try CgroupPath("/pod/c"))
            #expect(throws: CgroupError.gone("/pod/c")) { try group.metrics() }
            #expect(throws: CgroupError.gone("/pod/c")) { try group.oomKillCount() }
            try File.makeDirectory("\(root)/pod/c")
            #expect(throws: CgroupError.self) { try group.oomKillCount() }
            for (name, text) in Self.version2 { try File.replace("\(root)/pod/c/\(name)", with: Array(text.utf8)) }
            guard case .v2(let metrics) = try group.metrics() else {
                Issue.record("not version 2")
                return
            }
            try check2(metrics)
            #expect(try group.oomKillCount() == 4)
        }
    }

    @Test func readsVersion1Trees() throws {
        try withTemporaryDirectory { root in
            let trees = [["cpu", "cpuacct"], ["memory"], ["pids"], ["blkio"], ["hugetlb"]]
            let hierarchy = CgroupHierarchy.v1(
                trees.map { .init(controllers: $0, path: "\(root)/\($0.joined(separator: ","))") })
            let group = hierarchy.group(at: try CgroupPath("c"))
            for directory in group.directories { try File.makeDirectory(directory) }
            for (name, text) in Self.version1 {
                let directory = try #require(group.directory(of: String(name.prefix { $0 != "." })))
                try File.replace("\(directory)/\(name)", with: Array(text.utf8))
            }
            guard case .v1(let metrics) = try group.metrics() else {
                Issue.record("not version 1")
                return
            }
            try check1(metrics)
            #expect(try group.oomKillCount() == 2)
        }
    }

    @Test func limitIsNeverZero() throws {
        var files = Self.version2
        for text in ["0\n", "", "nonsense", "-1", "99999999999999999999999"] {
            files["memory.max"] = text
            #expect(CgroupMetricsV2(files: files).memory?.usageLimit == .max, "memory.max \(text)")
        }
    }

    @Test func missingFilesAreAbsent() {
        let two = CgroupMetricsV2(files: [:])
        #expect(two.pids == nil && two.cpu == nil && two.memory == nil && two.io == nil && two.memoryEvents == nil)
        #expect(two.hugetlb.isEmpty && two.rdmaCurrent.isEmpty)
        let one = CgroupMetricsV1(files: [:])
        #expect(one.pids == nil && one.cpu == nil && one.memory == nil && one.memoryOOMControl == nil)
    }

    @Test func garbageIsHarmless() {
        let garbage = [
            "", "\n\n", " ", ": :", "=", "a=b=c", "8: x", ":::", "some avg10=nan total=-1", "\u{FEFF}1", "max max",
        ]
        for text in garbage {
            let files = Dictionary(
                uniqueKeysWithValues: (CgroupMetricsV2.files + CgroupMetricsV1.files + ["hugetlb..current"]).reduce(
                    into: Set()
                ) { $0.insert($1) }.map { ($0, text) })
            _ = CgroupMetricsV2(files: files)
            _ = CgroupMetricsV1(files: files)
        }
    }
}

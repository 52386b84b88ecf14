import Cgroup
import ContainerdAPI
import SandboxFakes
import SwiftProtobuf
import TTRPC
import TestSupport
import Testing

/// Statistics from the kernel's files to what Stats answers. Every number of the files is another one, so that none can
/// stand for another's.
@Suite(.timeLimit(.minutes(1))) struct MetricsTests {
    private func stats(_ metrics: CgroupMetrics) async throws -> Google_Protobuf_Any {
        let containerd = try Containerd()
        containerd.host.behave { $0.metrics = metrics }
        try await containerd.create("vm")
        return try await containerd.stats("vm")
    }

    /// `NAME NUMBER` lines with rising numbers.
    private func counters(_ names: String, from first: Int) -> String {
        names.split(separator: " ").enumerated().map { "\($1) \(first + $0)\n" }.joined()
    }

    private func pressure(_ total: Int) -> String {
        "some avg10=1.25 avg60=2.5 avg300=3.75 total=\(total)\nfull avg10=4.25 avg60=5.5 avg300=6.75 total=\(total + 1)\n"
    }

    @Test func version2() async throws {
        let memory =
            "anon file kernel_stack slab sock shmem file_mapped file_dirty file_writeback anon_thp inactive_anon "
            + "active_anon inactive_file active_file unevictable slab_reclaimable slab_unreclaimable pgfault pgmajfault "
            + "workingset_refault_anon workingset_refault_file workingset_activate_anon workingset_activate_file "
            + "workingset_nodereclaim pgrefill pgscan pgsteal pgactivate pgdeactivate pglazyfree pglazyfreed "
            + "thp_fault_alloc thp_collapse_alloc"
        let metrics = CgroupMetricsV2(files: [
            "pids.current": "11\n", "pids.max": "12\n",
            "cpu.stat": counters(
                "usage_usec user_usec system_usec nr_periods nr_throttled throttled_usec nr_bursts burst_usec", from: 21
            ),
            "cpu.pressure": pressure(31), "memory.stat": counters(memory, from: 101), "memory.current": "201\n",
            "memory.max": "202\n", "memory.swap.current": "203\n", "memory.swap.max": "204\n", "memory.peak": "205\n",
            "memory.swap.peak": "206\n", "memory.pressure": pressure(211),
            "memory.events": counters("low high max oom oom_kill oom_group_kill", from: 221),
            "io.stat": "8:16 rbytes=301 wbytes=302 rios=303 wios=304 dbytes=0 dios=0\n", "io.pressure": pressure(311),
            "hugetlb.2MB.current": "401\n", "hugetlb.2MB.max": "402\n", "hugetlb.2MB.events": "max 403\n",
            "rdma.current": "mlx5_0 hca_handle=501 hca_object=502\n",
            "rdma.max": "mlx5_0 hca_handle=max hca_object=504\n",
        ])
        let stats = try await stats(.v2(metrics))
        #expect(stats.typeURL == "io.containerd.cgroups.v2.Metrics")
        let text = try CgroupsV2_Metrics(serializedBytes: stats.value).textFormatString()
        #expect(text == (try Golden.text("metrics-v2.txt", actual: text)))
    }

    @Test func version1() async throws {
        let own =
            "cache rss rss_huge mapped_file dirty writeback pgpgin pgpgout pgfault pgmajfault inactive_anon active_anon "
            + "inactive_file active_file unevictable"
        let total = own.split(separator: " ").map { "total_\($0)" }.joined(separator: " ")
        func family(_ name: String, _ first: Int) -> [String: String] {
            let files = ["limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes", "failcnt"]
            return Dictionary(
                uniqueKeysWithValues: files.enumerated().map { ("memory.\(name)\($1)", "\(first + $0)\n") })
        }
        var files = [
            "pids.current": "11\n", "pids.max": "12\n", "cpuacct.usage": "21\n", "cpuacct.usage_percpu": "22 23 \n",
            "cpuacct.stat": "user 1\nsystem 2\n",
            "cpu.stat": counters("nr_periods nr_throttled throttled_time", from: 24),
            "memory.stat": counters("\(own) hierarchical_memory_limit hierarchical_memsw_limit \(total)", from: 101),
            "memory.oom_control": "oom_kill_disable 1\nunder_oom 2\noom_kill 3\n",
            "blkio.throttle.io_service_bytes_recursive": "8:16 Read 301\n8:16 Write 302\n8:16 Total 603\nTotal 603\n",
            "blkio.throttle.io_serviced_recursive": "8:16 Read 303\n8:16 Write 304\nTotal 607\n",
            "hugetlb.2MB.usage_in_bytes": "401\n", "hugetlb.2MB.max_usage_in_bytes": "402\n",
            "hugetlb.2MB.failcnt": "403\n", "hugetlb.2MB.limit_in_bytes": "404\n",
            "rdma.current": "mlx5_0 hca_handle=501 hca_object=502\n",
            "rdma.max": "mlx5_0 hca_handle=503 hca_object=504\n",
        ]
        for (name, first) in [("", 201), ("memsw.", 211), ("kmem.", 221), ("kmem.tcp.", 231)] {
            files.merge(family(name, first)) { $1 }
        }
        let stats = try await stats(.v1(CgroupMetricsV1(files: files)))
        #expect(stats.typeURL == "io.containerd.cgroups.v1.Metrics")
        let text = try CgroupsV1_Metrics(serializedBytes: stats.value).textFormatString()
        #expect(text == (try Golden.text("metrics-v1.txt", actual: text)))
    }

    /// What is not accounted is left out: a zero would be read as a measurement.
    @Test func whatIsMissingIsUnset() async throws {
        let two = try CgroupsV2_Metrics(serializedBytes: await stats(.v2(CgroupMetricsV2(files: [:]))).value)
        #expect(two == CgroupsV2_Metrics())
        let one = try CgroupsV1_Metrics(serializedBytes: await stats(.v1(CgroupMetricsV1(files: [:]))).value)
        #expect(one == CgroupsV1_Metrics())
    }

    /// containerd subtracts the working set from the limit: a limit of 0 would become 2^64 bytes available.
    @Test func noLimitIsTheLargestNumber() async throws {
        let files = ["memory.current": "4096\n", "memory.stat": "inactive_file 96\n"]
        for limit in ["max\n", "0\n", nil] {
            var files = files
            files["memory.max"] = limit
            let metrics = try CgroupsV2_Metrics(serializedBytes: await stats(.v2(CgroupMetricsV2(files: files))).value)
            #expect(metrics.memory.usageLimit == .max && metrics.memory.usage == 4096)
            #expect(metrics.memory.usage - metrics.memory.inactiveFile == 4000)
        }
    }
}

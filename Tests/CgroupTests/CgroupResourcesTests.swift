import Testing

@testable import Cgroup

@Suite struct CgroupResourcesTests {
    private func lines(_ resources: CgroupResources, version2: Bool) throws -> [String] {
        try resources.settings(version2: version2).map { "\($0.file)=\($0.value)\($0.isOptional ? "?" : "")" }
    }

    private var full: CgroupResources {
        var resources = CgroupResources()
        resources.cpuShares = 1024
        resources.cpuQuota = 150_000
        resources.cpuPeriod = 100_000
        resources.cpus = "2-3"
        resources.mems = "0"
        resources.memoryLimit = 1 << 30
        resources.memorySwapLimit = 3 << 29
        resources.memoryReservation = 1 << 20
        resources.pidsLimit = 100
        resources.hugepageLimits = ["2MB": 0, "1GB": 1 << 30]
        return resources
    }

    @Test func goldenVersion1() throws {
        #expect(
            try lines(full, version2: false) == [
                "cpu.shares=1024", "cpu.cfs_period_us=100000", "cpu.cfs_quota_us=150000", "cpuset.cpus=2-3",
                "cpuset.mems=0", "memory.limit_in_bytes=1073741824", "memory.memsw.limit_in_bytes=1610612736",
                "memory.soft_limit_in_bytes=1048576", "pids.max=100", "hugetlb.1GB.limit_in_bytes=1073741824",
                "hugetlb.1GB.rsvd.limit_in_bytes=1073741824?", "hugetlb.2MB.limit_in_bytes=0?",
                "hugetlb.2MB.rsvd.limit_in_bytes=0?",
            ])
    }

    @Test func goldenVersion2() throws {
        var resources = full
        resources.unified = ["memory.high": "max", "memory.oom.group": "1"]
        #expect(
            try lines(resources, version2: true) == [
                "cpu.weight=39", "cpu.max=150000 100000", "cpuset.cpus=2-3", "cpuset.mems=0",
                "memory.swap.max=536870912", "memory.max=1073741824", "memory.low=1048576", "pids.max=100",
                "hugetlb.1GB.max=1073741824", "hugetlb.1GB.rsvd.max=1073741824?", "hugetlb.2MB.max=0?",
                "hugetlb.2MB.rsvd.max=0?", "memory.high=max", "memory.oom.group=1",
            ])
    }

    @Test func unlimited() throws {
        var resources = CgroupResources()
        resources.cpuQuota = -7
        resources.memoryLimit = -1
        resources.memorySwapLimit = -1
        resources.pidsLimit = -1
        #expect(
            try lines(resources, version2: true) == [
                "cpu.max=max 100000", "memory.swap.max=max?", "memory.max=max", "pids.max=max",
            ])
        #expect(
            try lines(resources, version2: false) == [
                "cpu.cfs_quota_us=-1", "memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1?", "pids.max=max",
            ])
    }

    @Test func zeroIsUnset() throws {
        var resources = CgroupResources()
        resources.cpuShares = 0
        resources.cpuQuota = 0
        resources.cpuPeriod = 0
        resources.memoryLimit = 0
        resources.memorySwapLimit = 0
        resources.memoryReservation = 0
        resources.pidsLimit = 0
        #expect(try lines(resources, version2: true).isEmpty)
        #expect(try lines(resources, version2: false).isEmpty)
    }

    @Test(arguments: [
        (UInt64(2), UInt64(1)), (1, 1), (1024, 39), (262_144, 10000), (.max, 10000), (512, 20), (100, 4),
    ]) func weight(shares: UInt64, weight: UInt64) {
        #expect(CgroupResources.weight(shares: shares) == weight)
    }

    @Test func refusesSwapBelowMemory() throws {
        var resources = CgroupResources()
        resources.memoryLimit = 100
        resources.memorySwapLimit = 99
        for version2 in [false, true] {
            #expect(
                throws: CgroupError.invalidResource(
                    field: "memory.swap", value: "99", accepted: "at least memory.limit, 100, which it includes")
            ) { try resources.settings(version2: version2) }
        }
        resources.memoryLimit = nil
        #expect(throws: CgroupError.self) { try resources.settings(version2: true) }
    }

    @Test(arguments: ["../2MB", "2M", "MB", "", "2MB.rsvd", "99999999MB", "2MB\n"])
    func refusesPageSize(size: String) {
        var resources = CgroupResources()
        resources.hugepageLimits = [size: 1]
        #expect(throws: CgroupError.self) { try resources.settings(version2: false) }
    }

    @Test(arguments: ["../x.y", "cgroup.kill", "cgroup.procs", "memory", ".x", "a/b.c", "", "m\0.x"])
    func refusesUnifiedName(name: String) {
        var resources = CgroupResources()
        resources.unified = [name: "1"]
        #expect(throws: CgroupError.self) { try resources.settings(version2: true) }
    }

    @Test func refusesUnifiedOnVersion1() {
        var resources = CgroupResources()
        resources.unified = ["memory.high": "1"]
        #expect(throws: CgroupError.self) { try resources.settings(version2: false) }
    }
}

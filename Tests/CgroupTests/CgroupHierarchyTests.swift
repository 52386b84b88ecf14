import Testing

@testable import Cgroup

@Suite struct CgroupHierarchyTests {
    static let hybrid = """
        23 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
        31 23 0:28 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 master:2 - cgroup cgroup rw,cpu,cpuacct
        34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset,clone_children
        35 31 0:31 / /somewhere/else rw - cgroup cgroup rw,cpuset,clone_children
        40 31 0:37 /docker/x /sys/fs/cgroup/sys\\040temd rw - cgroup systemd rw,xattr,release_agent=/a,name=systemd
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw

        """

    @Test func readsVersion1AndCountsHybridAsIt() throws {
        #expect(
            try CgroupHierarchy(mountinfo: Self.hybrid)
                == .v1([
                    .init(controllers: ["cpu", "cpuacct"], path: "/sys/fs/cgroup/cpu,cpuacct"),
                    .init(controllers: ["cpuset"], path: "/sys/fs/cgroup/cpuset"),
                    .init(controllers: ["name=systemd"], path: "/sys/fs/cgroup/sys temd", root: "/docker/x"),
                ]))
    }

    @Test func readsVersion2() throws {
        let text = """
            30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
            31 23 0:27 / /mnt/again rw - cgroup2 none rw
            """
        #expect(try CgroupHierarchy(mountinfo: text) == .v2(root: "/sys/fs/cgroup"))
    }

    @Test func namedTreesAloneAreVersion2() throws {
        let text = """
            30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
            40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,name=systemd
            """
        #expect(try CgroupHierarchy(mountinfo: text) == .v2(root: "/sys/fs/cgroup"))
    }

    @Test(arguments: ["", "nonsense", "1 2 3 4 5 6 -", "1 2 0:1 / /x rw - cgroup", "1 2 0:1 / /x rw - ext4 a rw"])
    func refusesTheRest(text: String) {
        #expect(throws: CgroupError.noHierarchy) { try CgroupHierarchy(mountinfo: text) }
    }

    @Test func readsMembership() throws {
        let text = """
            9:name=systemd:/docker/x/a
            2:cpu,cpuacct:/b:c
            3:cpuset:/
            0::/u
            """
        let v1 = CgroupMembership(text, in: try CgroupHierarchy(mountinfo: Self.hybrid))
        #expect(
            v1.directories == ["/sys/fs/cgroup/cpu,cpuacct/b:c", "/sys/fs/cgroup/cpuset/", "/sys/fs/cgroup/sys temd/a"])
        #expect(CgroupMembership(text, in: .v2(root: "/r")).directories == ["/r/u"])
    }
}

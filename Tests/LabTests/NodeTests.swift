import LinuxSystem
import Testing

/// The lab is the node that the other tests rely on.
@Suite(.serialized, .timeLimit(.minutes(5))) struct NodeTests {
    @Test func itHasTwoNodesWithPages() throws {
        for node in 0...1 {
            #expect(try Lab.file("/sys/devices/system/node/node\(node)/cpulist") == ["0-1", "2-3"][node])
        }
        #expect(try Lab.table("lab pages").filter { $0[1] == "1048576kB" }.map { $0[2] } == ["1", "1"])
        try Lab.run("lab pages 1 2Mi 64")
        #expect(try Lab.table("lab pages").contains(["1", "2048kB", "64", "64"]))
        try Lab.run("lab pages 1 2Mi 0")
    }

    @Test func itHasAnUnifiedHierarchy() throws {
        let controllers = Set(try Lab.table("cat /sys/fs/cgroup/cgroup.controllers").first ?? [])
        #expect(controllers.isSuperset(of: ["cpu", "cpuset", "memory", "pids", "hugetlb", "io"]))
        #expect(try Lab.run("systemctl is-system-running") == "running\n")
    }

    @Test func itsGuestsRunUnderKVM() throws {
        let found = try Lab.run("slipway check").split(separator: "\n").first { $0.contains(" accelerator ") }
        #expect(found?.hasPrefix("ok ") == true && found?.contains(" kvm: ") == true, "\(found ?? "nothing")")
        #expect(try Lab.run("stat -c '%G %a' /dev/kvm /dev/vhost-net") == "kvm 660\nkvm 660\n")
    }

    @Test func itsNICsGoToVFIO() throws {
        for (nic, node) in [("nic0", "0"), ("nic1", "1")] {
            let bound = try #require(try Lab.table("lab vfio \(nic)").last)
            #expect(bound.count == 4 && bound[1] == "vfio-pci" && bound[3] == node, "\(bound)")
            #expect(try Lab.run("stat -c %F /dev/vfio/\(bound[2])") == "character special file\n")
            #expect(try Lab.table("lab e1000e \(nic)").last?[1] == "e1000e")
        }
    }
}

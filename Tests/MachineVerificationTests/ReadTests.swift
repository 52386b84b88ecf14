import Glibc
import HostTopology
import LinuxSystem
import MachineVerification
import TestSupport
import Testing

@Suite struct ReadTests {
    @Test func aMachineIsReadFromProc() throws {
        let tree = try ProcTree()
        try tree.status(locked: 2048)
        try tree.thread(4242, "qemu-system-x86", cpus: "4-5", last: 5)
        try tree.thread(4250, "IO iothread1", cpus: "4-5")
        try tree.thread(4251, "CPU 0/KVM", cpus: "4", policy: 1, priority: 3, last: -1)
        try tree.thread(4252, "CPU 11/KVM", cpus: "5", policy: 2, priority: 1)
        try tree.thread(4253, "CPU x) (/KVM", cpus: "5", policy: 6)
        try tree.thread(4254, "kvm-nx-lpage-re", cpus: "0-7")
        try tree.numaMaps([
            "7f0000000000 bind:1 file=/memfd:pc.ram\\040(deleted) huge dirty=512 mapmax=2 N1=512 kernelpagesize_kB=2048",
            "7f0040000000 bind:1 file=/dev/hugepages/x huge N0=1 N1=2 kernelpagesize_kB=2048",
            "7f0080000000 default heap anon=3 dirty=3 N0=2 N1=1 kernelpagesize_kB=4",
            "7f0080004000 default",
            "7f0080008000 prefer (many):0-1 anon=1 N1=1 kernelpagesize_kB=4",
            "7f008000c000 default anon=1 Nx=1 N-1=4 N9999=3 N0=nonsense kernelpagesize_kB=4",
            "7f0080010000 default anon=1 N0=18446744073709551615 N0=18446744073709551615 kernelpagesize_kB=4",
        ])
        let machine = try tree.read()
        #expect(machine.threads.map(\.id) == [4242, 4250, 4251, 4252, 4253, 4254])
        #expect(
            machine.threads.map(\.role) == [.emulator, .iothread("iothread1"), .vcpu(0), .vcpu(11), .emulator, .kernel])
        #expect(machine.threads.map(\.policy) == [.other, .other, .fifo(3), .roundRobin(1), .deadline, .other])
        #expect(machine.threads[0].lastCPU == 5 && machine.threads[2].lastCPU == nil)
        #expect(machine.threads[0].cpus == [4, 5] && machine.threads[0].mems == [0, 1])
        #expect(machine.cpus == [0, 1, 2, 3, 4, 5, 6, 7])
        #expect(machine.bytes(hugePages: 2 << 20) == [0: 2 << 20, 1: 514 * (2 << 20)])
        #expect(machine.bytes(hugePages: nil) == [0: .max, 1: 8192])
        #expect(machine.memory.map(\.policy) == ["bind:1", "default", "prefer (many):0-1"])
        #expect(machine.locked == 2 << 20)
        #expect(machine.privileges.user == 250_000 && machine.privileges.capabilities == 0)
        #expect(machine.privileges.noNewPrivileges && machine.privileges.filtered)
        #expect(machine.cgroup == nil && machine.definition == nil)
    }

    @Test func itsCgroupIsReadOnVersion2() throws {
        let tree = try ProcTree()
        try tree.status()
        try tree.numaMaps([])
        try tree.thread(4242, "qemu-system-x86", cpus: "0")
        let group = try tree.group(
            "/kubepods/pod1/c",
            [
                "hugetlb.2MB.current": "1073741824", "hugetlb.2MB.max": "1073741824", "hugetlb.1GB.current": "0",
                "hugetlb.1GB.max": "max", "hugetlb.2MB.rsvd.current": "5", "memory.current": "100", "memory.max": "max",
                "cpu.max": "200000 100000", "cpu.stat": "usage_usec 5\nnr_throttled 3", "cpuset.cpus": "4-5",
                "cpuset.mems": "",
            ])
        let cgroup = try #require(try tree.read(group).cgroup)
        #expect(cgroup.path == "/kubepods/pod1/c" && cgroup.holdsMachine)
        #expect(
            cgroup.hugePages == [.init(size: 2 << 20, used: 1 << 30, limit: 1 << 30), .init(size: 1 << 30, used: 0)])
        #expect(cgroup.memory == 100 && cgroup.memoryLimit == nil)
        #expect(cgroup.cpuQuota == 200_000 && cgroup.cpuPeriod == 100_000 && cgroup.throttledPeriods == 3)
        #expect(cgroup.cpus == [4, 5] && cgroup.mems == nil)
        try tree.directory.write("4242/cgroup", "0::/kubepods/pod1/cc\n")
        #expect(try tree.read(group).cgroup?.holdsMachine == false)
    }

    @Test func theKernelsThreadsThatMoveItsFramesAreAmongItsOwn() throws {
        let tree = try ProcTree()
        try tree.status()
        try tree.numaMaps([])
        try tree.thread(4242, "qemu-system-x86", cpus: "4")
        // As kernels before 6.4 show them: processes of their own in QEMU's leaf, beside others of the kernel.
        let group = try tree.group("/kubepods/pod1/c", ["machine/cgroup.procs": "4242\n4300\n4301\n4302"])
        for (id, name) in [(4300, "vhost-4242"), (4301, "kvm-nx-lpage-re"), (4302, "vhost-424")] {
            try tree.process(Int32(id), name, cpus: "0-7")
        }
        let threads = try tree.read(group).threads
        #expect(threads.map(\.name) == ["qemu-system-x86", "vhost-4242"])
        #expect(threads.last?.role == .emulator && threads.last?.cpus == [0, 1, 2, 3, 4, 5, 6, 7])
    }

    @Test func whatItHasOpenIsReadFromProc() throws {
        let tree = try ProcTree()
        try tree.status()
        try tree.numaMaps([])
        try tree.thread(4242, "qemu-system-x86", cpus: "0")
        for (number, target) in ["/dev/null", "/dev/net/tun", "socket:[1]", "/dev/net/tun", "/dev/tap7"].enumerated() {
            try tree.descriptor(number, target)
        }
        try tree.directory.write("4242/fdinfo/1", "pos:\t0\nflags:\t0104002\nmnt_id:\t30\niff:\tslw1\n")
        try tree.directory.write("4242/fdinfo/3", "pos:\t0\niff:\tslw0\n")
        let machine = try tree.read()
        #expect(machine.openDevices == ["net/tun", "null"] && machine.openGroups == [])
        #expect(machine.taps == ["slw0", "slw1"])
        #expect(machine.connections == [] && machine.network == nil)
    }

    @Test func whatIsNotThereIsSaid() throws {
        let tree = try ProcTree()
        let error = #expect(throws: SystemError.self) { try tree.read() }
        #expect(error?.code == ENOENT, "found \(String(describing: error))")
    }

    @Test func pinsAreFoundInTheDomainXML() {
        let pins = DomainPins(
            xml: """
                <cputune>
                  <vcpupin vcpu='0' cpuset='4'/>
                  <vcpupin vcpu='1' cpuset='5-6,9'/>
                  <vcpupin vcpu='2' cpuset='nonsense'/>
                  <emulatorpin cpuset='3'/>
                </cputune>
                """)
        #expect(pins == DomainPins(vcpus: [0: [4], 1: [5, 6, 9]], emulator: [3]))
        #expect(DomainPins(xml: "") == DomainPins())
    }
}

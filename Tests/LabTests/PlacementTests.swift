import CRIProtocol
import FoundationEssentials
import LinuxSystem
import SwiftProtobuf
import TestSupport
import Testing

/// Pins, cells and huge pages on two nodes. CPUs 0 and 1 are on node 0, 2 and 3 on node 1.
@Suite(.serialized, .timeLimit(.minutes(30))) struct PlacementTests {
    /// What the kubelet's static CPU manager gives to a Guaranteed pod: CPUs, and pages in MiB of 2 MiB each.
    private struct Grant {
        var cpus: String
        var count: Int64
        var megabytes: UInt64
        var pageSize = "2MB"

        func apply(to resources: inout CRILinuxContainerResources) {
            resources.cpusetCpus = cpus
            resources.cpuShares = count * 1024
            resources.cpuQuota = count * 100_000
            resources.hugepageLimits = [
                .with {
                    $0.pageSize = pageSize
                    $0.limit = megabytes << 20
                }
            ]
        }
    }

    /// Sets both nodes' pools of 2 MiB pages for a test, and expects that nothing is left of its pods and their pages.
    private func withPages(_ node0: Int, _ node1: Int, _ body: (CRIClient) async throws -> Void) async throws {
        try Lab.run("lab pages 0 2Mi \(node0); lab pages 1 2Mi \(node1)")
        let before = try Lab.remains()
        try await Lab.connected { runtime in
            do {
                try await body(runtime)
            } catch {
                Issue.record("\(error)")
                // What a test that failed has left is not the next one's.
                for pod in try await runtime.listPodSandboxes() {
                    try await runtime.stopPodSandbox(pod.id)
                    try await runtime.removePodSandbox(pod.id)
                }
            }
        }
        try await Lab.expectNothingLeft(since: before)
        #expect(try free() == [node0, node1], "the pages came back")
        try Lab.run("lab pages 0 2Mi 0; lab pages 1 2Mi 0")
    }

    /// Free pages of 2 MiB, by node.
    private func free() throws -> [Int] {
        try Lab.table("lab pages").filter { $0[1] == "2048kB" }.compactMap { Int($0[3]) }
    }

    /// Plays a pod; the refusal, or nil when it runs.
    private func refusal(
        _ pod: inout LabPod, _ grant: Grant, devices: [CRIDevice] = [], attempt: UInt32 = 0
    ) async throws -> String? {
        do {
            try await pod.start(memory: 512 << 20, devices: devices, attempt: attempt) { grant.apply(to: &$0) }
            return nil
        } catch let error as CRIError {
            return error.message
        }
    }

    /// The CPUs that a vCPU's thread may run on, as /proc says.
    private func cpus(ofVCPU vcpu: Int, _ qemu: Int32) throws -> String? {
        try threads(qemu).first { $0[1].hasPrefix("CPU_\(vcpu)/") }?[2]
    }

    /// Its threads: id, name, CPUs, the CPU of its last run. Those that ended while they were looked at are left out.
    private func threads(_ qemu: Int32) throws -> [[String]] {
        try Lab.table("lab threads \(qemu) 2>/dev/null").filter { $0.count == 4 }
    }

    /// Bytes of QEMU's memory in 2 MiB pages, by node.
    private func hugeMemory(_ qemu: Int32, kilobytes: String = "2048") throws -> [String: Int] {
        try Lab.table("lab memory \(qemu)").filter { $0.count == 4 && $0[3] == kilobytes }
            .reduce(into: [:]) { $0[$1[2], default: 0] += Int($1[0]) ?? 0 }
    }

    @Test func twoCPUsAndPagesOfNodeOneAreThereAndNowhereElse() async throws {
        try await withPages(100, 100) { runtime in
            var pod = try await LabPod(runtime, "node-one", .systemd)
            #expect(try await refusal(&pod, Grant(cpus: "2-3", count: 2, megabytes: 128)) == nil)
            let qemu = try pod.qemu
            #expect(try cpus(ofVCPU: 0, qemu) == "2" && cpus(ofVCPU: 1, qemu) == "3")
            #expect(try hugeMemory(qemu) == ["1": 128 << 20])
            #expect(try free() == [100, 36])
            try Lab.run("slipway verify node-one")
            // The group's own account, from the first page on.
            let group = "/sys/fs/cgroup\(pod.cgroup)/cri-containerd-\(pod.container).scope"
            #expect(try Lab.file("\(group)/hugetlb.2MB.current") == "\(128 << 20)")
            #expect(try Lab.file("\(group)/hugetlb.2MB.max") == "\(128 << 20)")
            #expect(try Lab.file("\(group)/cpuset.cpus.effective") == "2-3")
            let picture = try Lab.run("slipway topology")
            #expect(picture.contains("default/node-one"), "\(picture)")
            let explained = try Lab.run("slipway explain node-one")
            #expect(explained.contains("node 1"), "\(explained)")
            try await pod.remove()
        }
    }

    @Test func aPodAcrossBothNodesHasTwoCells() async throws {
        try await withPages(100, 100) { runtime in
            var pod = try await LabPod(runtime, "both", .cgroupfs)
            #expect(try await refusal(&pod, Grant(cpus: "1-3", count: 3, megabytes: 192)) == nil)
            let qemu = try pod.qemu
            #expect(try (0..<3).map { try cpus(ofVCPU: $0, qemu) } == ["1", "2", "3"])
            #expect(try hugeMemory(qemu) == ["0": 64 << 20, "1": 128 << 20])
            let xml = try Lab.run("cat /run/slipway/\(pod.id.prefix(8))-*/domain.xml")
            #expect(xml.contains("<cell id='0' cpus='0' memory='65536'") && xml.contains("<cell id='1' cpus='1-2'"))
            try Lab.run("slipway verify both")
            try await pod.remove()
        }
    }

    @Test func tooFewPagesOnTheNodeAreRefusedAndMayBeTriedAgain() async throws {
        try await withPages(100, 20) { runtime in
            var pod = try await LabPod(runtime, "short", .systemd)
            let grant = Grant(cpus: "2-3", count: 2, megabytes: 128)
            let sentence = try await refusal(&pod, grant)
            #expect(
                sentence?.contains(
                    "limits.hugepages-2Mi: 128 MiB asked on node 1, node 1: 40 MiB free, node 0: 200 MiB free; "
                        + "the pod's CPUs 2-3 are on node 1") == true, "\(sentence ?? "it runs")")
            #expect(try free() == [100, 20], "a refused pod takes nothing")
            try Lab.run("lab pages 1 2Mi 100")
            #expect(try await refusal(&pod, grant, attempt: 1) == nil)
            try await pod.remove()
            try Lab.run("lab pages 1 2Mi 20")
        }
    }

    @Test func aGibibyteIsOnePage() async throws {
        try await withPages(0, 0) { runtime in
            var pod = try await LabPod(runtime, "large", .systemd)
            let grant = Grant(cpus: "0", count: 1, megabytes: 1024, pageSize: "1GB")
            #expect(try await refusal(&pod, grant) == nil)
            #expect(try hugeMemory(try pod.qemu, kilobytes: "1048576") == ["0": 1 << 30])
            let group = "/sys/fs/cgroup\(pod.cgroup)/cri-containerd-\(pod.container).scope"
            #expect(try Lab.file("\(group)/hugetlb.1GB.current") == "\(1 << 30)")
            try Lab.run("slipway verify large")
            try await pod.remove()
        }
    }

    @Test func aCPUIsOnePodsAlone() async throws {
        try await withPages(100, 100) { runtime in
            var first = try await LabPod(runtime, "first", .systemd)
            #expect(try await refusal(&first, Grant(cpus: "1-2", count: 2, megabytes: 128)) == nil)
            var second = try await LabPod(runtime, "second", .systemd)
            let sentence = try await refusal(&second, Grant(cpus: "2-3", count: 2, megabytes: 64))
            #expect(
                sentence?.contains("CPU 2 of the pod's 2-3 is held by pod default/first") == true, "\(sentence ?? "")")
            try Lab.run("slipway verify first")
            // Its kubelet gives the first another CPU of the same node; then there is room.
            try await second.remove()
            try await first.remove()
        }
    }

    @Test func theHighPerformanceHandlerTakesNothingLess() async throws {
        try await withPages(100, 100) { runtime in
            var pod = try await LabPod(runtime, "promise", .systemd, handler: "slipway-hp")
            do {
                try await pod.start { $0.cpuShares = 1024 }
                Issue.record("it runs without CPUs of its own")
            } catch let error as CRIError {
                #expect(error.message.contains("limits.cpu: no CPUs are the pod's own"), "\(error.message)")
            }
            #expect(try await refusal(&pod, Grant(cpus: "2-3", count: 2, megabytes: 64), attempt: 1) == nil)
            try Lab.run("slipway verify promise")
            try await pod.remove()
        }
    }

    @Test func aFunctionOfTheHostSitsOnItsCellsBus() async throws {
        let nic = try #require(try Lab.table("lab vfio nic1").last)
        let address = nic[0]
        let group = nic[2]
        try await withPages(100, 100) { runtime in
            let devices = ["/dev/vfio/vfio", "/dev/vfio/\(group)"].map { path in
                CRIDevice.with {
                    $0.containerPath = path
                    $0.hostPath = path
                    $0.permissions = "rw"
                }
            }
            var remote = try await LabPod(runtime, "remote", .systemd)
            let sentence = try await refusal(
                &remote, Grant(cpus: "0-1", count: 2, megabytes: 64), devices: devices)
            #expect(sentence?.contains("\(address) is on node 1") == true, "\(sentence ?? "it runs")")
            try await remote.remove()

            var pod = try await LabPod(runtime, "function", .systemd)
            #expect(
                try await refusal(&pod, Grant(cpus: "1-2", count: 2, megabytes: 64), devices: devices) == nil,
                "\(pod.log)")
            let xml = try Lab.run("cat /run/slipway/\(pod.id.prefix(8))-*/domain.xml")
            #expect(xml.contains("pcie-expander-bus") && xml.contains("<node>1</node>"))
            let qemu = try pod.qemu
            #expect(try Lab.run("ls -l /proc/\(qemu)/fd").contains("/dev/vfio/\(group)"))
            try Lab.run("slipway verify function")
            try await pod.remove()
        }
        try Lab.run("lab e1000e nic1")
    }

    @Test func realtimeThreadsAreFIFOAndInterruptsStayAway() async throws {
        let before = try Lab.run("cat /proc/irq/*/smp_affinity_list")
        try await withPages(100, 100) { runtime in
            var pod = try await LabPod(
                runtime, "realtime", .systemd,
                annotations: ["slipway.dev/realtime": "true", "slipway.dev/emulator-threads": "isolate"])
            let sentence = try await refusal(&pod, Grant(cpus: "2-3", count: 2, megabytes: 64))
            #expect(sentence == nil, "\(sentence ?? "")")
            let qemu = try pod.qemu
            let thread = try #require(
                try threads(qemu).first { $0[1].hasPrefix("CPU_0/") }?.first)
            #expect(try Lab.run("chrt -p \(thread)").contains("SCHED_FIFO"))
            #expect(try cpus(ofVCPU: 0, qemu) == "2")
            let group = "/sys/fs/cgroup\(pod.cgroup)/cri-containerd-\(pod.container).scope"
            #expect(try Lab.file("\(group)/cpu.max").hasPrefix("max"))
            #expect(try Lab.run("cat /proc/irq/*/smp_affinity_list") != before)
            try Lab.run("slipway verify realtime")
            try await pod.remove()
        }
        #expect(try Lab.run("cat /proc/irq/*/smp_affinity_list") == before, "the interrupts came back")
    }

    @Test func pinsMoveWithTheKubelet() async throws {
        try await withPages(100, 100) { runtime in
            var pod = try await LabPod(runtime, "mover", .systemd)
            #expect(try await refusal(&pod, Grant(cpus: "2", count: 1, megabytes: 64)) == nil)
            var moved = CRILinuxContainerResources()
            moved.cpusetCpus = "3"
            try await runtime.updateContainerResources(pod.container, to: moved)
            #expect(try cpus(ofVCPU: 0, try pod.qemu) == "3")
            try Lab.run("slipway verify mover")
            moved.cpusetCpus = "0"
            let error = await #expect(throws: CRIError.self) {
                try await runtime.updateContainerResources(pod.container, to: moved)
            }
            #expect(error?.message.contains("no CPU of node 1") == true, "\(String(describing: error))")
            #expect(try cpus(ofVCPU: 0, try pod.qemu) == "3", "a refused change changes nothing")
            try await pod.remove()
        }
    }
}

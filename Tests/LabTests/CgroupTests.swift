import CRIProtocol
import FoundationEssentials
import LinuxSystem
import TestSupport
import Testing

/// Machines below cgroup v2 with systemd. Serial: each test counts what is left in the lab after it.
@Suite(.serialized, .timeLimit(.minutes(15))) struct CgroupTests {
    /// RAM of the machines, and what the memory limit of their control group has to be: `overhead` of the
    /// configuration that install.sh brings comes to it.
    private static let memory: Int64 = 96 << 20
    private static let limit = memory + 335_544_320

    private func withPod(_ name: String, _ driver: LabPod.Driver, _ body: (inout LabPod) async throws -> Void)
        async throws
    {
        let before = try Lab.remains()
        try await Lab.connected { runtime in
            var pod = try await LabPod(runtime, name, driver)
            do {
                try await pod.start(memory: Self.memory)
                try await body(&pod)
            } catch {
                Issue.record("\(name): \(error); log: \(pod.log)")
            }
            try await pod.remove()
        }
        try await Lab.expectNothingLeft(since: before)
    }

    /// QEMU and slipway-sandbox are in groups of their own below the pod's, with the container's limits.
    private func expectGroups(of pod: LabPod, container: String, sandbox: String) throws {
        let qemu = try pod.qemu
        #expect(try Lab.file("/proc/\(qemu)/cgroup") == "0::\(pod.cgroup)/\(container)/machine")
        let parent = try #require(Int32(try Lab.run("ps -o ppid= -p \(qemu)").filter { !$0.isWhitespace }))
        #expect(try Lab.file("/proc/\(parent)/comm") == "slipway-sandbox")
        #expect(try Lab.file("/proc/\(parent)/cgroup") == "0::\(pod.cgroup)/\(sandbox)/machine")
        try expectLimits("/sys/fs/cgroup\(pod.cgroup)/\(container)")
    }

    private func expectLimits(_ group: String) throws {
        #expect(try Lab.file("\(group)/memory.max") == "\(Self.limit)")
        #expect(try Lab.file("\(group)/cpu.max") == "100000 100000")
    }

    /// QEMU's own memory is counted by the group, and by the pod's above it.
    private func expectAccounting(of pod: LabPod, container: String) throws {
        let group = "/sys/fs/cgroup\(pod.cgroup)/\(container)"
        let anonymous = try Lab.table("grep RssAnon /proc/\(pod.qemu)/status")
        let rss = try #require(Int(anonymous.first?.dropFirst().first ?? "")) << 10
        let own = try #require(Int(try Lab.file("\(group)/memory.current")))
        let whole = try #require(Int(try Lab.file("/sys/fs/cgroup\(pod.cgroup)/memory.current")))
        // The counters of the kernel's CPUs lag by some pages.
        #expect(rss > 8 << 20 && own > rss - (2 << 20), "QEMU has \(rss) bytes, its group counts \(own)")
        #expect(whole >= own && own < Self.limit, "the container's group counts \(own), the pod's \(whole)")
    }

    private func expectStatistics(of pod: LabPod) async throws {
        let stats = try await pod.runtime.containerStats(pod.container)
        #expect(stats.cpu.usageCoreNanoSeconds.value > 10_000_000)
        #expect(stats.memory.workingSetBytes.value > 8 << 20)
    }

    @Test func systemdsFormOfThePathIsAScope() async throws {
        try await withPod("systemd", .systemd) { pod in
            let scope = "cri-containerd-\(pod.container).scope"
            try expectGroups(of: pod, container: scope, sandbox: "cri-containerd-\(pod.id).scope")
            try expectAccounting(of: pod, container: scope)
            try await expectStatistics(of: pod)

            // systemd walks over its cgroups now; the machine's limits must outlast that.
            let unit = pod.cgroup.split(separator: "/").last ?? ""
            try Lab.run("systemctl daemon-reload && systemctl set-property --runtime \(unit) CPUWeight=50")
            try expectLimits("/sys/fs/cgroup\(pod.cgroup)/\(scope)")
            #expect(try Lab.file("/proc/\(pod.qemu)/cgroup") == "0::\(pod.cgroup)/\(scope)/machine")

            try await pod.runtime.stopContainer(pod.container, grace: 0)
            let status = try await pod.runtime.containerStatus(pod.container).status
            #expect(status.state == .containerExited && status.exitCode == 137)
        }
    }

    @Test func cgroupfsFormOfThePathIsADirectory() async throws {
        try await withPod("cgroupfs", .cgroupfs) { pod in
            try expectGroups(of: pod, container: pod.container, sandbox: pod.id)
            try expectAccounting(of: pod, container: pod.container)
            try await expectStatistics(of: pod)
        }
    }

    @Test func aKilledSandboxLeavesNothing() async throws {
        try await withPod("killed", .systemd) { pod in
            let qemu = try pod.qemu
            try Lab.run("kill -KILL $(ps -o ppid= -p \(qemu))")
            let ended = try await eventually(within: .seconds(60), every: .milliseconds(200)) {
                try await pod.runtime.containerStatus(pod.container).status.state == .containerExited
            }
            #expect(ended, "containerd does not see that the sandbox has gone")
        }
    }
}

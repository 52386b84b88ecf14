import Cgroup
import HostTopology
import LinuxSystem
import MachinePlanning
import Sandbox

/// What a realtime machine, or one with locked memory, needs of the node beyond CPUs and pages. Where it is not to be had
/// the kernel says so to libvirt, in words that name neither the wish nor the remedy.
struct Privileges {
    /// The effective capabilities of this process, bit by number (capabilities(7)).
    private let capabilities: UInt64
    /// Microseconds a second that realtime threads may run; -1: no limit (sched(7)).
    private let realtimeRuntime: Int64

    init(procfs: String = "/proc") throws {
        let status = try File.text("\(procfs)/self/status", limit: 1 << 16)
        let line = status.split(separator: "\n").first { $0.hasPrefix("CapEff:") } ?? ""
        capabilities = UInt64(line.split(separator: "\t").last ?? "", radix: 16) ?? 0
        let runtime = try? File.text("\(procfs)/sys/kernel/sched_rt_runtime_us", limit: 64)
        realtimeRuntime = runtime.flatMap { Int64($0.split(separator: "\n").first ?? "") } ?? -1
    }

    /// - Parameter cgroup: the container's, with its limits.
    /// - Throws: `SandboxError` that names the annotation and what the node lacks.
    func check(_ plan: MachinePlan, cgroup: Cgroup) throws {
        let isRealtime = !plan.placement.realtime.value.isEmpty
        let field = MachineAnnotations.prefix + (isRealtime ? "realtime" : "lock-memory")
        func require(_ condition: Bool, _ problem: String) throws {
            guard condition else { throw SandboxError(.failedPrecondition, "\(field): \(problem)") }
        }
        if plan.placement.locked.value {
            try require(
                has(24),
                "memory cannot be locked: containerd has no CAP_SYS_RESOURCE on this node, and its shims neither")
        }
        guard isRealtime else { return }
        try require(has(23), "threads cannot get the FIFO scheduler: containerd has no CAP_SYS_NICE on this node")
        try require(
            realtimeRuntime != 0,
            "the node gives realtime threads no time: /proc/sys/kernel/sched_rt_runtime_us is 0; 950000 is the "
                + "kernel's "
                + "default, -1 means no limit")
        try require(
            cgroup.realtimeRuntime != 0,
            "the kernel shares realtime out by cgroup (CONFIG_RT_GROUP_SCHED), and the pod's has none: "
                + "cpu.rt_runtime_us "
                + "is 0; a kernel without that option, or the boot parameter rt_group_sched=0, would help")
    }

    private func has(_ capability: UInt64) -> Bool { capabilities & 1 << capability != 0 }
}

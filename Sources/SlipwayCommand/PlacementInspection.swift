internal import FoundationEssentials
internal import Glibc
internal import HostMemory
internal import HostTopology
internal import LinuxSystem
internal import MachinePlanning
internal import StateDirectory

/// What the node offers to machines with CPUs and huge pages of their own. Nothing of it is needed by others.
enum PlacementInspection {
    static func findings(procfs: String = "/proc", kubelet: String = "/var/lib/kubelet") -> [NodeFinding] {
        var findings: [NodeFinding] = []
        do {
            let host = try HostTopology.read(devices: [])
            findings += hugePages(host, claims: PlacementClaim.all())
            if let allowed = HostMemory.allowedNodes() { findings.append(memoryNodes(host, allowed)) }
        } catch {
            findings.append(.problem("topology", "\(error)", "mount sysfs at /sys"))
        }
        if let state = try? File.read("\(kubelet)/cpu_manager_state", limit: 1 << 20) {
            findings.append(cpuManager(state))
        }
        findings.append(realtime((try? File.text("\(procfs)/sys/kernel/sched_rt_runtime_us", limit: 64)) ?? ""))
        if let balancer = irqbalance(procfs) { findings.append(balancer) }
        return findings
    }

    static func hugePages(_ host: HostTopology, claims: [PlacementClaim]) -> [NodeFinding] {
        let total = host.nodes.flatMap(\.hugePages).reduce(UInt64(0)) { $0 + $1.total }
        guard total > 0 else {
            return [
                .warning(
                    "huge pages", "none",
                    "hugepagesz=1G hugepages=N on the kernel's command line, for machines whose pods ask for hugepages")
            ]
        }
        return host.nodes.map { node in
            let pools = node.hugePages.filter { $0.total > 0 }.map { pool in
                let pending = claims.pendingPages(node: node.id, size: pool.size)
                return "\(ByteCount.text(pool.size)): \(pool.free) of \(pool.total) free"
                    + (pending > 0 ? ", \(pending) of them promised" : "")
            }
            return .ok("huge pages, node \(node.id)", pools.isEmpty ? "none" : pools.joined(separator: "; "))
        }
    }

    /// What runs in a cpuset with fewer nodes hands that down to all that it starts.
    static func memoryNodes(_ host: HostTopology, _ allowed: CPUSet) -> NodeFinding {
        let closed = host.nodesWithMemory.subtracting(allowed)
        guard !closed.isEmpty else {
            return .ok("memory nodes", "\(host.nodesWithMemory), all of them open to processes here")
        }
        return .warning(
            "memory nodes", "memory of node \(closed) is closed to this shell's cpuset",
            "look into cpuset.mems of containerd's cgroup too: its pods cannot have more than it has")
    }

    /// The kubelet's checkpoint of its CPU manager tells the policy that it really runs with.
    static func cpuManager(_ state: [UInt8]) -> NodeFinding {
        struct State: Decodable {
            var policyName: String
            var defaultCpuSet: String?
        }
        let subject = "kubelet's CPU manager"
        guard let state = try? JSONDecoder().decode(State.self, from: Data(state)) else {
            return .warning(subject, "its state cannot be read", "look into /var/lib/kubelet/cpu_manager_state")
        }
        guard state.policyName == "static" else {
            return .warning(
                subject, "policy \(state.policyName): no pod gets CPUs of its own",
                "cpuManagerPolicy: static in the kubelet's configuration; drain the node and remove its"
                    + " cpu_manager_state first")
        }
        return .ok(subject, "policy static, shared CPUs \(state.defaultCpuSet ?? "not said")")
    }

    /// Real-time threads may take this much of each second; the rest is kept for everything else.
    static func realtime(_ runtime: String) -> NodeFinding {
        let subject = "real-time bandwidth"
        guard let microseconds = Int(runtime.firstLine) else { return .ok(subject, "not limited by this kernel") }
        guard microseconds >= 0 else { return .ok(subject, "not limited") }
        guard microseconds > 0 else {
            return .warning(
                subject, "sched_rt_runtime_us is 0: no real-time thread runs",
                "sysctl -w kernel.sched_rt_runtime_us=950000, or -1, for pods with slipway.dev/realtime")
        }
        return .ok(
            subject, "\(microseconds) µs of each period; -1 would leave a vCPU that never idles its CPU without a gap")
    }

    private static func irqbalance(_ procfs: String) -> NodeFinding? {
        let runs = ((try? File.list(procfs)) ?? []).contains { name in
            Int32(name) != nil && (try? File.text("\(procfs)/\(name)/comm", limit: 64))?.firstLine == "irqbalance"
        }
        guard runs else { return nil }
        return .warning(
            "irqbalance", "runs",
            "it moves interrupts back to the CPUs of real-time machines: stop it, or ban these CPUs in its "
                + "configuration"
        )
    }
}

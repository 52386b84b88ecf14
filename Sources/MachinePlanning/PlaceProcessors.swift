import HostTopology

/// Which CPUs a pod has, and which of them run vCPUs.
struct ProcessorGrant {
    /// The CPUs of vCPU 0, 1, …: cells one after another, cores one after another. Empty when the CPUs are not the pod's own.
    var pins: [Int] = []
    /// The CPU that runs QEMU's own threads alone.
    var isolated: Int?
    /// The CPUs that the pod may use: its cpuset, else every online one; without those of other pods.
    var usable: CPUSet
    /// CPUs of other pods that it could use otherwise.
    var avoids: CPUSet = []
    /// Why they are or are not its own.
    var reason: String

    /// The kubelet's static CPU manager gives a container of a Guaranteed pod with whole CPUs exactly so many of its own.
    /// Other containers have the shared pool, or no cpuset; their shares or quota do not agree with the pool's size.
    static func isExclusive(_ request: MachineRequest) -> Bool {
        let count = request.cpus.count
        guard count > 0, request.cpuShares == min(UInt64(count) * 1024, 262_144) else { return false }
        // Newer kubelets take the quota away from exclusive CPUs.
        guard let quota = request.cpuQuota, quota > 0 else { return true }
        let (product, overflow) = (request.cpuPeriod ?? 100_000).multipliedReportingOverflow(by: UInt64(count))
        return !overflow && product == UInt64(quota)
    }

    /// - Parameter homes: where the RAM of a node's CPUs lies.
    /// - Throws: ``PlanRefusal`` for CPUs that are offline or another pod's, and for wishes that need CPUs of the pod's own.
    init(
        _ request: MachineRequest, on host: HostTopology, beside others: [Holding], homes: [Int: Int]
    ) throws(PlanRefusal) {
        let online = host.online
        let foreign = others.reduce(CPUSet()) { $0.union($1.cpus) }
        let missing = request.cpus.subtracting(online)
        guard missing.isEmpty else {
            throw PlanRefusal(
                .exhausted, field: "cpuset.cpus",
                problem: "CPU \(missing) of \(request.cpus) is not online on this node, whose CPUs are \(online)")
        }
        guard Self.isExclusive(request) else {
            let granted = request.cpus.isEmpty ? online : request.cpus
            // Where every CPU is somebody's, sharing is all that is left.
            avoids = granted.isSubset(of: foreign) ? [] : granted.intersection(foreign)
            usable = granted.subtracting(avoids)
            reason =
                request.cpus.isEmpty
                ? "no CPUs are the pod's own: the container has no cpuset"
                : "no CPUs are the pod's own: the cpuset \(request.cpus) is not \(Self.shares(request)) CPUs' worth"
            try Self.needsExclusive(request, reason)
            return
        }
        usable = request.cpus
        for other in others {
            let shared = other.cpus.intersection(request.cpus)
            guard shared.isEmpty else {
                throw PlanRefusal(
                    .exhausted, field: "cpuset.cpus",
                    problem:
                        "CPU \(shared) of the pod's \(request.cpus) is held by pod \(other.pod); a CPU runs one pod's "
                        + "vCPU at a time")
            }
        }
        reason = "the CPUs \(request.cpus) are the pod's own: as many as its CPU request, whole ones"
        var cpus = request.cpus
        if request.annotations.emulatorThreads == .isolate {
            guard cpus.count > 1 else {
                throw PlanRefusal(
                    field: MachineAnnotations.prefix + "emulator-threads",
                    problem:
                        "isolate takes one of the pod's CPUs for QEMU, and the pod has CPU \(cpus) alone; limits.cpu: "
                        + "\"2\" or more is accepted")
            }
            let chosen = Self.leastUseful(cpus, host)
            isolated = chosen
            cpus.remove(chosen)
        }
        pins = Self.inGuestOrder(cpus, host, homes)
    }

    private static func shares(_ request: MachineRequest) -> String {
        guard let shares = request.cpuShares else { return "its request of" }
        return shares.isMultiple(of: 1024) ? "\(shares / 1024)" : "\(shares)/1024"
    }

    private static func needsExclusive(_ request: MachineRequest, _ found: String) throws(PlanRefusal) {
        let help =
            "; a Guaranteed pod (requests = limits) with a whole number of CPUs gets its own, on a node whose "
            + "kubelet has "
            + "cpuManagerPolicy: static"
        if request.profile == .highPerformance {
            throw PlanRefusal(
                field: "limits.cpu", problem: "\(found)\(help). The runtime class slipway runs it as it is")
        }
        if request.annotations.realtime {
            throw PlanRefusal(field: MachineAnnotations.prefix + "realtime", problem: "\(found)\(help)")
        }
        if request.annotations.emulatorThreads == .isolate {
            throw PlanRefusal(field: MachineAnnotations.prefix + "emulator-threads", problem: "\(found)\(help)")
        }
    }

    /// A thread whose sibling is not the pod's, else the last CPU: so that most cores stay whole.
    private static func leastUseful(_ cpus: CPUSet, _ host: HostTopology) -> Int {
        let lone = cpus.filter { id in
            guard let cpu = host.cpu(id) else { return false }
            return cpu.siblings.count > 1 && cpu.siblings.intersection(cpus).count == 1
        }
        return lone.last ?? cpus.last ?? 0
    }

    /// Node by node, last-level cache by cache, core by core: neighbours in the guest are neighbours on the host.
    private static func inGuestOrder(_ cpus: CPUSet, _ host: HostTopology, _ homes: [Int: Int]) -> [Int] {
        let threads = host.cpus.filter { cpus.contains($0.id) }
        func key(_ cpu: HostCPU) -> [Int] {
            [
                homes[cpu.node] ?? cpu.node, cpu.node, cpu.cache.first ?? cpu.id,
                cpu.siblings.intersection(cpus).first ?? cpu.id, cpu.id,
            ]
        }
        return threads.map { (key($0), $0.id) }.sorted { $0.0.lexicographicallyPrecedes($1.0) }.map(\.1)
    }
}

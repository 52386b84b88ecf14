import HostTopology
import MachinePlanning
import TestSupport

extension HostTopology {
    /// A small host: few enough CPUs and pages to try every division of them.
    static func random(_ random: inout SeededGenerator) -> HostTopology {
        let count = Int.random(in: 1...4, using: &random)
        let threads = Int.random(in: 1...2, using: &random)
        var cpus: [HostCPU] = []
        var nodes: [HostNode] = []
        for id in 0..<count {
            let isMemoryOnly = id > 0 && Int.random(in: 0..<6, using: &random) == 0
            let cores = isMemoryOnly ? 0 : Int.random(in: 1...4, using: &random)
            let first = cpus.count
            let all = CPUSet(first..<first + cores * threads)
            for cpu in all {
                let core = (cpu - first) / threads
                let siblings = CPUSet(first + core * threads..<first + (core + 1) * threads)
                cpus.append(HostCPU(id: cpu, node: id, socket: id, core: core, siblings: siblings, cache: all))
            }
            let hasMemory = id == 0 || isMemoryOnly || Int.random(in: 0..<6, using: &random) > 0
            let pages = hasMemory ? UInt64.random(in: 0...40, using: &random) : 0
            nodes.append(
                HostNode(
                    id: id, cpus: all, memory: hasMemory ? 4 << 30 : 0,
                    available: hasMemory ? UInt64.random(in: 0...4 << 30, using: &random) : 0,
                    distances: Dictionary(
                        uniqueKeysWithValues: (0..<count).map { ($0, $0 == id ? 10 : 12 + (id + $0) % 5) }),
                    hugePages: [HugePagePool(size: 16 << 20, total: 40, free: pages)]))
        }
        return HostTopology(nodes: nodes, cpus: cpus)
    }
}

extension MachineRequest {
    /// A request for huge pages of 16 MiB with CPUs of the pod's own, or not.
    static func placed(on host: HostTopology, _ random: inout SeededGenerator) -> MachineRequest {
        var request = MachineRequest.sample
        let ids = host.cpus.map(\.id).shuffled(using: &random)
        let count = Int.random(in: 1...ids.count, using: &random)
        if Int.random(in: 0..<4, using: &random) > 0 {
            request.cpus = CPUSet(ids.prefix(count))
            request.cpuShares = UInt64(count) * 1024
        }
        request.cpuQuota = Int64(count) * 100_000
        request.cpuPeriod = 100_000
        if Bool.random(using: &random) {
            request.hugePages.limits = [16 << 20: UInt64.random(in: 4...60, using: &random) * (16 << 20)]
        } else {
            request.memoryLimit = UInt64.random(in: 64...6000, using: &random) << 20
        }
        if Int.random(in: 0..<4, using: &random) == 0 {
            let nodes = host.nodes.map(\.id).shuffled(using: &random)
            request.mems = CPUSet(nodes.prefix(Int.random(in: 1...nodes.count, using: &random)))
        }
        request.annotations.numaPolicy = [nil, .strict, .preferred].randomElement(using: &random) ?? nil
        if Int.random(in: 0..<4, using: &random) == 0 { request.annotations.emulatorThreads = .isolate }
        if Int.random(in: 0..<6, using: &random) == 0 { request.annotations.realtime = true }
        return request
    }
}

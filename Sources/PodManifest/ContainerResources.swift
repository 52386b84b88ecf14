internal import CRIProtocol
internal import SwiftProtobuf

/// How much a pod may be missed when memory runs out (Kubernetes, "Pod Quality of Service Classes").
public enum QualityOfService: String, Sendable {
    case guaranteed = "Guaranteed"
    case burstable = "Burstable"
    case bestEffort = "BestEffort"

    /// The class of a pod by its containers' cpu and memory.
    public init(_ containers: [Container]) {
        let lists = containers.map { ($0.resources ?? Resources()) }
        let named = ["cpu", "memory"]
        let anything = lists.contains { resources in
            named.contains { (resources.request($0) ?? .zero) > .zero || (resources.limit($0) ?? .zero) > .zero }
        }
        let everything = lists.allSatisfy { resources in
            named.allSatisfy { name in
                guard let limit = resources.limit(name), limit > .zero else { return false }
                return resources.request(name) == limit
            }
        }
        self = !anything ? .bestEffort : everything ? .guaranteed : .burstable
    }
}

extension Resources {
    /// The limit of a resource; nil where there is none.
    public func limit(_ name: String) -> Quantity? { limits?[name] }

    /// The request of a resource, which is its limit when only that is given.
    public func request(_ name: String) -> Quantity? { requests?[name] ?? limits?[name] }
}

/// The kubelet's arithmetic from quantities to cgroup values (kubernetes, pkg/kubelet/cm/helpers_linux.go and
/// pkg/kubelet/kuberuntime/kuberuntime_container_linux.go).
enum CgroupValues {
    /// Microseconds of a scheduling period.
    static let period: Int64 = 100_000

    /// cpu.shares of a CPU request.
    static func shares(_ cpu: Quantity?) -> Int64 {
        let (product, overflow) = (cpu?.milliValue ?? 0).multipliedReportingOverflow(by: 1024)
        return overflow ? 262_144 : min(max(product / 1000, 2), 262_144)
    }

    /// Microseconds in each period of a CPU limit; 0 for no limit.
    static func quota(_ cpu: Quantity?) -> Int64 {
        guard let milli = cpu?.milliValue, milli > 0 else { return 0 }
        let (product, overflow) = milli.multipliedReportingOverflow(by: period)
        return overflow ? Int64.max : max(product / 1000, 1000)
    }

    /// oom_score_adj: the more of the node's memory a container asked for, the longer it is spared.
    static func oomScore(_ quality: QualityOfService, memoryRequest: Quantity?, nodeMemory: Int64) -> Int64 {
        switch quality {
        case .guaranteed: return -997
        case .bestEffort: return 1000
        case .burstable:
            guard nodeMemory > 0 else { return 999 }
            let share = Double(memoryRequest?.value ?? 0) / Double(nodeMemory)
            return 1000 - Int64(min(max(share, 0), 0.997) * 1000).clamped(to: 1...997)
        }
    }
}

extension Comparable {
    fileprivate func clamped(to range: ClosedRange<Self>) -> Self {
        min(max(self, range.lowerBound), range.upperBound)
    }
}

extension CRILinuxContainerResources {
    /// A container's values; huge page sizes that it does not ask for are limited to 0, as the kubelet does.
    init(_ resources: Resources, quality: QualityOfService, node: NodeFacts, field: String) throws(ManifestError) {
        self.init()
        let cpu = resources.limit("cpu")
        cpuShares = CgroupValues.shares(resources.request("cpu"))
        cpuPeriod = CgroupValues.period
        cpuQuota = CgroupValues.quota(cpu)
        memoryLimitInBytes = resources.limit("memory")?.value ?? 0
        oomScoreAdj = CgroupValues.oomScore(
            quality, memoryRequest: resources.request("memory"), nodeMemory: node.memory)

        var limits: [UInt64: UInt64] = [:]
        for size in node.hugePageSizes { limits[size] = 0 }
        for (name, quantity) in resources.limits ?? [:] where name.hasPrefix("hugepages-") {
            let size = try HugePages.size(name, "\(field).resources.limits")
            guard node.hugePageSizes.contains(size) else {
                let known = node.hugePageSizes.map { HugePages.cgroupName($0) }.joined(separator: ", ")
                throw ManifestError(
                    "\(field).resources.limits.\(name)",
                    "this node has no such pages; it has \(known.isEmpty ? "none" : known)")
            }
            limits[size] = UInt64(quantity.value)
        }
        hugepageLimits = limits.sorted { $0.key < $1.key }.map { size, limit in
            CRIHugepageLimit.with {
                $0.pageSize = HugePages.cgroupName(size)
                $0.limit = limit
            }
        }
    }

    /// The sum over a pod's containers; a CPU or memory limit counts only when every container has one.
    init(sumOf containers: [Container]) {
        self.init()
        let lists = containers.map { $0.resources ?? Resources() }
        func sum(_ values: [Quantity?]) -> Quantity { values.reduce(.zero) { $0 + ($1 ?? .zero) } }
        func limit(_ name: String) -> Quantity? {
            lists.allSatisfy { $0.limit(name) != nil } ? sum(lists.map { $0.limit(name) }) : nil
        }
        cpuShares = CgroupValues.shares(sum(lists.map { $0.request("cpu") }))
        cpuPeriod = CgroupValues.period
        cpuQuota = CgroupValues.quota(limit("cpu"))
        memoryLimitInBytes = limit("memory")?.value ?? 0
    }

    /// RuntimeClass overhead.
    init(overhead: [String: Quantity]) {
        self.init()
        cpuPeriod = CgroupValues.period
        cpuShares = CgroupValues.shares(overhead["cpu"])
        cpuQuota = CgroupValues.quota(overhead["cpu"])
        memoryLimitInBytes = overhead["memory"]?.value ?? 0
    }
}

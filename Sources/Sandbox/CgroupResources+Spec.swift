public import Cgroup
public import OCIRuntimeSpec

extension CgroupResources {
    /// The limits of an OCI spec as the cgroup takes them.
    public init(_ resources: Spec.Resources) {
        self.init()
        cpuShares = resources.cpu?.shares
        cpuQuota = resources.cpu?.quota
        cpuPeriod = resources.cpu?.period
        cpus = resources.cpu?.cpus ?? ""
        mems = resources.cpu?.mems ?? ""
        memoryLimit = resources.memory?.limit
        memorySwapLimit = resources.memory?.swap
        pidsLimit = resources.pids?.limit
        hugepageLimits = Dictionary(
            (resources.hugepageLimits ?? []).map { ($0.pageSize, $0.limit) }, uniquingKeysWith: { $1 })
        unified = resources.unified ?? [:]
    }
}

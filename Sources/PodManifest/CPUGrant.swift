internal import CRIProtocol

/// CPUs that are given to a container by name, as a kubelet's CPU manager does: on a node without a kubelet somebody has
/// to say which.
public struct CPUGrant: Equatable, Sendable {
    /// The CPUs as a list, `2-3,8`.
    public var cpus: String
    /// How many they are; at least one.
    public var count: Int
    /// The memory nodes as a list; empty: any.
    public var mems: String

    /// A grant.
    public init(cpus: String, count: Int, mems: String = "") {
        self.cpus = cpus
        self.count = count
        self.mems = mems
    }
}

extension CRILinuxContainerResources {
    /// Gives a container CPUs of its own: the cpuset, and the shares of a request for as many.
    ///
    /// - Throws: `ManifestError` when the container has a CPU limit that is not their number.
    mutating func assign(_ grant: CPUGrant, _ resources: Resources, field: String) throws(ManifestError) {
        for (name, quantity) in [("limits", resources.limits?["cpu"]), ("requests", resources.requests?["cpu"])] {
            guard let quantity, quantity != .milli(Int64(clamping: grant.count) * 1000) else { continue }
            throw ManifestError(
                "\(field).resources.\(name).cpu",
                "is \(quantity), and the CPUs \(grant.cpus) are \(grant.count); a container's own CPUs are as many as it asks for"
            )
        }
        cpusetCpus = grant.cpus
        cpusetMems = grant.mems
        cpuShares = CgroupValues.shares(.milli(Int64(clamping: grant.count) * 1000))
    }
}

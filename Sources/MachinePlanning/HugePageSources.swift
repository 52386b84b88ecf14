/// Where a pod's request for huge pages can be seen. containerd passes the limits on only where its option
/// `disable_hugetlb_controller` is false; else the volume is the only trace in the container's specification.
public struct HugePageSources: Codable, Equatable, Sendable {
    /// `linux.resources.hugepageLimits`, bytes by page size; sizes with a limit of 0 are not asked for.
    public var limits: [UInt64: UInt64]
    /// Page sizes of the container's HugePages volumes (`emptyDir.medium: HugePages-2Mi`).
    public var volumes: [UInt64]
    /// The limits of the pod's own cgroup, bytes by page size, which the kubelet sets; without those that have none.
    public var podLimits: [UInt64: UInt64]

    /// A set of sources; without any, nothing is asked for.
    public init(limits: [UInt64: UInt64] = [:], volumes: [UInt64] = [], podLimits: [UInt64: UInt64] = [:]) {
        self.limits = limits
        self.volumes = volumes
        self.podLimits = podLimits
    }

    /// Parses a page size as the kernel's hugetlb controller and the OCI write it: `2MB`, `1GB`, `64KB`.
    public static func pageSize(_ text: String) -> UInt64? {
        for (suffix, shift) in [("KB", 10), ("MB", 20), ("GB", 30)] as [(String, UInt64)] where text.hasSuffix(suffix) {
            guard let number = UInt64(text.dropLast(2)), number > 0, number <= 1 << 20 else { return nil }
            return number << shift
        }
        return nil
    }
}

/// Huge pages that a pod asks for.
struct HugePageRequest: Equatable {
    /// Bytes of a page.
    var size: UInt64
    /// Bytes in all; a multiple of the size.
    var bytes: UInt64
    /// The pod's field: `limits.hugepages-2Mi`.
    var field: String
    /// Where it was seen.
    var reason: String

    /// Brings the sources together; nil when nothing is asked for.
    ///
    /// - Throws: ``PlanRefusal`` for two page sizes, for sources that contradict each other, for an amount that cannot be
    ///   seen or is not made of whole pages.
    init?(_ sources: HugePageSources) throws(PlanRefusal) {
        let limits = sources.limits.filter { $0.value > 0 }
        let sizes = Set(limits.keys).union(sources.volumes).sorted()
        guard let size = sizes.first else { return nil }
        let name = "limits.hugepages-\(ByteCount.quantity(size))"
        guard sizes.count == 1 else {
            let names = sizes.map(ByteCount.quantity).joined(separator: " and ")
            let seen =
                limits.isEmpty || sources.volumes.isEmpty || limits.count > 1
                ? "" : " (limits say \(limits.keys.map(ByteCount.quantity).joined()), the volume says otherwise)"
            throw PlanRefusal(
                field: "limits.hugepages",
                problem:
                    "pages of \(names) are asked for\(seen); the RAM of a machine has pages of one size, so one of "
                    + "them would lie idle: ask for one size")
        }
        self.size = size
        field = name
        if let bytes = limits[size] {
            self.bytes = bytes
            reason = name
        } else if let bytes = sources.podLimits[size], bytes > 0 {
            self.bytes = bytes
            reason = "the pod's cgroup, as containerd hides \(name) and the pod has a volume of such pages"
        } else {
            throw PlanRefusal(
                field: name,
                problem: "the pod has a volume of such pages, but how many it may use cannot be seen: containerd hides "
                    + "the limit, and the pod's cgroup has none; disable_hugetlb_controller = false in containerd's "
                    + "configuration of CRI would show it")
        }
        guard bytes.isMultiple(of: size) else {
            throw PlanRefusal(
                field: name,
                problem: "is \(ByteCount.text(bytes)), which is no whole number of \(ByteCount.text(size)) pages")
        }
    }
}

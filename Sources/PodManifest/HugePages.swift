/// Huge page sizes as Kubernetes and the kernel spell them.
public enum HugePages {
    /// The page size in bytes of a resource name such as `hugepages-2Mi`.
    public static func size(_ resource: String, _ field: String) throws(ManifestError) -> UInt64 {
        guard let text = resource.split(separator: "-", maxSplits: 1).last.map(String.init),
            resource.hasPrefix("hugepages-")
        else { throw ManifestError(field, "\"\(resource)\" is no huge page resource") }
        let size: Quantity
        do {
            size = try Quantity(parsing: text)
        } catch {
            throw ManifestError(field, "\"\(resource)\" names no page size: \(error.reason)")
        }
        guard size.value >= 4096, size.value.nonzeroBitCount == 1 else {
            throw ManifestError(field, "\"\(resource)\" names no page size; hugepages-2Mi and hugepages-1Gi do")
        }
        return UInt64(size.value)
    }

    /// As the hugetlb cgroup spells a size: `2MB`, `1GB`, `64KB`.
    public static func cgroupName(_ bytes: UInt64) -> String {
        switch bytes {
        case _ where bytes.isMultiple(of: 1 << 30): "\(bytes >> 30)GB"
        case _ where bytes.isMultiple(of: 1 << 20): "\(bytes >> 20)MB"
        default: "\(bytes >> 10)KB"
        }
    }
}

/// What an emptyDir is made of.
public enum Medium: Equatable, Sendable {
    /// A directory on the node's disk or tmpfs.
    case directory
    /// tmpfs of its own.
    case memory
    /// hugetlbfs; the page size in bytes, nil where the pod asks for one size only and the medium does not say it.
    case hugePages(UInt64?)

    init(_ word: String, _ field: String) throws(ManifestError) {
        switch word {
        case "": self = .directory
        case "Memory": self = .memory
        case "HugePages": self = .hugePages(nil)
        case _ where word.hasPrefix("HugePages-"):
            self = .hugePages(try HugePages.size("hugepages-" + word.dropFirst(10), field))
        default:
            throw ManifestError(field, "\"\(word)\" is no medium; Memory, HugePages and HugePages-<size> are")
        }
    }
}

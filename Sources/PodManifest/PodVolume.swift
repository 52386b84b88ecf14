public import FoundationEssentials

/// A volume with everything resolved: what has to be made on the node, and where.
public struct PodVolume: Equatable, Sendable {
    /// One file of a ConfigMap or Secret volume.
    public struct File: Equatable, Sendable {
        /// Relative to the volume; it stays below it.
        public let path: String
        /// Permission bits.
        public let mode: UInt32
        /// Content.
        public let data: Data
    }

    /// What a volume is made of.
    public enum Content: Equatable, Sendable {
        /// Files that containers cannot write.
        case files([File])
        /// An empty directory.
        case directory
        /// tmpfs; `limit` in bytes.
        case memory(limit: Int64?)
        /// hugetlbfs with pages of that many bytes.
        case hugePages(UInt64)
        /// A path of the node that is not the pod's own.
        case hostPath(Volume.HostPath.Kind)
    }

    /// The volume's name.
    public let name: String
    /// Absolute path on the node, where containers mount it from.
    public let path: String
    /// What it is made of.
    public let content: Content

    /// Whether containers may only read it.
    public var isReadOnly: Bool {
        if case .files = content { true } else { false }
    }

    /// A volume that is already resolved.
    public init(name: String, path: String, content: Content) {
        self.name = name
        self.path = path
        self.content = content
    }

    /// Resolves a volume of a pod whose directory is `directory`. Names below it are the kubelet's.
    init(
        _ volume: Volume, of pod: Pod, directory: String, objects: (DataObject.Kind, String) -> DataObject?,
        field: String
    ) throws(ManifestError) {
        func place(_ plugin: String) -> String { "\(directory)/volumes/kubernetes.io~\(plugin)/\(volume.name)" }
        name = volume.name
        if let source = volume.configMap {
            path = place("configmap")
            content = .files(
                try Self.files(
                    objects(.configMap, source.name), .configMap, source.name, source.items, source.defaultMode,
                    source.optional, "\(field).configMap"))
        } else if let source = volume.secret {
            path = place("secret")
            content = .files(
                try Self.files(
                    objects(.secret, source.secretName), .secret, source.secretName, source.items, source.defaultMode,
                    source.optional, "\(field).secret"))
        } else if let source = volume.emptyDir {
            path = place("empty-dir")
            switch try Medium(source.medium ?? "", "\(field).emptyDir.medium") {
            case .directory: content = .directory
            case .memory: content = .memory(limit: source.sizeLimit?.value)
            case .hugePages(let size?): content = .hugePages(size)
            case .hugePages(nil): content = .hugePages(try Self.onlyPageSize(of: pod, "\(field).emptyDir.medium"))
            }
        } else if let source = volume.hostPath {
            path = source.path
            content = .hostPath(source.type ?? .unchecked)
        } else {
            throw ManifestError(field, "has no source")
        }
    }

    private static func files(
        _ object: DataObject?, _ kind: DataObject.Kind, _ name: String, _ items: [Volume.Item]?,
        _ defaultMode: FileMode?,
        _ optional: Bool?, _ field: String
    ) throws(ManifestError) -> [File] {
        guard let object else {
            if optional == true { return [] }
            throw .missing(kind, name, field)
        }
        let mode = defaultMode?.bits ?? 0o644
        guard let items else {
            return object.data.sorted { $0.key < $1.key }.map { File(path: $0.key, mode: mode, data: $0.value) }
        }
        var files: [File] = []
        for (index, item) in items.enumerated() {
            guard let data = object.data[item.key] else {
                if optional == true { continue }
                let known = object.data.keys.sorted().joined(separator: ", ")
                throw ManifestError(
                    "\(field).items[\(index)].key",
                    "\(kind.rawValue) \"\(name)\" has no key \"\(item.key)\"; it has \(known)")
            }
            files.append(File(path: item.path, mode: item.mode?.bits ?? mode, data: data))
        }
        return files
    }

    private static func onlyPageSize(of pod: Pod, _ field: String) throws(ManifestError) -> UInt64 {
        var sizes: Set<UInt64> = []
        for container in pod.spec.containers {
            for name in (container.resources?.limits ?? [:]).keys where name.hasPrefix("hugepages-") {
                sizes.insert(try HugePages.size(name, field))
            }
        }
        guard let size = sizes.first, sizes.count == 1 else {
            throw ManifestError(
                field,
                "HugePages needs a pod with one page size, this one asks for \(sizes.count);"
                    + " HugePages-2Mi or HugePages-1Gi says which")
        }
        return size
    }
}

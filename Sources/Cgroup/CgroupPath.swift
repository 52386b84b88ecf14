/// Where a group is below the root of every hierarchy, read from the OCI field `linux.cgroupsPath`
/// (runtime-spec, config-linux.md, "Cgroups Path").
///
/// Relative paths are taken from the root too, as runc does. The result has no `.`, no `..` and no empty component,
/// so that it never leads out of the hierarchy and never names its root.
public struct CgroupPath: Hashable, Sendable, CustomStringConvertible {
    /// Who names the groups on this node; the form of the path is the only place where a runtime can see it.
    public enum Driver: Hashable, Sendable {
        /// Plain directories.
        case cgroupfs
        /// Directories named like systemd's units; `unit` is the last of them.
        case systemd(unit: String)
    }

    /// Why a path cannot be used.
    public enum Problem: Hashable, Sendable, CustomStringConvertible {
        /// Nothing is named, or the root itself.
        case namesNoGroup
        /// A component that is empty, `.`, `..`, longer than 255 bytes, or has control characters.
        case component(String)
        /// The slice is not a systemd slice's name (systemd.slice(5)).
        case slice(String)

        /// The rest of a sentence that begins with the path.
        public var description: String {
            switch self {
            case .namesNoGroup: "names no group"
            case .component(let name): "has the component \"\(name)\", which cannot name a group"
            case .slice(let name): "has the slice \"\(name)\", which is not a slice's name such as kubepods-pod1.slice"
            }
        }
    }

    /// The directories' names from the root down; at least one.
    public let components: [String]
    /// The driver that the path's form tells of.
    public let driver: Driver

    /// The components with `/` between them, without one in front.
    public var relative: String { components.joined(separator: "/") }

    /// The absolute form, as `/proc/PID/cgroup` shows it.
    public var description: String { "/" + relative }

    /// Reads `linux.cgroupsPath`.
    ///
    /// Exactly two colons and no slash make the systemd form `slice:prefix:name`: `a-b.slice:p:n` is
    /// `a.slice/a-b.slice/p-n.scope`; a name that ends in `.slice` is kept; an empty slice is `system.slice`.
    ///
    /// - Throws: ``CgroupError/invalidPath(_:_:)``.
    public init(_ cgroupsPath: String) throws(CgroupError) {
        let fields = cgroupsPath.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        do throws(Problem) {
            if fields.count == 3, !cgroupsPath.contains("/") {
                let unit = Self.unit(prefix: fields[1], name: fields[2])
                guard !fields[2].isEmpty else { throw .component("") }
                components = try Self.expand(slice: fields[0].isEmpty ? "system.slice" : fields[0]) + [unit]
                driver = .systemd(unit: unit)
            } else {
                let path = cgroupsPath.hasPrefix("/") ? String(cgroupsPath.dropFirst()) : cgroupsPath
                guard !path.isEmpty else { throw .namesNoGroup }
                components = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
                driver = .cgroupfs
            }
            for component in components {
                guard Self.isName(component) else { throw .component(component) }
            }
        } catch {
            throw .invalidPath(cgroupsPath, error)
        }
    }

    /// The group above; nil at the top.
    var parent: CgroupPath? {
        components.count > 1 ? CgroupPath(components: components.dropLast()) : nil
    }

    private init(components: some Sequence<String>) {
        self.components = Array(components)
        driver = .cgroupfs
    }

    private static func unit(prefix: String, name: String) -> String {
        if name.hasSuffix(".slice") { return name }
        return prefix.isEmpty ? "\(name).scope" : "\(prefix)-\(name).scope"
    }

    /// `a-b.slice` lies in `a.slice`; `-.slice` is the root (systemd.slice(5)).
    private static func expand(slice: String) throws(Problem) -> [String] {
        guard slice.hasSuffix(".slice") else { throw .slice(slice) }
        let name = slice.dropLast(".slice".count)
        if name == "-" { return [] }
        let words = name.split(separator: "-", omittingEmptySubsequences: false)
        guard !words.contains(where: \.isEmpty) else { throw .slice(slice) }
        return words.indices.map { words[...$0].joined(separator: "-") + ".slice" }
    }

    private static func isName(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && name.utf8.count <= 255
            && name.utf8.allSatisfy { $0 > 0x1f && $0 != 0x7f && $0 != UInt8(ascii: "/") }
    }
}

extension CgroupPath.Problem: Error {}

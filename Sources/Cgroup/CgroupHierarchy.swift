internal import LinuxSystem

/// The cgroup file systems of the host.
public enum CgroupHierarchy: Hashable, Sendable {
    /// One tree with every controller (cgroup-v2.rst), by its mount point.
    case v2(root: String)
    /// A tree for each mount. A hybrid host, which also mounts a cgroup2 tree beside them, counts as this.
    case v1([Mount])

    /// One version 1 tree.
    public struct Mount: Hashable, Sendable {
        /// Controllers such as `cpu` and `cpuacct`; for a tree without any, its name, such as `name=systemd`.
        public let controllers: [String]
        /// The mount point.
        public let path: String
        /// The group that is mounted, `/` for the whole tree; it differs inside containers.
        public let root: String

        /// A tree by its parts.
        public init(controllers: [String], path: String, root: String = "/") {
            self.controllers = controllers
            self.path = path
            self.root = root
        }
    }

    /// Finds the hierarchies that this process sees.
    ///
    /// - Parameter mountinfo: a file in the format of proc_pid_mountinfo(5).
    /// - Throws: ``CgroupError/noHierarchy``, ``CgroupError/system(_:)``.
    public static func discover(mountinfo: String = "/proc/self/mountinfo") throws(CgroupError) -> CgroupHierarchy {
        let text = try system { () throws(SystemError) in try File.text(mountinfo, limit: 16 << 20) }
        return try CgroupHierarchy(mountinfo: text)
    }

    /// Reads the hierarchies from mountinfo's text. Of several mounts of one tree the first is taken.
    ///
    /// - Throws: ``CgroupError/noHierarchy``.
    public init(mountinfo: String) throws(CgroupError) {
        var unified: String?
        var mounts: [Mount] = []
        for line in mountinfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            // Optional fields end with "-"; the type, the source and the super block's options follow.
            guard fields.count > 6, let dash = fields[6...].firstIndex(of: "-"), fields.count > dash + 3 else {
                continue
            }
            let path = Self.unescape(fields[4])
            switch fields[dash + 1] {
            case "cgroup2":
                if unified == nil { unified = path }
            case "cgroup":
                let words = fields[dash + 3].split(separator: ",").map(String.init)
                let controllers = words.filter { !Self.flags.contains($0) && !$0.hasPrefix("release_agent=") }
                guard !controllers.isEmpty, !mounts.contains(where: { $0.controllers == controllers }) else { continue }
                mounts.append(Mount(controllers: controllers, path: path, root: Self.unescape(fields[3])))
            default:
                continue
            }
        }
        if mounts.contains(where: { $0.controllers.contains { !$0.hasPrefix("name=") } }) {
            self = .v1(mounts)
        } else if let unified {
            self = .v2(root: unified)
        } else {
            throw .noHierarchy
        }
    }

    /// Words of the super block's options that are not controllers (cgroup1_show_options in the kernel).
    private static let flags: Set<String> = [
        "rw", "ro", "noprefix", "xattr", "cpuset_v2_mode", "clone_children", "favordynmods", "none",
    ]

    /// Blanks, tabs, newlines and backslashes are octal in mountinfo, `\040`.
    private static func unescape(_ field: Substring) -> String {
        let bytes = Array(field.utf8)
        var result: [UInt8] = []
        var at = 0
        while at < bytes.count {
            if bytes[at] == UInt8(ascii: "\\"), at + 3 < bytes.count,
                let code = UInt8(String(decoding: bytes[at + 1...at + 3], as: UTF8.self), radix: 8)
            {
                result.append(code)
                at += 4
            } else {
                result.append(bytes[at])
                at += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The group at a path. Nothing is created or looked at.
    public func group(at path: CgroupPath) -> Cgroup {
        Cgroup(hierarchy: self, path: path)
    }
}

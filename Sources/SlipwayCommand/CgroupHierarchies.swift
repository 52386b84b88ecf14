internal import Glibc
internal import LinuxSystem

/// The node's cgroup hierarchies, one with cgroup v2, one a controller with v1.
enum CgroupHierarchies {
    /// Where they are mounted (proc(5), mountinfo).
    static func mounted() -> [String] {
        let mounts = (try? File.text("/proc/self/mountinfo", limit: 64 << 20)) ?? ""
        return mounts.split(separator: "\n").compactMap { line in
            let halves = line.split(separator: " - ", maxSplits: 1)
            guard halves.count == 2, halves[1].hasPrefix("cgroup ") || halves[1].hasPrefix("cgroup2 ") else {
                return nil
            }
            let fields = halves[0].split(separator: " ")
            return fields.count > 4 ? String(fields[4]) : nil
        }
    }

    /// Removes a cgroup and those below it, all without processes. Nothing there is fine.
    static func remove(_ path: String) throws(SystemError) {
        guard File.exists(path) else { return }
        for name in try File.list(path) where isDirectory("\(path)/\(name)") { try remove("\(path)/\(name)") }
        guard rmdir(path) == 0 || errno == ENOENT else { throw .last("rmdir", path) }
    }

    /// Removes a cgroup that has nothing in it, and leaves another one alone.
    static func removeIfEmpty(_ path: String) { _ = rmdir(path) }

    private static func isDirectory(_ path: String) -> Bool {
        var information = stat()
        return lstat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFDIR
    }
}

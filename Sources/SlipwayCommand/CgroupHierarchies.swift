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
        // The control files in a cgroup go with it; they are not directories, which listing them tells.
        guard let names = try? File.list(path) else { return }
        for name in names { try remove("\(path)/\(name)") }
        guard rmdir(path) == 0 || errno == ENOENT else { throw .last("rmdir", path) }
    }

    /// Removes a cgroup that has nothing in it, and leaves another one alone.
    static func removeIfEmpty(_ path: String) { _ = rmdir(path) }
}

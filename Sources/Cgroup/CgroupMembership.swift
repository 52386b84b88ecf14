internal import LinuxSystem

/// Where a thread is in every hierarchy, to go back there after a visit to a group.
public struct CgroupMembership: Hashable, Sendable {
    let directories: [String]
    let isUnified: Bool

    /// Where a thread of this process, or the only thread of any process, is now.
    ///
    /// - Parameter thread: the kernel's thread id, for example ``Thread/id``.
    /// - Throws: ``CgroupError/system(_:)`` with ENOENT when there is no such thread.
    public init(thread: Int32, in hierarchy: CgroupHierarchy) throws(CgroupError) {
        self.init(
            try system { () throws(SystemError) in try File.text("/proc/\(thread)/cgroup") }, in: hierarchy)
    }

    /// Reads the text of `/proc/PID/cgroup` (cgroups(7)).
    init(_ text: String, in hierarchy: CgroupHierarchy) {
        let lines = text.split(separator: "\n").compactMap { line -> (controllers: [Substring], path: Substring)? in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            return fields.count == 3 ? (fields[1].split(separator: ","), fields[2]) : nil
        }
        switch hierarchy {
        case .v2(let root):
            isUnified = true
            directories = lines.filter { $0.controllers.isEmpty }.map { root + $0.path }
        case .v1(let mounts):
            isUnified = false
            directories = mounts.compactMap { mount in
                lines.first { line in line.controllers.contains { mount.controllers.contains(String($0)) } }.map {
                    let isBelow = mount.root != "/" && $0.path.hasPrefix(mount.root)
                    return mount.path + (isBelow ? $0.path.dropFirst(mount.root.count) : $0.path)
                }
            }
        }
    }

    /// Moves a process with all its threads there; 0 is the calling process.
    ///
    /// - Throws: ``CgroupError/refused(file:value:_:)``.
    public func enter(process: Int32) throws(CgroupError) {
        for directory in directories { try Cgroup.move(process, "\(directory)/cgroup.procs") }
    }

    /// Moves one thread there; 0 is the calling thread.
    ///
    /// - Throws: ``CgroupError/threadsAreVersion1Only``, ``CgroupError/refused(file:value:_:)``.
    public func enter(thread: Int32) throws(CgroupError) {
        guard !isUnified else { throw .threadsAreVersion1Only }
        for directory in directories { try Cgroup.move(thread, "\(directory)/tasks") }
    }
}

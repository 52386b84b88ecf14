internal import Glibc
internal import LinuxSystem

/// The control group of one container, in every hierarchy of the host.
///
/// A value that names directories: the group lives from ``create()`` to ``remove(milliseconds:)`` whoever holds it, and
/// a restarted process takes it up again by the same path. All calls block; there is no state to share, so any thread
/// may call.
///
/// In version 2 processes live in a leaf below the group, and the group hands all its controllers to it. Limits and
/// statistics are the group's. The leaf is what makes a plain mkdir(2) safe below a slice that systemd owns: systemd
/// knows no unit there, finds that nothing in the slice needs a controller, and turns them off in the slice's
/// `cgroup.subtree_control` whenever it looks (daemon-reload, a changed property), and with them every limit. The
/// kernel answers EBUSY as long as a child hands the controller on, and systemd then leaves it on. Processes and
/// directories it does not know it leaves alone. A transient scope over D-Bus would do as well, but needs a process to
/// put in at its start and goes away with the last one.
///
/// Device rules (`linux.resources.devices`) are not applied: no process of the container runs on the host. QEMU does,
/// and it is held by its private `/dev`, its user, and the descriptors that it is given.
public struct Cgroup: Hashable, Sendable {
    /// The host's hierarchies.
    public let hierarchy: CgroupHierarchy
    /// The place in them.
    public let path: CgroupPath

    /// The group at a place. Nothing is created or looked at.
    public init(hierarchy: CgroupHierarchy, path: CgroupPath) {
        self.hierarchy = hierarchy
        self.path = path
    }

    /// The controllers that a machine's group wants in version 2. In version 1 every mounted one is used, so that
    /// no tree accounts the machine to somebody else.
    public static let controllers = ["cpu", "cpuset", "memory", "pids", "hugetlb", "io"]

    /// The name of the leaf that holds the processes in version 2.
    static let leaf = "machine"

    /// The group's directory in each hierarchy.
    public var directories: [String] {
        switch hierarchy {
        case .v2(let root): ["\(root)/\(path.relative)"]
        case .v1(let mounts): mounts.map { "\($0.path)/\(path.relative)" }
        }
    }

    /// The directories whose `cgroup.procs` processes are written to.
    var entries: [String] {
        switch hierarchy {
        case .v2(let root): ["\(root)/\(path.relative)/\(Self.leaf)"]
        case .v1: directories
        }
    }

    /// The directory in which a controller's files are; nil when no version 1 tree has the controller.
    func directory(of controller: String) -> String? {
        switch hierarchy {
        case .v2(let root): "\(root)/\(path.relative)"
        case .v1(let mounts):
            mounts.first { $0.controllers.contains(controller) }.map { "\($0.path)/\(path.relative)" }
        }
    }

    /// Whether anything of the group is there.
    public var exists: Bool { directories.contains { File.exists($0) } }

    /// Makes the group and the parents that are missing, with all controllers that the host offers.
    ///
    /// What an earlier group left at the same path is removed first if no process is in it, because its limits and
    /// counters are of no meaning here. When a step fails, what was made is taken away.
    ///
    /// - Throws: ``CgroupError/occupied(_:processes:)``, ``CgroupError/system(_:)``.
    public func create() throws(CgroupError) {
        if exists {
            let processes = try processes()
            guard processes.isEmpty else { throw .occupied(path.description, processes: processes) }
            try remove()
        }
        var made: [String] = []
        do throws(CgroupError) {
            switch hierarchy {
            case .v2(let root):
                try make(path.components + [Self.leaf], below: root, made: &made) { parent, _ in
                    Self.handOn(in: parent)
                }
            case .v1(let mounts):
                for mount in mounts {
                    let isCpuset = mount.controllers.contains("cpuset")
                    try make(path.components, below: mount.path, made: &made) { parent, directory throws(SystemError) in
                        if isCpuset { try Self.inheritCpuset(directory, from: parent) }
                    }
                }
            }
        } catch {
            for directory in made.reversed() { _ = rmdir(directory) }
            throw error
        }
    }

    private func make(
        _ components: [String], below root: String, made: inout [String],
        then prepare: (_ parent: String, _ directory: String) throws(SystemError) -> Void
    ) throws(CgroupError) {
        var parent = root
        for component in components {
            let directory = "\(parent)/\(component)"
            if mkdir(directory, 0o755) == 0 {
                made.append(directory)
            } else if errno != EEXIST {
                throw .system(.last("mkdir", directory))
            }
            try system { () throws(SystemError) in try prepare(parent, directory) }
            parent = directory
        }
    }

    /// Hands the wanted controllers on to a version 2 group's children. What the group does not have, or may not hand
    /// on, is found when a resource needs it, with a better message.
    private static func handOn(in group: String) {
        let words = { (file: String) in
            Set((try? File.text("\(group)/\(file)"))?.split { $0 == " " || $0 == "\n" }.map(String.init) ?? [])
        }
        let missing = words("cgroup.controllers").subtracting(words("cgroup.subtree_control"))
        for controller in controllers where missing.contains(controller) {
            try? File.put("+\(controller)", into: "\(group)/cgroup.subtree_control")
        }
    }

    /// A version 1 cpuset starts empty and takes no process before both lists are set (cpusets.rst 1.6).
    private static func inheritCpuset(_ directory: String, from parent: String) throws(SystemError) {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let isEmpty = try File.text("\(directory)/\(file)").allSatisfy(\.isWhitespace)
            if isEmpty { try File.put(try File.text("\(parent)/\(file)"), into: "\(directory)/\(file)") }
        }
    }

    /// Removes the group and all groups below it, from the leaves up. Nothing there is fine; parents stay.
    ///
    /// EBUSY is tried again until the deadline: a process that was just reaped may still be counted for a moment.
    ///
    /// - Throws: ``CgroupError/populated(_:processes:milliseconds:)`` when processes are left, or
    ///   ``CgroupError/system(_:)``.
    public func remove(milliseconds: Int32 = 2000) throws(CgroupError) {
        let deadline = Clock.milliseconds + Int64(milliseconds)
        for directory in directories {
            for group in try subtree(of: directory).reversed() {
                var pause = Backoff()
                while rmdir(group) != 0 && errno != ENOENT {
                    let error = SystemError.last("rmdir", group)
                    guard error.code == EBUSY else { throw .system(error) }
                    guard pause.wait(until: deadline) else {
                        let processes = try processes()
                        if processes.isEmpty { throw .system(error) }
                        throw .populated(path.description, processes: processes, milliseconds: milliseconds)
                    }
                }
            }
        }
    }

    /// A directory and those below it, each after its parent; empty when it is not there.
    func subtree(of directory: String) throws(CgroupError) -> [String] {
        var information = stat()
        guard lstat(directory, &information) == 0, information.st_mode & S_IFMT == S_IFDIR else { return [] }
        var groups = [directory]
        // Two links are the entry and ".": every directory below adds one. This spares looking at dozens of files.
        if information.st_nlink == 2 { return groups }
        let names: [String]
        do {
            names = try File.list(directory)
        } catch {
            if error.code == ENOENT { return [] }
            throw .system(error)
        }
        for name in names { groups += try subtree(of: "\(directory)/\(name)") }
        return groups
    }
}

/// Pauses that grow from 1 ms to 32 ms, for kernel states that have no event to wait on.
struct Backoff {
    private var next: Int32 = 1

    /// Waits a little; false, without waiting, when the deadline has passed.
    mutating func wait(until deadline: Int64) -> Bool {
        let left = deadline - Clock.milliseconds
        guard left > 0 else { return false }
        poll(nil, 0, min(next, Int32(clamping: left)))
        next = min(next * 2, 32)
        return true
    }
}

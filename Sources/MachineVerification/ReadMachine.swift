public import Cgroup
internal import Glibc
internal import HostTopology
public import LinuxSystem

extension ObservedMachine {
    /// Looks at a running QEMU. Changes nothing; blocks for some milliseconds, most of them for `numa_maps`, for which
    /// the kernel walks the page tables of all of the guest's RAM.
    ///
    /// Another user's process needs CAP_SYS_PTRACE.
    ///
    /// - Parameters:
    ///   - pid: QEMU's process id; the caller holds a pidfd, or has compared its start time.
    ///   - procfs: where proc is mounted.
    ///   - group: the container's cgroup, as the sandbox's record names it.
    ///   - definition: the file with the domain XML.
    /// - Throws: `SystemError` with ENOENT or ESRCH when there is no such process, and when its status, threads or
    ///   memory cannot be read. What ends meanwhile is left out.
    public static func read(
        pid: Int32, procfs: String = "/proc", group: Cgroup? = nil, definition: String? = nil
    ) throws(SystemError) -> ObservedMachine {
        let root = "\(procfs)/\(pid)"
        let status = StatusFile(try File.text("\(root)/status", limit: 1 << 16))
        var threads: [ObservedThread] = []
        for id in try File.list("\(root)/task").compactMap({ Int32($0) }).sorted().prefix(Self.threadLimit) {
            // Threads of QEMU's pool come and go.
            if let thread = try? ObservedThread.read(id, "\(root)/task/\(id)") { threads.append(thread) }
        }
        for id in group?.vhostWorkers(of: pid, procfs: procfs) ?? [] {
            if let thread = try? ObservedThread.read(id, "\(procfs)/\(id)") { threads.append(thread) }
        }
        return ObservedMachine(
            pid: pid, threads: threads,
            memory: NumaMaps.memory(try File.text("\(root)/numa_maps", limit: 16 << 20)),
            locked: status.kilobytes("VmLck"), privileges: status.privileges,
            cgroup: group.flatMap { ObservedCgroup($0, pid: pid, procfs: procfs) },
            devices: nodes(below: "\(root)/root/dev"), openGroups: openGroups("\(root)/fd"),
            taps: taps("\(root)/fdinfo"), links: links("\(root)/net/dev"),
            definition: definition.flatMap { try? DomainPins(xml: File.text($0, limit: 1 << 20)) })
    }

    /// More threads than a machine can have.
    private static let threadLimit = 8192
    private static let deviceLimit = 1024

    /// The names of device nodes, one directory deep (`vfio/12`, `net/tun`); file systems that are mounted there have
    /// none.
    private static func nodes(below directory: String) -> [String] {
        var found: [String] = []
        for name in ((try? File.list(directory)) ?? []).prefix(deviceLimit) {
            switch kind(of: "\(directory)/\(name)") {
            case S_IFCHR, S_IFBLK: found.append(name)
            case S_IFDIR:
                for inner in ((try? File.list("\(directory)/\(name)")) ?? []).prefix(deviceLimit) {
                    let kind = kind(of: "\(directory)/\(name)/\(inner)")
                    if kind == S_IFCHR || kind == S_IFBLK { found.append("\(name)/\(inner)") }
                }
            default: break
            }
        }
        return found
    }

    private static func kind(of path: String) -> mode_t {
        var information = stat()
        return lstat(path, &information) == 0 ? information.st_mode & S_IFMT : 0
    }

    /// A TUN descriptor's information has a line `iff:`, with the link that it belongs to.
    private static func taps(_ directory: String) -> [String] {
        ((try? File.list(directory)) ?? []).compactMap { name in
            let lines = (try? File.text("\(directory)/\(name)", limit: 4096))?.split(separator: "\n") ?? []
            guard let line = lines.first(where: { $0.hasPrefix("iff:") }) else { return nil }
            return String(line.dropFirst("iff:".count).drop { $0 == "\t" || $0 == " " })
        }.sorted()
    }

    /// Two lines of headings, then a line for each link that begins with its name and a colon (proc_pid_net(5)).
    private static func links(_ path: String) -> [String]? {
        guard let text = try? File.text(path, limit: 1 << 20) else { return nil }
        return text.split(separator: "\n").dropFirst(2).compactMap { line in
            line.firstIndex(of: ":").map { String(line[..<$0].drop { $0 == " " }) }
        }.sorted()
    }

    private static func openGroups(_ directory: String) -> [Int] {
        let links = ((try? File.list(directory)) ?? []).compactMap { name -> Int? in
            let path = "\(directory)/\(name)"
            let bytes = [UInt8](unsafeUninitializedCapacity: 64) { buffer, count in
                count = buffer.baseAddress.map { max(readlink(path, $0, buffer.count), 0) } ?? 0
            }
            let target = String(decoding: bytes, as: UTF8.self)
            return target.hasPrefix("/dev/vfio/") ? Int(target.dropFirst("/dev/vfio/".count)) : nil
        }
        return Set(links).sorted()
    }
}

extension ObservedThread {
    static func read(_ id: Int32, _ directory: String) throws(SystemError) -> ObservedThread {
        let status = StatusFile(try File.text("\(directory)/status", limit: 1 << 16))
        let scheduling = Scheduling(stat: try File.text("\(directory)/stat", limit: 4096))
        let name = try File.text("\(directory)/comm", limit: 64)
        return ObservedThread(
            id: id, name: String(name.prefix { $0 != "\n" }), cpus: status.set("Cpus_allowed_list"),
            mems: status.set("Mems_allowed_list"), policy: scheduling.policy, lastCPU: scheduling.lastCPU)
    }
}

public import Cgroup
internal import Glibc
internal import HostTopology
public import LinuxSystem
internal import PodNetwork

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
    /// - Throws: `SystemError` with ENOENT or ESRCH when there is no such process, and when its status, threads, memory
    ///   or network namespace cannot be read. What ends meanwhile is left out.
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
        let open = OpenDescriptors(pid: pid, root: root)
        let network = try network("\(root)/ns/net")
        return ObservedMachine(
            pid: pid, threads: threads,
            memory: NumaMaps.memory(try File.text("\(root)/numa_maps", limit: 16 << 20)),
            locked: status.kilobytes("VmLck"), privileges: status.privileges,
            cgroup: group.flatMap { ObservedCgroup($0, pid: pid, procfs: procfs) },
            devices: nodes(below: "\(root)/root/dev"),
            openDevices: Set(open.devices.map { String($0.path.dropFirst("/dev/".count)) }).sorted(),
            taps: taps(open, in: network), connections: open.connections, network: network,
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

    /// The network namespace of a process.
    private static func network(_ path: String) throws(SystemError) -> NetworkState? {
        guard File.exists(path) else { return nil }
        do {
            return try NetworkNamespace(path: path).runAndWait { try NetworkState() }
        } catch {
            throw (error as? SystemError) ?? SystemError("read network namespace", path, code: EIO)
        }
    }

    /// The links that its descriptors belong to.
    private static func taps(_ open: OpenDescriptors, in network: NetworkState?) -> [String] {
        let macvtaps = open.devices.filter { $0.path.hasPrefix("/dev/tap") }.map { device in
            let link = network?.links.first { $0.device == LinkState.Device(path: device.path, number: device.number) }
            return link?.name ?? device.path
        }
        return (open.taps + macvtaps).sorted()
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

import CLinux
import Glibc

/// A program to start, with everything that is set up between fork and exec.
public struct Spawn: Sendable {
    /// The executable's absolute path.
    public var executable: String
    /// Arguments without `argv[0]`, which is the executable's path.
    public var arguments: [String]
    /// `KEY=value` entries; nothing is inherited.
    public var environment: [String]
    /// Working directory; nil leaves the caller's.
    public var workingDirectory: String?
    /// Child's descriptor number → the caller's descriptor, kept open by this value. Those that are not named are closed.
    public var descriptors: [Int32: FileDescriptor] = [:]
    /// The network namespace to enter, by an open descriptor of it.
    public var networkNamespace: FileDescriptor?
    /// A new, empty network namespace.
    public var newNetworkNamespace = false
    /// A mount namespace of its own; later mounts of the host appear in it, its own mounts stay inside (MS_SLAVE).
    public var newMountNamespace = false
    /// `cgroup.procs` files that the child joins before it runs.
    public var cgroupProcs: [String] = []
    /// OOM score adjustment. Lowering needs CAP_SYS_RESOURCE; without it the inherited score stays.
    public var oomScoreAdj: Int32?
    /// User and group of the program; supplementary groups are dropped.
    public var user: (uid: UInt32, gid: UInt32)?
    /// A session and process group of its own.
    public var newSession = false
    /// SIGKILL when the thread that started it ends. For children that have no life without their parent.
    public var diesWithParent = false

    /// A program with its arguments, a minimal `PATH` and no descriptors.
    public init(
        _ executable: String, _ arguments: [String] = [],
        environment: [String] = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
    }

    /// Starts it. All that can fail up to exec is reported here, by the name of the step.
    ///
    /// - Throws: `SystemError` whose operation names the step (`setns`, `execve`, …).
    public func start() throws(SystemError) -> Process {
        var procs: [FileDescriptor] = []
        for path in cgroupProcs { procs.append(try FileDescriptor.open(path, O_WRONLY)) }
        let maps = descriptors.map { slipway_fd_map(parent: $0.value.raw, child: $0.key) }
        var flags: UInt32 = 0
        if newSession { flags |= SLIPWAY_SPAWN_SETSID.rawValue }
        if newMountNamespace { flags |= SLIPWAY_SPAWN_NEW_MOUNT_NAMESPACE.rawValue }
        if newNetworkNamespace { flags |= SLIPWAY_SPAWN_NEW_NETWORK_NAMESPACE.rawValue }
        if diesWithParent { flags |= SLIPWAY_SPAWN_DIE_WITH_PARENT.rawValue }

        var pidfd: Int32 = -1
        var step: UnsafePointer<CChar>?
        let cgroups = procs.map(\.raw)
        let pid = withCStrings([executable] + arguments) { argv in
            withCStrings(environment) { envp in
                maps.withUnsafeBufferPointer { maps in
                    cgroups.withUnsafeBufferPointer { cgroups in
                        withOptionalCString(workingDirectory) { cwd in
                            executable.withCString { path in
                                var request = slipway_spawn_request(
                                    path: path, argv: argv, envp: envp, cwd: cwd,
                                    fds: maps.baseAddress, fd_count: maps.count,
                                    network_namespace: networkNamespace?.raw ?? -1,
                                    cgroup_procs: cgroups.baseAddress, cgroup_count: cgroups.count,
                                    oom_score_adj: oomScoreAdj ?? Int32.min,
                                    uid: user?.uid ?? UInt32.max, gid: user?.gid ?? UInt32.max, flags: flags)
                                return slipway_spawn(&request, &pidfd, &step)
                            }
                        }
                    }
                }
            }
        }
        withExtendedLifetime((procs, networkNamespace, descriptors)) {}
        guard pid > 0 else {
            let name = step.map { String(cString: $0) } ?? "spawn"
            throw SystemError(name, executable, code: pid)
        }
        return Process(pid: pid, pidfd: FileDescriptor(owning: pidfd))
    }

    /// Starts it, waits for its end, and returns what it wrote to stdout and stderr, each cut at `limit` bytes.
    ///
    /// - Throws: `SystemError` with ETIMEDOUT when it has not ended after `milliseconds`; it is killed then.
    public func run(
        milliseconds: Int32 = 10_000, limit: Int = 1 << 16
    ) throws(SystemError) -> (status: Process.Status, output: String) {
        let (reader, writer) = try FileDescriptor.pipe()
        let null = try FileDescriptor.open("/dev/null", O_RDWR)
        var request = self
        request.descriptors.merge([0: null, 1: writer, 2: writer]) { given, _ in given }
        let process = try request.start()
        writer.close()
        let deadline = Clock.milliseconds + Int64(milliseconds)
        var output: [UInt8] = []
        do throws(SystemError) {
            while true {
                let left = deadline - Clock.milliseconds
                guard left > 0, try reader.wait(for: Int16(POLLIN), milliseconds: Int32(left)) else {
                    throw SystemError("wait for", executable, code: ETIMEDOUT)
                }
                let more = try reader.read(upTo: 4096)
                if more.isEmpty { break }
                output += more.prefix(limit - output.count)
            }
            // It may have closed its output and run on.
            guard try process.waitForEnd(milliseconds: Int32(max(0, deadline - Clock.milliseconds))) else {
                throw SystemError("wait for", executable, code: ETIMEDOUT)
            }
            return (try process.wait(), String(decoding: output, as: UTF8.self))
        } catch {
            try? process.signal(SIGKILL)
            _ = try? process.wait()
            throw error
        }
    }
}

private func withCStrings<R>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>?) -> R
) -> R {
    let copies = strings.map { strdup($0) } + [nil]
    defer { for copy in copies { free(copy) } }
    return copies.withUnsafeBufferPointer { body($0.baseAddress) }
}

private func withOptionalCString<R>(_ string: String?, _ body: (UnsafePointer<CChar>?) -> R) -> R {
    guard let string else { return body(nil) }
    return string.withCString(body)
}

import Glibc
public import LinuxSystem

/// The process that answers DHCP, DHCPv6 and router solicitations of one pod's guest: dnsmasq, one for all its NICs.
///
/// It holds its sockets, `stderr`, and two files in its directory: the configuration and its process id. It runs under
/// its own account with CAP_NET_ADMIN and CAP_NET_RAW in the pod's network namespace.
public struct AddressService: Sendable {
    /// Where Debian's dnsmasq-base puts it.
    public static let executable = "/usr/sbin/dnsmasq"

    /// The directory with its two files; root's, made before and removed after by the caller.
    public let directory: String

    /// The service of a directory, running or not.
    public init(directory: String) {
        self.directory = directory
    }

    private var configurationPath: String { "\(directory)/dnsmasq.conf" }
    private var processPath: String { "\(directory)/dnsmasq.pid" }

    /// dnsmasq's arguments: in the foreground, with no configuration but ours.
    public var arguments: [String] {
        ["--keep-in-foreground", "--conf-file=\(configurationPath)", "--pid-file=\(processPath)"]
    }

    /// Writes the configuration and returns what to start, which ``AddressServiceProcess`` does and looks after.
    ///
    /// - Parameters:
    ///   - namespace: the pod's network namespace; nil when the calling thread is in it.
    ///   - log: where complaints go; nil: nowhere.
    public func prepare(
        _ configuration: AddressServiceConfiguration, namespace: FileDescriptor? = nil, log: FileDescriptor? = nil
    ) throws(SystemError) -> Spawn {
        try File.replace(configurationPath, with: Array(configuration.text.utf8))
        try File.remove(processPath)
        var spawn = Spawn(Self.executable, arguments)
        spawn.workingDirectory = "/"
        spawn.networkNamespace = namespace
        spawn.newSession = true
        if let log { spawn.descriptors[2] = log }
        return spawn
    }

    /// Ends it by its directory alone and waits until it is gone. Its parent still has to reap it. Not running is fine.
    ///
    /// It is found among all processes by its arguments: its pid file is not there yet while it starts, and names
    /// somebody else once it has died.
    ///
    /// - Throws: `SystemError` with ETIMEDOUT when it is still there after `milliseconds`.
    public func stop(milliseconds: Int32 = 2000) throws(SystemError) {
        for name in try File.list("/proc") {
            guard let pid = Int32(name), isOurs(pid), let process = try? Process(pid: pid) else { continue }
            // The pidfd is open: what is read now is of the process that the signal goes to.
            guard isOurs(pid) else { continue }
            do throws(SystemError) {
                try process.signal(SIGKILL)
            } catch {
                if error.code != ESRCH { throw error }
            }
            guard try process.waitForEnd(milliseconds: milliseconds) else {
                throw SystemError("end", "dnsmasq \(pid)", code: ETIMEDOUT)
            }
        }
        try File.remove(processPath)
    }

    private func isOurs(_ pid: Int32) -> Bool {
        guard (try? File.text("/proc/\(pid)/comm", limit: 64)) == "dnsmasq\n",
            let command = try? File.read("/proc/\(pid)/cmdline", limit: 1 << 16)
        else { return false }
        return command.split(separator: 0).contains { $0.elementsEqual("--conf-file=\(configurationPath)".utf8) }
    }
}

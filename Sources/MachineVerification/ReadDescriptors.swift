internal import Glibc
internal import LinuxSystem

/// What a process has open, as far as devices and sockets go.
struct OpenDescriptors {
    /// Character devices, with their numbers.
    var devices: [(path: String, number: UInt64)] = []
    /// The TAPs, each as often as it is open.
    var taps: [String] = []
    /// The connected Unix sockets, by their own path or the peer's; nil where the kernel does not let us look.
    var connections: [String]? = []

    /// - Parameter root: the process' directory in proc.
    init(pid: Int32, root: String) {
        let process = try? Process(pid: pid)
        for name in (try? File.list("\(root)/fd")) ?? [] {
            let path = "\(root)/fd/\(name)"
            let target = Self.target(of: path)
            if target.hasPrefix("socket:"), let number = Int32(name), let process {
                do {
                    let socket = try process.descriptor(number)
                    if let path = UnixSocket.path(connected: socket) { connections?.append(path) }
                } catch {
                    // It may have been closed meanwhile.
                    if error.code != EBADF { connections = nil }
                }
            } else if target.hasPrefix("/dev/") {
                var information = stat()
                guard stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFCHR else { continue }
                devices.append((target, UInt64(information.st_rdev)))
                if let tap = Self.tap("\(root)/fdinfo/\(name)") { taps.append(tap) }
            }
        }
    }

    private static func target(of path: String) -> String {
        let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
            count = buffer.baseAddress.map { max(readlink(path, $0, buffer.count), 0) } ?? 0
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A TUN descriptor's information has a line `iff:`, with the link that it belongs to.
    private static func tap(_ path: String) -> String? {
        let lines = (try? File.text(path, limit: 4096))?.split(separator: "\n") ?? []
        guard let line = lines.first(where: { $0.hasPrefix("iff:") }) else { return nil }
        return String(line.dropFirst("iff:".count).drop { $0 == "\t" || $0 == " " })
    }
}

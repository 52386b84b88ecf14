internal import Glibc
internal import LinuxSystem

/// Notices that a log file grew (inotify(7)) or was replaced by another one.
struct FileChanges {
    private let notifications: FileDescriptor
    private let path: String

    init(of path: String) throws(SystemError) {
        let raw = inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK))
        guard raw >= 0 else { throw .last("inotify_init1") }
        notifications = FileDescriptor(owning: raw)
        self.path = path
        // The directory, because a rotated log is another file under the same name.
        let directory = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        guard inotify_add_watch(raw, directory, UInt32(IN_MODIFY | IN_CREATE | IN_MOVED_TO)) >= 0 else {
            throw .last("inotify_add_watch", directory)
        }
    }

    /// Waits for a change; false when the time is up first.
    func wait(milliseconds: Int32) throws(SystemError) -> Bool {
        guard try notifications.wait(for: Int16(POLLIN), milliseconds: milliseconds) else { return false }
        _ = try? notifications.read(upTo: 65536)
        return true
    }

    /// The file that has the path now, if `file` was renamed or removed and there is a new one.
    func replaced(_ file: FileDescriptor) throws(SystemError) -> FileDescriptor? {
        guard File.exists(path) else { return nil }
        let now = try FileDescriptor.open(path, O_RDONLY)
        return try Self.name(of: now) == Self.name(of: file) ? nil : now
    }

    /// What the kernel calls an open file: its path, marked when it is gone (proc(5), /proc/pid/fd).
    private static func name(of file: FileDescriptor) throws(SystemError) -> [UInt8] {
        let link = "/proc/self/fd/\(file.raw)"
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(PATH_MAX)) { buffer, count in
            count = buffer.baseAddress.map { max(readlink(link, $0, buffer.count), 0) } ?? 0
        }
        guard !bytes.isEmpty else { throw .last("readlink", link) }
        return bytes
    }
}

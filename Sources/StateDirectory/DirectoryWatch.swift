import Glibc
import LinuxSystem

/// Tells that a file of a directory was replaced or removed (inotify(7)).
struct DirectoryWatch {
    private let descriptor: FileDescriptor

    /// - Throws: `SystemError`; EMFILE when the user has too many watches.
    init(_ path: String) throws(SystemError) {
        let raw = try check(inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK)), "inotify_init1")
        descriptor = FileDescriptor(owning: raw)
        guard inotify_add_watch(raw, path, UInt32(IN_MOVED_TO) | UInt32(IN_DELETE)) >= 0 else {
            throw .last("inotify_add_watch", path)
        }
    }

    /// Forgets what has happened up to now.
    func clear() { while let bytes = try? descriptor.read(upTo: 4096), !bytes.isEmpty {} }

    /// Blocks until something has happened since ``clear()``, or the time is up.
    func wait(milliseconds: Int32) { _ = try? descriptor.wait(for: Int16(POLLIN), milliseconds: milliseconds) }
}

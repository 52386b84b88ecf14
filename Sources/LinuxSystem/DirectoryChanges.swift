import Glibc

/// Tells that something was made, written, replaced or removed in directories (inotify(7)). One that is not there yet is
/// waited for in its nearest ancestor. Not for several threads at a time.
public struct DirectoryChanges: Sendable {
    /// Readable when something has happened since ``clear()``.
    public let descriptor: FileDescriptor
    private var watches: Set<Int32> = []

    /// Of an ancestor it is of interest alone whether something comes: /run has a file that every iptables opens.
    private static let arrivals = UInt32(IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) | IN_MASK_ADD.magnitude
    private static let all = arrivals | UInt32(IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE)

    /// Watches nothing yet.
    ///
    /// - Throws: `SystemError`; EMFILE when the user has too many watches.
    public init() throws(SystemError) {
        let raw = try check(inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK)), "inotify_init1")
        descriptor = FileDescriptor(owning: raw)
    }

    /// Watches these directories and no others. To be called again after every change and before the directories are
    /// read, as they come and go themselves.
    ///
    /// - Parameter directories: absolute paths. One that cannot be watched is left out.
    public mutating func watch(_ directories: Set<String>) {
        var wanted: Set<Int32> = []
        for directory in directories { if let watch = add(directory) { wanted.insert(watch) } }
        for watch in watches.subtracting(wanted) { inotify_rm_watch(descriptor.raw, watch) }
        watches = wanted
    }

    /// Forgets what has happened up to now.
    public func clear() { while let bytes = try? descriptor.read(upTo: 4096), !bytes.isEmpty {} }

    /// The watch on a directory or on its nearest ancestor.
    private mutating func add(_ directory: String) -> Int32? {
        let parts = directory.split(separator: "/")
        func path(_ depth: Int) -> String { "/" + parts[..<depth].joined(separator: "/") }
        var depth = parts.count
        // Up until something is there, and down again where more came meanwhile.
        for _ in 0...2 * parts.count {
            let watch = inotify_add_watch(
                descriptor.raw, path(depth), depth == parts.count ? Self.all : Self.arrivals)
            if watch >= 0 {
                watches.insert(watch)
                if depth == parts.count || !File.exists(path(depth + 1)) { return watch }
                depth += 1
            } else {
                if depth == 0 { return nil }
                depth -= 1
            }
        }
        return nil
    }
}

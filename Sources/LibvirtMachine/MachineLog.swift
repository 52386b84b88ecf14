import Glibc
import LinuxSystem

/// What QEMU says of a machine. libvirt opens the file, in the node's memory, and QEMU appends to it.
struct MachineLog: Sendable {
    let path: String
    /// Bytes beyond which it is emptied.
    static let limit: Int64 = 1 << 20

    init(_ path: String) { self.path = path }

    /// Empties it when it has grown too long: a guest can have its devices complain for ever, and `/run` is the node's.
    ///
    /// - Returns: whether it did so.
    func bound() throws(SystemError) -> Bool {
        let file = try FileDescriptor.open(path, O_WRONLY | O_APPEND | O_NOFOLLOW)
        var information = stat()
        guard fstat(file.raw, &information) == 0 else { throw .last("stat", path) }
        guard information.st_size > Self.limit else { return false }
        guard ftruncate(file.raw, 0) == 0 else { throw .last("empty", path) }
        let note = "slipway: more than \(Self.limit >> 20) MiB were said before this, and are dropped\n"
        try file.write(Array(note.utf8))
        return true
    }

    /// The last line that tells why a machine ended; nil without one.
    var reason: String? {
        let lines = ((try? File.text(path, limit: 2 * Int(Self.limit))) ?? "").split(separator: "\n")
        return lines.last { !$0.contains("terminating on signal") && !$0.hasPrefix("20") }.map(String.init)
    }
}

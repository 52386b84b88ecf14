public import LinuxSystem

/// Why there is nothing to boot in an image's file system tree. Names in it are the tenant's and are shown escaped.
public enum DiskImageError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No disk in `/disk/` or `/`.
    case none
    /// More than one disk: their paths in the image, sorted.
    case several([String])
    /// The path that was asked for is not in the image.
    case missing(String)
    /// Something at that path that is no regular file.
    case notRegular(String)
    /// A file, by its path in the image, that is no disk to boot from.
    case refused(String, DiskImage.Refusal)
    /// A directory with more entries than are looked at.
    case tooManyEntries(String, limit: Int)
    /// More than one kernel, or more than one initrd for it: their paths in the image, sorted.
    case severalKernels([String])
    /// A file for the direct kernel boot that cannot be used: its path and why.
    case kernel(String, String)
    /// The tree could not be read.
    case system(SystemError)

    /// What was found, what is accepted and what would help.
    public var description: String {
        switch self {
        case .none:
            "the image holds no disk: put one QCOW2 or raw disk into /disk/ (or /), "
                + "or a kernel at /boot/vmlinuz with its initrd"
        case .several(let paths):
            "the image holds \(paths.count) disks (\(Self.list(paths))); one is booted: "
                + "choose it with the annotation slipway.dev/disk"
        case .missing(let path):
            "slipway.dev/disk: the image holds no \"\(escaped(path))\"; a path in the image is needed, "
                + "for example /disk/disk.qcow2"
        case .notRegular(let path):
            "\"\(escaped(path))\" is no regular file; a QCOW2 or raw disk image is needed"
        case .refused(let path, let refusal):
            "\"\(escaped(path))\" \(refusal)"
        case .tooManyEntries(let path, let limit):
            "\"\(escaped(path))\" has more than \(limit) entries: put the disk into /disk/, alone"
        case .severalKernels(let paths):
            "the image holds several of \(Self.list(paths)), and which of them to boot is not clear: "
                + "leave one kernel, or one kernel with an initrd of the same suffix"
        case .kernel(let path, let reason):
            "\"\(escaped(path))\" \(reason)"
        case .system(let error):
            error.description
        }
    }

    private static func list(_ paths: [String]) -> String {
        let shown = paths.prefix(8).map { "\"\(escaped($0))\"" }.joined(separator: ", ")
        return paths.count > 8 ? shown + ", ..." : shown
    }
}

import Glibc
public import LinuxSystem

extension CloudInitSeed {
    /// The largest file of a seed directory in bytes. A ConfigMap or Secret as a whole is at most 1 MiB.
    public static let fileLimit = 1 << 20

    private static let openPath: Int32 = 0o10000000  // O_PATH, which glibc's headers hide without _GNU_SOURCE

    /// Reads the files that a pod brings in the source of its mount at `/var/lib/cloud/seed/nocloud`.
    ///
    /// They have the names of the seed's kind; user-data, which is the same in both, may have the other's. Any other file
    /// of the other kind would be lost, and is refused unless its counterpart is there too.
    ///
    /// The directory is written by others, in an emptyDir even while it is read: links are resolved inside of it (a
    /// ConfigMap's names are links to `..data/`), and only regular files are opened.
    ///
    /// - Parameters:
    ///   - directory: the directory, open.
    ///   - kind: the kind of the seed that the files are for.
    /// - Returns: the files that are there; names that are none of a seed's are ignored.
    /// - Throws: ``GuestConfigurationError/seedFile(_:reason:)`` or ``GuestConfigurationError/system(_:)``.
    public static func overrides(
        in directory: FileDescriptor, for kind: SeedKind = .noCloud
    ) throws(GuestConfigurationError) -> [File: [UInt8]] {
        let other: SeedKind = kind == .noCloud ? .configDrive : .noCloud
        var files: [File: [UInt8]] = [:]
        for file in File.allCases {
            files[file] = try read(kind.name(file), in: directory)
            guard files[file] == nil, let stray = try read(other.name(file), in: directory) else { continue }
            guard file == .userData else {
                throw .seedFile(
                    other.name(file),
                    reason: "is no file of a \(kind.word) seed, where \(kind.name(file)) is accepted")
            }
            files[file] = stray
        }
        return files
    }

    /// Reads a file; nil when there is none of that name.
    private static func read(
        _ name: String, in directory: FileDescriptor
    ) throws(GuestConfigurationError) -> [UInt8]? {
        do throws(SystemError) {
            let handle = try FileDescriptor.open(name, in: directory, openPath)
            var information = stat()
            guard fstat(handle.raw, &information) == 0 else { throw SystemError.last("fstat", name) }
            guard information.st_mode & S_IFMT == S_IFREG else { throw SystemError("open", code: EINVAL) }
            // Through the handle, so that what is opened is what was looked at.
            let opened = try FileDescriptor.open("/proc/self/fd/\(handle.raw)", O_RDONLY | O_NONBLOCK | O_NOCTTY)
            withExtendedLifetime(handle) {}
            return try opened.readToEnd(limit: fileLimit)
        } catch {
            switch error.code {
            case ENOENT where !isDangling(name, in: directory): return nil
            case ENOENT, ELOOP, ENOTDIR, EXDEV:
                throw .seedFile(name, reason: "is a link that leads nowhere in its own volume")
            case EINVAL: throw .seedFile(name, reason: "is no regular file")
            case EFBIG: throw .seedFile(name, reason: "is longer than \(fileLimit) bytes")
            default: throw .system(SystemError(error.operation, name, code: error.code))
            }
        }
    }

    private static func isDangling(_ name: String, in directory: FileDescriptor) -> Bool {
        var information = stat()
        return fstatat(directory.raw, name, &information, AT_SYMLINK_NOFOLLOW) == 0
    }
}

import Glibc
public import LinuxSystem

extension CloudInitSeed {
    /// The largest file of a seed directory in bytes. A ConfigMap or Secret as a whole is at most 1 MiB.
    public static let fileLimit = 1 << 20

    private static let openPath: Int32 = 0o10000000  // O_PATH, which glibc's headers hide without _GNU_SOURCE

    /// Reads the files that a pod brings in the source of its mount at `/var/lib/cloud/seed/nocloud`.
    ///
    /// The directory is written by others, in an emptyDir even while it is read: links are resolved inside of it (a
    /// ConfigMap's names are links to `..data/`), and only regular files are opened.
    ///
    /// - Returns: the files that are there; names that are none of a seed's are ignored.
    /// - Throws: ``GuestConfigurationError/seedFile(_:reason:)`` or ``GuestConfigurationError/system(_:)``.
    public static func overrides(in directory: FileDescriptor) throws(GuestConfigurationError) -> [File: [UInt8]] {
        var files: [File: [UInt8]] = [:]
        for file in File.allCases {
            do throws(SystemError) {
                let handle = try FileDescriptor.open(file.rawValue, in: directory, openPath)
                var information = stat()
                guard fstat(handle.raw, &information) == 0 else { throw SystemError.last("fstat", file.rawValue) }
                guard information.st_mode & S_IFMT == S_IFREG else { throw SystemError("open", code: EINVAL) }
                // Through the handle, so that what is opened is what was looked at.
                let opened = try FileDescriptor.open("/proc/self/fd/\(handle.raw)", O_RDONLY | O_NONBLOCK | O_NOCTTY)
                withExtendedLifetime(handle) {}
                files[file] = try opened.readToEnd(limit: fileLimit)
            } catch {
                switch error.code {
                case ENOENT where !isDangling(file, in: directory): continue
                case ENOENT, ELOOP, ENOTDIR, EXDEV:
                    throw .seedFile(file.rawValue, reason: "is a link that leads nowhere in its own volume")
                case EINVAL: throw .seedFile(file.rawValue, reason: "is no regular file")
                case EFBIG: throw .seedFile(file.rawValue, reason: "is longer than \(fileLimit) bytes")
                default: throw .system(SystemError(error.operation, file.rawValue, code: error.code))
                }
            }
        }
        return files
    }

    private static func isDangling(_ file: File, in directory: FileDescriptor) -> Bool {
        var information = stat()
        return fstatat(directory.raw, file.rawValue, &information, AT_SYMLINK_NOFOLLOW) == 0
    }
}

import Glibc
public import LinuxSystem

/// A regular file of an image, open for reading.
public struct ImageFile: Sendable {
    /// Its path in the image, as it was asked for; symbolic links in it may have been followed.
    public let path: String
    /// Open read-only. The one sure way to hand the file on: no path can be made to lead elsewhere.
    public let file: FileDescriptor
    /// Its length in bytes.
    public let size: UInt64
    /// Whether its mode lets everybody read it.
    public let isReadableByAll: Bool
    /// Device and inode: the same for two names of one file.
    let identity: [UInt64]

    /// The file's path on the node, free of symbolic links and inside the tree, for those who take only paths.
    ///
    /// - Throws: `SystemError` with ENOENT when the file has been removed meanwhile.
    public func hostPath() throws(SystemError) -> String {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map { readlink("/proc/self/fd/\(file.raw)", $0, bytes.count) } ?? -1
        }
        guard count > 0 else { throw .last("readlink", path) }
        let target = String(decoding: buffer.prefix(count), as: UTF8.self)
        var information = stat()
        guard lstat(target, &information) == 0 else { throw .last("lstat", target) }
        guard [UInt64(information.st_dev), UInt64(information.st_ino)] == identity else {
            throw SystemError("find", target, code: ENOENT)
        }
        return target
    }
}

/// The file system tree of an image. It is the tenant's: a link in it may point anywhere, and any name may be a FIFO
/// or a device node, which must not even be opened (a watchdog's would start it).
struct ImageTree {
    static let largestDirectory = 4096
    private static let openPath: Int32 = 0o10000000  // O_PATH, which glibc's headers hide without _GNU_SOURCE

    let root: FileDescriptor

    /// Opens a regular file; nil when nothing, or something else, is there.
    func regularFile(_ path: String) throws(SystemError) -> ImageFile? {
        switch try look(path) {
        case .file(let file): file
        case .other, .nothing: nil
        }
    }

    enum Entry {
        case file(ImageFile)
        case other
        case nothing
    }

    func look(_ path: String) throws(SystemError) -> Entry {
        guard !path.utf8.contains(0) else { return .nothing }
        do throws(SystemError) {
            let handle = try FileDescriptor.open(path, in: root, Self.openPath)
            var information = stat()
            guard fstat(handle.raw, &information) == 0 else { throw SystemError.last("fstat", path) }
            guard information.st_mode & S_IFMT == S_IFREG else { return .other }
            // Through the handle, so that what is opened is what was looked at.
            let file = try FileDescriptor.open("/proc/self/fd/\(handle.raw)", O_RDONLY | O_NONBLOCK | O_NOCTTY)
            withExtendedLifetime(handle) {}
            return .file(
                ImageFile(
                    path: path, file: file, size: UInt64(max(0, information.st_size)),
                    isReadableByAll: information.st_mode & S_IROTH != 0,
                    identity: [UInt64(information.st_dev), UInt64(information.st_ino)]))
        } catch {
            if [ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EXDEV].contains(error.code) { return .nothing }
            throw error
        }
    }

    /// The names in a directory, sorted, without hidden ones, `lost+found` and those that are not UTF-8; empty when
    /// there is no such directory.
    func names(in path: String) throws(DiskImageError) -> [String] {
        let handle: FileDescriptor
        do throws(SystemError) {
            handle = try FileDescriptor.open(path, in: root, O_RDONLY | O_DIRECTORY)
        } catch {
            if [ENOENT, ENOTDIR, ELOOP].contains(error.code) { return [] }
            throw .system(error)
        }
        guard let directory = fdopendir(handle.raw) else { throw .system(.last("fdopendir", path)) }
        _ = handle.release()
        defer { closedir(directory) }
        var names: [String] = []
        var count = 0
        while let entry = readdir(directory) {
            count += 1
            guard count <= Self.largestDirectory else {
                throw .tooManyEntries(path, limit: Self.largestDirectory)
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(validating: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let name, !name.hasPrefix("."), name != "lost+found" { names.append(name) }
        }
        return names.sorted()
    }

    /// The regular files of a directory whose names `accept` takes; of several names of one file, the first.
    func regularFiles(in path: String, where accept: (String) -> Bool) throws(DiskImageError) -> [ImageFile] {
        var files: [ImageFile] = []
        for name in try names(in: path) where accept(name) {
            let found: ImageFile?
            do throws(SystemError) {
                found = try regularFile(path == "/" ? "/\(name)" : "\(path)/\(name)")
            } catch {
                throw .system(error)
            }
            if let found, !files.contains(where: { $0.identity == found.identity }) { files.append(found) }
        }
        return files
    }
}

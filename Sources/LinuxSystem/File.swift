import CLinux
import Glibc

/// Small files, directories and trees by path. Everything blocks; nothing is cached.
public enum File {
    /// The whole content, at most `limit` bytes (EFBIG beyond that).
    public static func read(_ path: String, limit: Int = 1 << 20) throws(SystemError) -> [UInt8] {
        let file = try FileDescriptor.open(path, O_RDONLY)
        do {
            return try file.readToEnd(limit: limit)
        } catch {
            throw SystemError("read", path, code: error.code)
        }
    }

    /// The whole content as text, invalid UTF-8 repaired.
    public static func text(_ path: String, limit: Int = 1 << 20) throws(SystemError) -> String {
        String(decoding: try read(path, limit: limit), as: UTF8.self)
    }

    /// Writes into an existing file, as procfs, sysfs and cgroupfs want it: one write(2), no creation.
    public static func put(_ text: String, into path: String) throws(SystemError) {
        let file = try FileDescriptor.open(path, O_WRONLY)
        do {
            try file.write(Array(text.utf8))
        } catch {
            throw SystemError("write \"\(text)\" to", path, code: error.code)
        }
    }

    /// Replaces a file as a whole: a temporary file beside it, fsync, rename. Readers see the old or the new content.
    public static func replace(_ path: String, with bytes: [UInt8], mode: UInt32 = 0o600) throws(SystemError) {
        let temporary = "\(path).\(slipway_gettid()).new"
        do {
            let file = try FileDescriptor.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: mode)
            try file.write(bytes)
            guard fsync(file.raw) == 0 else { throw SystemError.last("fsync", temporary) }
            guard rename(temporary, path) == 0 else { throw SystemError.last("rename", path) }
        } catch {
            _ = unlink(temporary)
            throw SystemError("write", path, code: (error as? SystemError)?.code ?? EIO)
        }
    }

    /// Whether anything, a dangling link included, is at the path.
    public static func exists(_ path: String) -> Bool {
        var information = stat()
        return lstat(path, &information) == 0
    }

    /// What a symbolic link says; nil where there is none.
    public static func target(of path: String) -> String? {
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(PATH_MAX)) { buffer, count in
            count = buffer.baseAddress.map { max(readlink(path, $0, buffer.count), 0) } ?? 0
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }

    /// Creates a directory and its missing parents. An existing directory is left as it is.
    public static func makeDirectory(_ path: String, mode: UInt32 = 0o700) throws(SystemError) {
        if mkdir(path, mode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw .last("mkdir", path)
        }
        try makeDirectory(String(path[..<slash]), mode: mode)
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw .last("mkdir", path) }
    }

    /// The names in a directory without `.` and `..`, sorted.
    public static func list(_ path: String) throws(SystemError) -> [String] {
        guard let directory = opendir(path) else { throw .last("opendir", path) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Removes a file; nothing there is fine.
    public static func remove(_ path: String) throws(SystemError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw .last("unlink", path) }
    }

    /// Removes a tree without following symbolic links and without going into anything that is mounted in it, be it
    /// another file system or a part of the same one (`mount --bind`), so that a forgotten mount is never emptied.
    /// Nothing there is fine.
    ///
    /// - Throws: `SystemError` with EXDEV for a directory that is a mount point, EBUSY for a file that is one.
    public static func removeTree(_ path: String) throws(SystemError) {
        guard let isDirectory = try isDirectory(path) else { return }
        guard isDirectory else { return try remove(path) }
        try removeTree(path, mount: try mount(of: path))
    }

    private static func removeTree(_ path: String, mount: String) throws(SystemError) {
        let names: [String]
        do throws(SystemError) {
            guard try self.mount(of: path) == mount else { throw SystemError("remove", path, code: EXDEV) }
            names = try list(path)
        } catch {
            // Somebody else may be removing the same tree.
            if error.code == ENOENT { return }
            throw error
        }
        for name in names {
            let entry = "\(path)/\(name)"
            switch try isDirectory(entry) {
            case nil: continue
            case false?: try remove(entry)
            case true?: try removeTree(entry, mount: mount)
            }
        }
        guard rmdir(path) == 0 || errno == ENOENT else { throw .last("rmdir", path) }
    }

    /// nil when nothing is there; a link is not a directory.
    private static func isDirectory(_ path: String) throws(SystemError) -> Bool? {
        var information = stat()
        guard lstat(path, &information) == 0 else {
            if errno == ENOENT { return nil }
            throw .last("lstat", path)
        }
        return information.st_mode & S_IFMT == S_IFDIR
    }

    /// The mount that a directory belongs to (`mnt_id`, proc_pid_fdinfo(5)); device numbers are the same on both sides
    /// of a bind mount.
    private static func mount(of directory: String) throws(SystemError) -> String {
        let descriptor = try FileDescriptor.open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        let lines = try text("/proc/self/fdinfo/\(descriptor.raw)", limit: 4096).split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix("mnt_id:") }) else {
            throw SystemError("find the mount of", directory, code: EINVAL)
        }
        return String(line)
    }

    /// The file system's magic number (statfs(2) `f_type`) and block size; for hugetlbfs that is the page size.
    public static func fileSystem(_ path: String) throws(SystemError) -> (type: Int64, blockSize: UInt64) {
        var blockSize: UInt64 = 0
        let type = slipway_filesystem_type(path, &blockSize)
        guard type >= 0 else { throw SystemError("statfs", path, code: Int32(truncatingIfNeeded: type)) }
        return (type, blockSize)
    }

    /// Takes an advisory lock (flock(2)) that is held as long as the returned descriptor lives, across kill -9 too.
    public static func lock(_ path: String, exclusive: Bool = true) throws(SystemError) -> FileDescriptor {
        let file = try FileDescriptor.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
        try check(slipway_lock(file.raw, exclusive ? 1 : 0, 1), "flock", path)
        return file
    }
}

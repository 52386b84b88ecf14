import CLinux
import Glibc
import Synchronization

/// An open descriptor with one owner: closed when the last reference goes, or earlier by ``close()``.
///
/// Safe to use from several threads. Closing while another thread blocks on it does not wake that thread; shut the
/// socket down or end the peer first.
public final class FileDescriptor: Sendable {
    private let number: Atomic<Int32>

    /// Takes ownership of an open descriptor.
    public init(owning raw: Int32) {
        number = Atomic(raw)
    }

    /// Opens a path with `O_CLOEXEC` added to `flags`.
    public static func open(_ path: String, _ flags: Int32, mode: UInt32 = 0) throws(SystemError) -> FileDescriptor {
        FileDescriptor(owning: try check(slipway_open(path, flags, mode), "open", path))
    }

    /// Opens a directory.
    public static func openDirectory(_ path: String) throws(SystemError) -> FileDescriptor {
        try open(path, O_RDONLY | O_DIRECTORY)
    }

    /// Opens a path below a directory; symbolic links are resolved as if that directory were the root
    /// (openat2(2), `RESOLVE_IN_ROOT`), so that a tenant's tree cannot lead out of itself.
    public static func open(
        _ path: String, in root: FileDescriptor, _ flags: Int32, mode: UInt32 = 0
    ) throws(SystemError) -> FileDescriptor {
        FileDescriptor(owning: try check(slipway_open_in_root(root.raw, path, flags, mode), "open", path))
    }

    /// The number; -1 once closed.
    public var raw: Int32 { number.load(ordering: .acquiring) }

    /// Gives up ownership: the caller has to close what is returned.
    public func release() -> Int32 { number.exchange(-1, ordering: .acquiringAndReleasing) }

    /// Closes now. Further calls do nothing.
    public func close() {
        let raw = release()
        if raw >= 0 { _ = Glibc.close(raw) }
    }

    deinit { close() }

    /// Reads up to `count` bytes; an empty array is the end of the file.
    ///
    /// Retries on EINTR; EAGAIN of a non-blocking descriptor is thrown.
    public func read(upTo count: Int) throws(SystemError) -> [UInt8] {
        var got = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            repeat { got = Glibc.read(raw, buffer.baseAddress, count) } while got < 0 && errno == EINTR
            initialized = max(got, 0)
        }
        guard got >= 0 else { throw .last("read") }
        return bytes
    }

    /// Reads exactly `count` bytes; nil if the end comes before the first one.
    ///
    /// - Throws: `SystemError` with EPIPE when the end comes in the middle.
    public func read(exactly count: Int) throws(SystemError) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            let more = try read(upTo: count - bytes.count)
            if more.isEmpty {
                if bytes.isEmpty { return nil }
                throw SystemError("read", code: EPIPE)
            }
            bytes += more
        }
        return bytes
    }

    /// Reads to the end, at most `limit` bytes.
    ///
    /// - Throws: `SystemError` with EFBIG when there is more than `limit`.
    public func readToEnd(limit: Int) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            let more = try read(upTo: min(65536, limit + 1 - bytes.count))
            if more.isEmpty { return bytes }
            bytes += more
            if bytes.count > limit { throw SystemError("read", code: EFBIG) }
        }
    }

    /// Reads up to `count` bytes at an offset (pread(2)); fewer at the end of the file.
    public func read(upTo count: Int, at offset: Int64) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            var got = 0
            let already = bytes.count
            let more = [UInt8](unsafeUninitializedCapacity: count - already) { buffer, initialized in
                repeat {
                    got = pread(raw, buffer.baseAddress, count - already, off_t(offset) + off_t(already))
                } while got < 0 && errno == EINTR
                initialized = max(got, 0)
            }
            guard got >= 0 else { throw .last("pread") }
            if got == 0 { break }
            bytes += more
        }
        return bytes
    }

    /// Writes every byte, blocking as the descriptor does.
    public func write(_ bytes: some Collection<UInt8>) throws(SystemError) {
        let all = Array(bytes)
        var sent = 0
        while sent < all.count {
            let count = all.withUnsafeBytes { buffer in
                Glibc.write(raw, buffer.baseAddress?.advanced(by: sent), buffer.count - sent)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw .last("write")
            }
            sent += count
        }
    }

    /// Writes every byte at an offset (pwrite(2)), in one piece as far as the file system does.
    public func write(_ bytes: [UInt8], at offset: Int64) throws(SystemError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                pwrite(raw, buffer.baseAddress?.advanced(by: sent), buffer.count - sent, off_t(offset) + off_t(sent))
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw .last("pwrite")
            }
            sent += count
        }
    }

    /// Writes what fits now; returns the number of bytes taken, 0 when a non-blocking descriptor is full.
    public func writeSome(_ bytes: ArraySlice<UInt8>) throws(SystemError) -> Int {
        while true {
            let count = bytes.withUnsafeBytes { Glibc.write(raw, $0.baseAddress, $0.count) }
            if count >= 0 { return count }
            if errno == EAGAIN { return 0 }
            if errno != EINTR { throw .last("write") }
        }
    }

    /// Another descriptor of the same open file (dup(2)); the file's flags, `O_NONBLOCK` too, are shared.
    public func duplicate() throws(SystemError) -> FileDescriptor {
        FileDescriptor(owning: try check(fcntl(raw, F_DUPFD_CLOEXEC, 3), "fcntl"))
    }

    /// Switches `O_NONBLOCK`.
    public func setNonBlocking(_ on: Bool = true) throws(SystemError) {
        try check(slipway_set_nonblocking(raw, on ? 1 : 0), "fcntl")
    }

    /// Waits until the descriptor is ready for any of `events` (poll(2)); false when the time is up first.
    public func wait(for events: Int16, milliseconds: Int32 = -1) throws(SystemError) -> Bool {
        var entry = pollfd(fd: raw, events: events, revents: 0)
        while true {
            let count = poll(&entry, 1, milliseconds)
            if count >= 0 { return count > 0 }
            if errno != EINTR { throw .last("poll") }
        }
    }

    /// A file without a name that holds `bytes` (memfd_create(2)), to be read from its beginning. For a child's input: it
    /// needs nobody who writes while the child reads.
    ///
    /// - Parameter name: for people who look into `/proc`.
    public static func memory(_ name: String, holding bytes: [UInt8]) throws(SystemError) -> FileDescriptor {
        let file = FileDescriptor(owning: try check(slipway_memfd(name), "memfd_create", name))
        try file.write(bytes)
        guard lseek(file.raw, 0, SEEK_SET) == 0 else { throw .last("lseek", name) }
        return file
    }

    /// A pipe; both ends have `O_CLOEXEC`.
    public static func pipe() throws(SystemError) -> (read: FileDescriptor, write: FileDescriptor) {
        var ends: [Int32] = [-1, -1]
        try check(slipway_pipe(&ends), "pipe")
        return (FileDescriptor(owning: ends[0]), FileDescriptor(owning: ends[1]))
    }
}

extension FileDescriptor {
    /// An eventfd(2): readable after ``signalEvent()`` until ``clearEvent()``.
    public static func event() throws(SystemError) -> FileDescriptor {
        FileDescriptor(owning: try check(slipway_eventfd(), "eventfd"))
    }

    /// Makes an eventfd readable.
    public func signalEvent() {
        var one: UInt64 = 1
        _ = Glibc.write(raw, &one, 8)
    }

    /// Makes a readable eventfd unreadable again. Blocks while it is not readable.
    public func clearEvent() {
        var count: UInt64 = 0
        _ = Glibc.read(raw, &count, 8)
    }
}

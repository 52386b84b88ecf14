import Glibc
import LinuxSystem

/// An open output of a container: everything that is written reaches the endpoint as far as somebody reads there.
public final class Output: Sendable {
    private let writer: BoundedWriter?
    /// Both ends of a FIFO are held, so that a containerd that restarts finds its data and nobody gets EPIPE.
    private let readEnd: FileDescriptor?
    /// One more writing end, of a FIFO that nobody had opened for reading yet.
    private let awaited: FileDescriptor?
    private let logger: Logger?

    /// Opens an endpoint. Never blocks on a FIFO without a reader.
    ///
    /// - Parameters:
    ///   - owner: the container's id and namespace, for logging programs.
    ///   - limit: bytes that wait for a reader; of more, the oldest are dropped.
    public init(_ endpoint: Endpoint, owner: (id: String, namespace: String), limit: Int = 1 << 20) throws {
        var readEnd: FileDescriptor?
        var awaited: FileDescriptor?
        var logger: Logger?
        switch endpoint {
        case .none:
            writer = nil
        case .fifo(let path):
            var information = stat()
            let isFIFO = stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFIFO
            if isFIFO {
                // ENXIO: no reader (fifo(7)); one that waits in open(2) counts. It must not be closed before the other
                // ends are open, as that reader would take it for the end.
                let writing = try? FileDescriptor.open(path, O_WRONLY | O_NONBLOCK)
                // O_RDWR never blocks on Linux (fifo(7)); the writing end alone would fail without a reader.
                readEnd = try FileDescriptor.open(path, O_RDWR | O_NONBLOCK)
                awaited = writing == nil ? try FileDescriptor.open(path, O_WRONLY | O_NONBLOCK) : nil
                writer = try BoundedWriter(writing ?? .open(path, O_WRONLY | O_NONBLOCK), limit: limit)
            } else {
                writer = try BoundedWriter(
                    FileDescriptor.open(path, O_WRONLY | O_APPEND | O_CREAT, mode: 0o644), limit: limit)
            }
        case .file(let path):
            if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
                try File.makeDirectory(String(path[..<slash]), mode: 0o755)
            }
            writer = try BoundedWriter(
                FileDescriptor.open(path, O_WRONLY | O_APPEND | O_CREAT, mode: 0o644), limit: limit)
        case .binary(let path, let arguments):
            let started = try Logger(path, arguments, owner: owner)
            logger = started
            writer = try BoundedWriter(started.input, limit: limit)
        }
        self.readEnd = readEnd
        self.awaited = awaited
        self.logger = logger
    }

    /// Adds bytes. Never blocks.
    public func write(_ bytes: [UInt8]) { writer?.write(bytes) }

    /// Flushes as far as somebody reads within the time, then closes, so that the reader sees the end.
    ///
    /// A FIFO that had no reader when it was opened is kept until one has come, as long as the time lasts: open(2) of a
    /// reader that comes after the last writer waits for ever, and with it whoever waits for the end of the stream.
    public func finish(milliseconds: Int64 = 10_000) async {
        let deadline = Clock.milliseconds + milliseconds
        await writer?.finish(milliseconds: milliseconds)
        readEnd?.close()
        // POLLERR at a writing end: no reader (poll(2)); its going cannot be waited for.
        while let awaited, awaited.raw >= 0, Clock.milliseconds < deadline,
            (try? awaited.wait(for: 0, milliseconds: 0)) == true
        {
            try? await Task.sleep(for: .milliseconds(5))
        }
        awaited?.close()
        await logger?.finish()
    }
}

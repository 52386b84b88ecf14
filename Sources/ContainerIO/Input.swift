import Glibc
public import LinuxSystem
import Synchronization

/// A container's stdin: a FIFO that containerd writes to, read on a thread of its own.
///
/// The end is reported once containerd has asked for it (``closeWriter()``, from Task.CloseIO) and the writers are gone;
/// a client that detaches and comes back does not end the stream, because a writing end is held open until then.
public final class Input: Sendable {
    private let reader: FileDescriptor
    private let writer: FileDescriptor
    private let stop: FileDescriptor

    /// Opens the FIFO without blocking and starts to read.
    ///
    /// - Parameters:
    ///   - path: the FIFO.
    ///   - receive: gets every chunk on the reading thread; an empty one is the end.
    public init(_ path: String, _ receive: @escaping @Sendable ([UInt8]) -> Void) throws(SystemError) {
        reader = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
        writer = try FileDescriptor.open(path, O_WRONLY | O_NONBLOCK)
        stop = try FileDescriptor.event()
        try Thread.start("console-in") { [reader, stop] in
            while true {
                var entries = [
                    pollfd(fd: reader.raw, events: Int16(POLLIN), revents: 0),
                    pollfd(fd: stop.raw, events: Int16(POLLIN), revents: 0),
                ]
                if poll(&entries, 2, -1) < 0 && errno == EINTR { continue }
                if entries[1].revents != 0 { break }
                guard let bytes = try? reader.read(upTo: 4096) else { break }
                receive(bytes)
                if bytes.isEmpty { break }
            }
            reader.close()
        }
    }

    /// No more writers than containerd's are expected: their end is the end.
    public func closeWriter() { writer.close() }

    /// Stops reading and closes the FIFO.
    public func close() {
        writer.close()
        stop.signalEvent()
    }
}

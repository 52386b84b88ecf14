import Glibc
import LinuxSystem
import Sandbox
import StateDirectory

/// The sandbox's log: lines for containerd's log FIFO, which may have no reader, and for a file of the sandbox's own.
struct Log: Sendable {
    private let file: FileDescriptor?
    private let fifo: FileDescriptor?
    private let sandbox: String

    init(directory: StateDirectory, bundle: String, sandbox: String) {
        file = try? FileDescriptor.open(directory.log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, mode: 0o600)
        fifo = try? FileDescriptor.open("\(bundle)/log", O_WRONLY | O_NONBLOCK)
        self.sandbox = sandbox
    }

    /// Writes a line; never blocks, never fails.
    @Sendable func write(_ message: String) {
        let now = Timestamp.now
        let milliseconds = now.nanoseconds / 1_000_000
        let line =
            "\(now.seconds).\(String(milliseconds + 1000).dropFirst()) sandbox=\(sandbox.prefix(13)) \(message)\n"
        try? file?.write(Array(line.utf8))
        _ = try? fifo?.writeSome(Array(line.utf8)[...])
    }
}

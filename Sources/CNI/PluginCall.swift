import Glibc
import LinuxSystem

/// One execution of a plugin, bounded in time and output.
struct PluginCall {
    /// Bytes of standard output that are read.
    static let outputLimit = 1 << 20
    /// Bytes of standard error that are kept: the last ones.
    static let wordsLimit = 2048

    let executable: String
    let environment: [String]
    let input: [UInt8]

    /// How it went.
    struct Outcome {
        /// What it printed and how it ended, or why it was ended.
        var end: Result<(output: [UInt8], status: Process.Status), PluginFailure.Reason>
        /// The end of what it wrote to standard error.
        var words: [UInt8] = []
    }

    /// Runs it to its end. What it leaves in its process group is ended with it: a daemon makes a session of its own.
    ///
    /// - Parameters:
    ///   - deadline: on ``Clock``'s milliseconds.
    ///   - milliseconds: the same as a time span, for the message.
    func run(deadline: Int64, milliseconds: Int64) -> Outcome {
        do throws(SystemError) {
            let output = try FileDescriptor.pipe()
            let errors = try FileDescriptor.pipe()
            var spawn = Spawn(executable, environment: environment)
            // A file and no pipe: a plugin that does not read its input can neither stop nor end this process.
            spawn.descriptors = [0: try .memory("cni", holding: input), 1: output.write, 2: errors.write]
            spawn.workingDirectory = "/"
            spawn.newSession = true
            spawn.diesWithParent = true
            let process = try Self.start(spawn, deadline: deadline)
            output.write.close()
            errors.write.close()
            var listener = Listener(process: process, output: output.read, errors: errors.read)
            let reason = listener.listen(deadline: deadline, milliseconds: milliseconds)
            // Before it is reaped: until then its number stays the group's.
            _ = kill(-process.pid, SIGKILL)
            // One that hangs in the kernel outlives SIGKILL for a while.
            let hasEnded = (try? process.waitForEnd(milliseconds: 500)) == true
            let status = hasEnded ? (try? process.wait()) ?? .signaled(SIGKILL) : .signaled(SIGKILL)
            return Outcome(
                end: reason.map { .failure($0) } ?? .success((listener.printed, status)), words: listener.words)
        } catch {
            return Outcome(end: .failure(.notStarted(error)))
        }
    }

    /// A plugin that is being installed at this moment cannot be executed (ETXTBSY).
    private static func start(_ spawn: Spawn, deadline: Int64) throws(SystemError) -> Process {
        let end = min(deadline, Clock.milliseconds + 1000)
        while true {
            do throws(SystemError) {
                return try spawn.start()
            } catch {
                guard error.code == ETXTBSY, Clock.milliseconds < end else { throw error }
                _ = poll(nil, 0, 10)
            }
        }
    }
}

extension PluginFailure.Reason: Error {}

/// What a plugin prints, until it has ended.
private struct Listener {
    let process: Process
    let output: FileDescriptor
    let errors: FileDescriptor
    private(set) var printed: [UInt8] = []
    private(set) var words: [UInt8] = []

    init(process: Process, output: FileDescriptor, errors: FileDescriptor) {
        self.process = process
        self.output = output
        self.errors = errors
    }

    /// Returns nil when it has ended by itself, else why it has to be ended.
    mutating func listen(deadline: Int64, milliseconds: Int64) -> PluginFailure.Reason? {
        do throws(SystemError) {
            try output.setNonBlocking()
            try errors.setNonBlocking()
            while true {
                let left = deadline - Clock.milliseconds
                guard left > 0 else { return .timedOut(milliseconds: milliseconds) }
                // Closed descriptors have the number -1, which poll(2) passes over.
                var entries = [output.raw, errors.raw, process.pidfd.raw].map {
                    pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
                }
                guard poll(&entries, 3, Int32(clamping: left)) >= 0 else {
                    if errno == EINTR { continue }
                    throw .last("poll")
                }
                // First the end, then the rest of what was printed: nothing can come in between.
                let hasEnded = entries[2].revents != 0
                if hasEnded || entries[0].revents != 0 { try readOutput() }
                if printed.count > PluginCall.outputLimit { return .tooMuchOutput(limit: PluginCall.outputLimit) }
                if hasEnded || entries[1].revents != 0 { try readWords() }
                if hasEnded { return nil }
            }
        } catch {
            return .notStarted(error)
        }
    }

    private mutating func readOutput() throws(SystemError) {
        while printed.count <= PluginCall.outputLimit, let bytes = try Self.read(output) { printed += bytes }
    }

    /// At most as much as a pipe holds at once, so that one who writes without end does not stop the clock.
    private mutating func readWords() throws(SystemError) {
        for _ in 0..<16 {
            guard let bytes = try Self.read(errors) else { return }
            words = Array((words + bytes).suffix(PluginCall.wordsLimit))
        }
    }

    /// nil when there is nothing now, or nothing any more; then the descriptor is closed.
    private static func read(_ descriptor: FileDescriptor) throws(SystemError) -> [UInt8]? {
        guard descriptor.raw >= 0 else { return nil }
        do throws(SystemError) {
            let bytes = try descriptor.read(upTo: 65536)
            if bytes.isEmpty { descriptor.close() }
            return bytes.isEmpty ? nil : bytes
        } catch {
            if error.code == EAGAIN { return nil }
            throw error
        }
    }
}

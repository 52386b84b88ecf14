import Glibc
import LinuxSystem

/// A logging program (`binary://`): it reads stdout from descriptor 3 and stderr from 4, and closes 5 when it is ready
/// (containerd's runtime v2 README, "Logging").
final class Logger: Sendable {
    /// What is written here the program reads from its descriptor 3.
    let input: FileDescriptor
    private let stderr: FileDescriptor
    private let process: LinuxSystem.Process

    /// Starts the program and waits until it is ready, 10 s at most.
    init(_ path: String, _ arguments: [String], owner: (id: String, namespace: String)) throws(SystemError) {
        let output = try FileDescriptor.pipe()
        let error = try FileDescriptor.pipe()
        let ready = try FileDescriptor.pipe()
        let null = try FileDescriptor.open("/dev/null", O_RDWR)
        var request = Spawn(
            path, arguments,
            environment: ["CONTAINER_ID=\(owner.id)", "CONTAINER_NAMESPACE=\(owner.namespace)"])
        request.descriptors = [
            0: null, 1: null, 2: null, 3: output.read, 4: error.read, 5: ready.write,
        ]
        request.newSession = true
        process = try request.start()
        input = output.write
        stderr = error.write
        ready.write.close()
        if try !ready.read.wait(for: Int16(POLLIN), milliseconds: 10_000) {
            try? process.signal(SIGKILL)
            _ = try? process.wait()
            throw SystemError("wait for logging program", path, code: ETIMEDOUT)
        }
    }

    /// Ends it: the end of its inputs, on which it is to write what it has read and end; SIGTERM after 2 s, SIGKILL
    /// 12 s later.
    func finish() async {
        input.close()
        stderr.close()
        let process = process
        _ = try? await Thread.run("logger-end") {
            if try process.waitForEnd(milliseconds: 2000) { return try process.wait() }
            try process.signal(SIGTERM)
            if try !process.waitForEnd(milliseconds: 12_000) { try process.signal(SIGKILL) }
            return try process.wait()
        }
    }
}

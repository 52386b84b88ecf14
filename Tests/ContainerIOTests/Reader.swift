import Glibc
import LinuxSystem
import Testing

/// The other end of a stream, as containerd or the CLI holds it, with a deadline on everything.
final class Reader: Sendable {
    let descriptor: FileDescriptor

    init(fifo path: String) throws {
        descriptor = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
    }

    init(_ descriptor: FileDescriptor) throws {
        self.descriptor = descriptor
        try descriptor.setNonBlocking()
    }

    /// Reads until there are `count` bytes, or to the end when `count` is nil.
    func bytes(_ count: Int? = nil, within milliseconds: Int64 = 20_000) async throws -> [UInt8] {
        try await Thread.run("reader") { [descriptor] in
            let deadline = Clock.milliseconds + milliseconds
            var bytes: [UInt8] = []
            while bytes.count < count ?? Int.max {
                let left = deadline - Clock.milliseconds
                guard left > 0, try descriptor.wait(for: Int16(POLLIN), milliseconds: Int32(left)) else {
                    throw SystemError(
                        "wait for \(count.map(String.init) ?? "the end") after \(bytes.count)", code: ETIMEDOUT)
                }
                do throws(SystemError) {
                    let more = try descriptor.read(upTo: min(65536, (count ?? Int.max) - bytes.count))
                    if more.isEmpty {
                        guard count == nil else { throw SystemError("read", code: EPIPE) }
                        return bytes
                    }
                    bytes += more
                } catch {
                    if error.code != EAGAIN { throw error }
                }
            }
            return bytes
        }
    }

    func text(_ count: Int? = nil) async throws -> String {
        String(decoding: try await bytes(count), as: UTF8.self)
    }
}

/// Numbered lines of 16 bytes: order and completeness can be seen.
func lines(_ range: Range<Int>) -> [UInt8] {
    range.flatMap { number in
        let digits = String(number)
        return Array((String(repeating: "0", count: 15 - digits.count) + digits + "\n").utf8)
    }
}

/// A write to a pipe without a reader is to be an error and not the end of the test process, as in the product.
let ignoreBrokenPipes: Void = { _ = signal(SIGPIPE, SIG_IGN) }()

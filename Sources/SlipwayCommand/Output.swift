internal import CLinux
internal import Glibc

/// Standard output and error, unbuffered: what is printed is out, whoever reads it.
enum Output {
    /// Writes all bytes; false when nobody reads any more.
    @discardableResult
    static func write(_ bytes: some Collection<UInt8>, to descriptor: Int32 = 1) -> Bool {
        let all = Array(bytes)
        var sent = 0
        while sent < all.count {
            let count = all.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress?.advanced(by: sent), buffer.count - sent)
            }
            if count < 0 {
                if errno == EINTR { continue }
                return false
            }
            sent += count
        }
        return true
    }

    /// A line on standard output.
    static func line(_ text: String) { write("\(text)\n".utf8) }

    /// A line on standard error.
    static func error(_ text: String) { write("\(text)\n".utf8, to: 2) }

    /// Whether a person sees a descriptor.
    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }
}

/// Blocks signals for this thread and those it starts; returns a signalfd for them or -errno.
func blockedSignals(_ signals: [Int32]) -> Int32 {
    slipway_signalfd(signals, signals.count)
}

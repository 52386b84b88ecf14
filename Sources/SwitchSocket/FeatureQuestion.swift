import Glibc
import LinuxSystem

/// The first question of the vhost-user protocol, VHOST_USER_GET_FEATURES (QEMU, docs/interop/vhost-user.rst): what the
/// other end can do. It changes nothing there. Numbers are in the machine's order of bytes.
enum FeatureQuestion {
    private static let getFeatures: UInt32 = 1
    /// Flags of a message: the protocol's version in the lowest two bits, and whether it is a reply.
    private static let version: UInt32 = 1, reply: UInt32 = 4
    /// Request, flags, and the size of what follows.
    private static let headerSize = 12
    private static let featuresSize = 8

    /// Asks, and waits for the answer.
    ///
    /// - Parameters:
    ///   - path: the socket's, for errors.
    ///   - deadline: in terms of `Clock.milliseconds`.
    /// - Returns: the features, a bit each.
    /// - Throws: `SystemError` with ETIME, ECONNRESET, EPROTO.
    static func ask(over connection: FileDescriptor, _ path: String, until deadline: Int64) throws(SystemError)
        -> UInt64
    {
        try send([getFeatures, version, 0].flatMap(bytes), over: connection, path)
        let header = try receive(headerSize, over: connection, path, until: deadline)
        let (request, flags, size) = (number(header, at: 0), number(header, at: 4), number(header, at: 8))
        guard request == getFeatures, flags & 3 == version, flags & reply != 0, size == featuresSize else {
            throw SystemError("understand the switch at", path, code: EPROTO)
        }
        let features = try receive(featuresSize, over: connection, path, until: deadline)
        return UInt64(number(features, at: 0)) | UInt64(number(features, at: 4)) << 32
    }

    private static func send(_ message: [UInt8], over connection: FileDescriptor, _ path: String) throws(SystemError) {
        // It fits what the kernel keeps for a socket that nobody reads.
        guard Glibc.send(connection.raw, message, message.count, Int32(MSG_NOSIGNAL)) == message.count else {
            let error = SystemError.last("ask the switch at", path)
            throw error.code == EPIPE ? SystemError("ask the switch at", path, code: ECONNRESET) : error
        }
    }

    private static func receive(
        _ count: Int, over connection: FileDescriptor, _ path: String, until deadline: Int64
    ) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard
                try connection.wait(for: Int16(POLLIN), milliseconds: Int32(max(deadline - Clock.milliseconds, 0)))
            else { throw SystemError("wait for an answer of the switch at", path, code: ETIME) }
            let more = try connection.read(upTo: count - bytes.count)
            guard !more.isEmpty else {
                throw SystemError("wait for an answer of the switch at", path, code: ECONNRESET)
            }
            bytes += more
        }
        return bytes
    }

    private static func bytes(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number) { Array($0) } }

    private static func number(_ bytes: [UInt8], at offset: Int) -> UInt32 {
        bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self) }
    }
}

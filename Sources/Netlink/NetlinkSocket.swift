import CLinux
import Glibc
public import LinuxSystem
import Synchronization

/// A `NETLINK_ROUTE` socket. It belongs to the network namespace of the thread that opened it and may be used from any
/// thread; requests of several threads take turns.
public final class NetlinkSocket: NetlinkChannel {
    private static let dumpSize = 1 << 16
    private let descriptor: FileDescriptor
    private let sequence = Mutex<UInt32>(0)

    /// Opens a socket in the calling thread's network namespace.
    public init() throws(SystemError) {
        let raw = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), NETLINK_ROUTE)
        guard raw >= 0 else { throw .last("socket", "NETLINK_ROUTE") }
        descriptor = FileDescriptor(owning: raw)
        // CAP_ACK: errors repeat only the request's header. EXT_ACK: errors come with words.
        for option in [NETLINK_CAP_ACK, NETLINK_EXT_ACK] {
            var on: Int32 = 1
            guard setsockopt(raw, SOL_NETLINK, option, &on, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
                throw .last("setsockopt", "NETLINK_ROUTE")
            }
        }
    }

    /// Sends a request and collects its answer. The kernel answers in milliseconds; after 5 s without a message the
    /// call fails with ETIMEDOUT.
    public func send(_ request: [UInt8]) throws(SystemError) -> [NetlinkMessage] {
        let result: Result<[NetlinkMessage], SystemError> = sequence.withLock { sequence in
            sequence &+= 1
            do throws(SystemError) {
                return .success(try exchange(request, sequence: sequence))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func exchange(_ request: [UInt8], sequence: UInt32) throws(SystemError) -> [NetlinkMessage] {
        var request = request
        withUnsafeBytes(of: sequence) { request.replaceSubrange(8..<12, with: $0) }
        while Glibc.send(descriptor.raw, request, request.count, 0) < 0 {
            if errno != EINTR { throw .last("send", "NETLINK_ROUTE") }
        }
        var answer: [NetlinkMessage] = []
        while true {
            guard try descriptor.wait(for: Int16(POLLIN), milliseconds: 5000) else {
                throw SystemError("recv", "NETLINK_ROUTE", code: ETIMEDOUT)
            }
            for message in NetlinkMessage.split(try Self.receive(descriptor)) where message.sequence == sequence {
                answer.append(message)
                if message.isLast { return answer }
            }
        }
    }

    /// One datagram of the kernel's; empty for what anybody else sent.
    static func receive(_ descriptor: FileDescriptor, _ flags: Int32 = 0) throws(SystemError) -> [UInt8] {
        var length = 0
        var sender = sockaddr_nl()
        let datagram = [UInt8](unsafeUninitializedCapacity: dumpSize) { buffer, initialized in
            withUnsafeMutablePointer(to: &sender) { address in
                address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    var size = socklen_t(MemoryLayout<sockaddr_nl>.size)
                    repeat {
                        length = recvfrom(
                            descriptor.raw, buffer.baseAddress, buffer.count, Int32(MSG_TRUNC) | flags, address, &size)
                    } while length < 0 && errno == EINTR
                }
            }
            initialized = min(max(length, 0), buffer.count)
        }
        guard length >= 0 else { throw .last("recv", "NETLINK_ROUTE") }
        guard length <= dumpSize else { throw SystemError("recv", "NETLINK_ROUTE", code: EMSGSIZE) }
        // Port 0 is the kernel; anybody may send to a netlink socket's port.
        return sender.nl_pid == 0 ? datagram : []
    }
}

import CLinux
import Glibc
public import LinuxSystem

/// Whole Ethernet frames of one link (packet(7)). It belongs to the network namespace of the thread that opened it and
/// may be used from any thread.
public final class PacketSocket: Sendable {
    /// Readable when a frame has come; for poll(2). It belongs to the socket.
    public let descriptor: FileDescriptor
    private let linkIndex: Int32

    /// Opens a socket on a link in the calling thread's network namespace.
    ///
    /// - Parameter receiving: it gets a copy of every frame that arrives on the link or leaves by it, before traffic
    ///   control has seen it.
    public init(linkIndex: Int32, receiving: Bool) throws(SystemError) {
        let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        descriptor = FileDescriptor(owning: try check(socket(AF_PACKET, type, 0), "socket", "AF_PACKET"))
        self.linkIndex = linkIndex
        // Protocol 0 receives nothing; another one goes with the link, so that no other link's frames come first.
        guard receiving else { return }
        var address = address(proto: UInt16(ETH_P_ALL))
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor.raw, $0, socklen_t(MemoryLayout<sockaddr_ll>.size))
            }
        }
        guard result == 0 else { throw .last("bind", "AF_PACKET") }
    }

    private func address(proto: UInt16) -> sockaddr_ll {
        var address = sockaddr_ll()
        address.sll_family = UInt16(AF_PACKET)
        address.sll_protocol = proto.bigEndian
        address.sll_ifindex = linkIndex
        return address
    }

    /// Sends a frame; its first 14 octets are the Ethernet header.
    ///
    /// - Throws: `SystemError` with EAGAIN or ENOBUFS when the queue is full, ENXIO or ENETDOWN without the link.
    public func send(_ frame: [UInt8]) throws(SystemError) {
        var address = address(proto: 0)
        let sent = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor.raw, frame, frame.count, 0, $0, socklen_t(MemoryLayout<sockaddr_ll>.size))
            }
        }
        guard sent >= 0 else { throw .last("send frame on", "link \(linkIndex)") }
    }
}

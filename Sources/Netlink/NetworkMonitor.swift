import CLinux
import Glibc
public import LinuxSystem
import Synchronization

/// Tells that links, addresses or routes of a network namespace have changed (rtnetlink(7), its multicast groups).
///
/// What is told is a hint: the reader lists anew what it wants to know. It may be used from any thread.
public final class NetworkMonitor: Sendable {
    /// Readable when something has happened; for poll(2). It belongs to the monitor.
    public let descriptor: FileDescriptor

    private let isIgnored: @Sendable (Link) -> Bool
    private let netlink: RTNetlink
    /// The numbers of the links that nobody wants to hear about: addresses and routes name links by number alone.
    private let ignored = Mutex<Set<Int32>>([])

    /// Listens in the calling thread's network namespace.
    ///
    /// - Parameter isIgnored: links whose changes do not matter.
    public init(ignoring isIgnored: @escaping @Sendable (Link) -> Bool = { _ in false }) throws(SystemError) {
        let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        descriptor = FileDescriptor(owning: try check(socket(AF_NETLINK, type, NETLINK_ROUTE), "socket"))
        self.isIgnored = isIgnored
        netlink = try RTNetlink()
        // A socket without a port of its own passes for the kernel, which does not tell itself.
        var address = sockaddr_nl()
        address.nl_family = UInt16(AF_NETLINK)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor.raw, $0, socklen_t(MemoryLayout<sockaddr_nl>.size))
            }
        }
        guard bound == 0 else { throw .last("bind", "NETLINK_ROUTE") }
        for group in [
            RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
        ] {
            var number = group.rawValue
            guard
                setsockopt(
                    descriptor.raw, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &number,
                    socklen_t(MemoryLayout.size(ofValue: number))) == 0
            else { throw .last("setsockopt", "NETLINK_ADD_MEMBERSHIP") }
        }
        try listIgnored()
    }

    /// Takes all that has been told since the last call; does not block.
    ///
    /// - Returns: whether anything of it is about other links than the ignored ones. True also when the kernel had more
    ///   to tell than the socket could hold: something was missed.
    public func drain() throws(SystemError) -> Bool {
        var isRelevant = false
        // A namespace in uproar must not hold the reader here: the descriptor stays readable.
        for _ in 0..<1024 {
            do throws(SystemError) {
                let datagram = try NetlinkSocket.receive(descriptor, Int32(MSG_DONTWAIT))
                for message in NetlinkMessage.split(datagram) {
                    if ignored.withLock({ Self.concerns(message, &$0, isIgnored) }) { isRelevant = true }
                }
            } catch {
                switch error.code {
                case EAGAIN: return isRelevant
                case ENOBUFS:
                    isRelevant = true
                    try listIgnored()
                default: throw error
                }
            }
        }
        return isRelevant
    }

    private func listIgnored() throws(SystemError) {
        let numbers = try netlink.links().filter(isIgnored).map(\.index)
        ignored.withLock { $0 = Set(numbers) }
    }

    /// Whether a message is about another link than the ignored ones, whose numbers it keeps.
    public static func concerns(
        _ message: NetlinkMessage, _ ignored: inout Set<Int32>, _ isIgnored: (Link) -> Bool
    ) -> Bool {
        switch message.type {
        case Int(RTM_NEWLINK):
            guard let link = Link(message) else { return false }
            guard isIgnored(link) else {
                ignored.remove(link.index)
                return true
            }
            ignored.insert(link.index)
            return false
        case Int(RTM_DELLINK):
            guard let header: ifinfomsg = message.payload.load(at: 0) else { return false }
            return ignored.remove(header.ifi_index) == nil
        case Int(RTM_NEWADDR), Int(RTM_DELADDR):
            guard let header: ifaddrmsg = message.payload.load(at: 0) else { return false }
            return !ignored.contains(Int32(truncatingIfNeeded: header.ifa_index))
        case Int(RTM_NEWROUTE), Int(RTM_DELROUTE):
            guard message.payload.count >= MemoryLayout<rtmsg>.size else { return false }
            let attributes = Attributes(message.payload.dropFirst(MemoryLayout<rtmsg>.size))
            let link: Int32? = attributes.value(Int(RTA_OIF.rawValue))
            return link.map { !ignored.contains($0) } ?? true
        default: return false
        }
    }
}

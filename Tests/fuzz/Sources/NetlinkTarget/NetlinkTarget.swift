import LinuxSystem
import Netlink

/// Answers every request with the same datagram.
private struct Replay: NetlinkChannel {
    let datagram: [UInt8]
    func send(_ request: [UInt8]) throws(SystemError) -> [NetlinkMessage] { NetlinkMessage.split(datagram) }
}

/// The kernel's answers; the names, kinds and aliases in them were chosen by CNI plugins and their users.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let datagram = Array(UnsafeBufferPointer(start: bytes, count: count))
    let netlink = RTNetlink(Replay(datagram: datagram))
    for link in (try? netlink.links()) ?? [] { precondition(!"\(link)".isEmpty) }
    for address in (try? netlink.addresses()) ?? [] { precondition(address.prefix.length <= 128) }
    for route in (try? netlink.routes()) ?? [] { precondition(!"\(route)".isEmpty) }
    _ = try? netlink.qdiscs()
    _ = try? netlink.arrivalCounters()
    _ = try? netlink.filters(linkIndex: 1)
    var ignored: Set<Int32> = []
    for message in NetlinkMessage.split(datagram) { _ = NetworkMonitor.concerns(message, &ignored) { $0.kind != nil } }
    return 0
}

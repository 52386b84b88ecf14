import LinuxSystem
import Netlink
import PodNetwork

final class NetworkMonitor: Sendable {
    let descriptor: FileDescriptor
    init(ignoring: @Sendable (Link) -> Bool) throws { descriptor = try FileDescriptor.event() }
    func drain() throws -> Bool { false }
}
extension NetworkBinding {
    func rejoin(_ plan: InterfacePlan) throws {}
    func setMTU(tap: String, _ mtu: UInt32) throws {}
    func announce(_ plan: InterfacePlan) throws {}
}
extension NetworkRefusal {
    var link: String? { nil }
}

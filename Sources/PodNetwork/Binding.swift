/// What joins a NIC of the guest to the pod's network.
public enum Binding: Codable, Equatable, Sendable {
    /// A TAP beside the link: every frame of the one is redirected to the other.
    case tap
    /// A TAP of the guest's own network, whose traffic leaves with the pod's address (nftables' NAT). The pod's other
    /// containers share that address.
    ///
    /// - Parameter ports: what is sent on to the guest; empty: every port.
    case masquerade(ports: [Port])
    /// A macvtap: QEMU opens its character device, and the kernel moves the frames.
    ///
    /// - Parameter made: it is made over the pod's link, and removed with the NIC; otherwise the link itself is one.
    case macvtap(made: Bool)
    /// A PCI function of the host, by VFIO: the guest drives the hardware.
    ///
    /// - Parameter address: the function's address on the host, `0000:3b:02.1`.
    case hostDevice(address: String)
    /// A virtio queue shared with a switch in user space (OVS-DPDK, VPP) over a socket.
    ///
    /// - Parameter listens: QEMU makes the socket and the switch connects; otherwise the switch has made it.
    case vhostUser(path: String, listens: Bool)
    /// A virtio data path in hardware.
    ///
    /// - Parameter path: `/dev/vhost-vdpa-N`.
    case vdpa(path: String)

    /// A port that is sent on to the guest.
    public struct Port: Codable, Equatable, Hashable, Sendable {
        /// What the port belongs to.
        public enum TransportProtocol: String, Codable, CaseIterable, Sendable {
            // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
            case tcp, udp, sctp
        }
        /// Its protocol.
        public var transport: TransportProtocol
        /// Its number.
        public var number: UInt16

        /// A port.
        public init(_ transport: TransportProtocol, _ number: UInt16) {
            self.transport = transport
            self.number = number
        }
    }

    /// Whether the guest's frames pass a TAP that we make.
    public var hasTAP: Bool {
        switch self {
        case .tap, .masquerade: true
        default: false
        }
    }
}

extension Binding: CustomStringConvertible {
    /// Its name, and what it goes to where that is not the link itself.
    public var description: String {
        switch self {
        case .tap: "tap"
        case .masquerade: "masquerade"
        case .macvtap: "macvtap"
        case .hostDevice(let address): "hostdev \(address)"
        case .vhostUser(let path, _): "vhost-user \(path)"
        case .vdpa(let path): "vdpa \(path)"
        }
    }
}

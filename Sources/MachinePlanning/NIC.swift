/// What a NIC of the guest is joined to on the node.
public enum NICBackend: Codable, Equatable, Sendable {
    /// A TAP that is there already, which libvirt opens for QEMU. With more than one queue it has to be made for several
    /// (`IFF_MULTI_QUEUE`).
    case tap(device: String)
    /// A macvtap that is there already; libvirt opens its character device.
    case macvtap(device: String)
    /// A socket over which a switch in user space shares the guest's queues, and its RAM with them.
    ///
    /// - Parameter listens: QEMU makes the socket and the switch connects; otherwise the switch has made it, and QEMU
    ///   connects again whenever the switch comes back.
    case vhostUser(path: String, listens: Bool)
    /// A virtio data path in hardware, or in a process that plays it.
    ///
    /// - Parameter path: `/dev/vhost-vdpa-N`.
    case vdpa(path: String)
    /// A PCI function, by VFIO. Its MAC address, VLAN and link state are its physical function's business, which is in the
    /// node's network namespace and out of libvirt's reach from the pod's.
    ///
    /// - Parameters:
    ///   - address: on the host, `0000:3b:02.1`.
    ///   - isManaged: libvirt takes it from its driver and gives it back at the end; otherwise vfio-pci has it already.
    case hostDevice(address: String, isManaged: Bool)

    /// Most pairs of queues: the smallest of DPDK's 128, the kernel's 256 for TAPs and QEMU's 511.
    public static let maximumQueues = 128

    /// The PCI function that the guest drives, by its address on the host; nil for a NIC of another kind.
    public var function: String? {
        if case .hostDevice(let address, _) = self { address } else { nil }
    }

    var isHostDevice: Bool { function != nil }

    var isVhostUser: Bool {
        if case .vhostUser = self { return true }
        return false
    }

    /// What it is to whom the guest's RAM has to be open; nil: to QEMU and the kernel alone.
    var sharesMemory: String? {
        switch self {
        case .vhostUser: "a vhost-user socket"
        // The kernel passes no other RAM on to one that a process plays (vhost_vdpa_va_map, drivers/vhost/vdpa.c).
        case .vdpa: "a vDPA device"
        case .tap, .macvtap, .hostDevice: nil
        }
    }
}

extension MachinePlan {
    /// A NIC of the guest.
    public struct NIC: Codable, Equatable, Sendable {
        /// Its number among the pod's NICs, which stays while the pod lives.
        public var number: Int
        /// The link in the pod's network namespace.
        public var link: String
        /// What it is joined to.
        public var backend: NICBackend
        /// MAC address.
        public var mac: String
        /// Bytes, as the guest is told; what a PCI function's driver makes of it is its own.
        public var mtu: UInt32
        /// Pairs of queues.
        public var queues: Decision<Int>
        /// Descriptors of a receive queue; nil: QEMU's default, 256.
        public var rxRing: Int?
        /// Descriptors of a send queue; nil: QEMU's default, 256.
        public var txRing: Int?
        /// Whether the guest sees a carrier.
        public var isUp: Bool
        /// Who moves the frames.
        public var driver: Decision<Driver>
        /// The PCI bus behind the NIC's own root port as libvirt counts: its number plus one, except for PCI functions on
        /// a cell's bus.
        public var bus: UInt8
        /// The number that the guest's firmware gives to that bus.
        public var guestBus: UInt8
        /// The guest's cell whose bus it is on; nil: the machine's first bus.
        public var cell: Int?
        /// The expander bus of its cell, which the root port is on; nil: the root port is on the machine's first bus.
        public var expander: UInt8?
        /// Why it sits there.
        public var reason: String

        /// Who moves a NIC's frames.
        public enum Driver: String, Codable, Sendable {
            /// The kernel's vhost-net.
            case vhost
            /// QEMU.
            case qemu
            /// The other end: a switch in user space, or hardware.
            case peer
        }

        /// Where the guest finds it: alone behind its root port.
        public var pciAddress: String { MachinePlan.pciAddress(bus: guestBus) }

        /// libvirt's alias of the device, by which it is detached and named in events. The prefix `ua-` marks aliases that
        /// are not libvirt's own (formatdomain.html, "Aliases").
        public var alias: String { "ua-nic\(number)" }
    }
}

extension MachinePlan.PassedDevice {
    /// Where the guest finds it: alone behind its root port.
    public var pciAddress: String { MachinePlan.pciAddress(bus: guestBus) }
}

extension MachinePlan {
    /// Where the guest finds what is alone on a bus.
    fileprivate static func pciAddress(bus: UInt8) -> String {
        "0000:" + (bus < 16 ? "0" : "") + String(bus, radix: 16) + ":00.0"
    }
}

/// A link that becomes a NIC.
public struct RequestedLink: Codable, Equatable, Sendable {
    /// The link's name in the pod's network namespace.
    public var name: String
    /// The NIC's number, from which its PCI address follows.
    public var number: Int
    /// What the NIC is joined to.
    public var backend: NICBackend
    /// The guest's MAC address, `aa:bb:cc:dd:ee:ff`.
    public var mac: String
    /// Bytes.
    public var mtu: UInt32
    /// Pairs of queues; nil: as many as the machine makes use of.
    public var queues: Int?
    /// Descriptors of a receive queue; nil: QEMU's default.
    public var rxRing: Int?
    /// Descriptors of a send queue; nil: QEMU's default.
    public var txRing: Int?
    /// Whether the guest sees a carrier at start.
    public var isUp: Bool

    /// A link.
    public init(
        _ name: String, number: Int, backend: NICBackend, mac: String, mtu: UInt32, queues: Int? = nil,
        rxRing: Int? = nil, txRing: Int? = nil, isUp: Bool = true
    ) {
        self.name = name
        self.number = number
        self.backend = backend
        self.mac = mac
        self.mtu = mtu
        self.queues = queues
        self.rxRing = rxRing
        self.txRing = txRing
        self.isUp = isUp
    }
}

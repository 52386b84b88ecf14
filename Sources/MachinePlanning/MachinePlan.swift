/// A decided value with the reason for it.
public struct Decision<Value: Codable & Equatable & Sendable>: Codable, Equatable, Sendable {
    /// What was decided.
    public var value: Value
    /// Why, in a few words for people.
    public var reason: String

    /// A decision.
    public init(_ value: Value, _ reason: String) {
        self.value = value
        self.reason = reason
    }
}

/// Everything that is decided about a machine. The same value makes the domain XML, is kept in the state directory and
/// is shown by the CLI.
public struct MachinePlan: Codable, Equatable, Sendable {
    /// The plan's layout.
    public var version = 4
    /// Who asked.
    public var identity: MachineIdentity
    /// libvirt's name of the domain.
    public var name: String
    /// The SMBIOS and domain UUID.
    public var uuid: Decision<String>
    /// How it is executed.
    public var accelerator: Decision<Accelerator>
    /// Number of vCPUs.
    public var vcpus: Decision<Int>
    /// Most vCPUs that a resize may bring it to; never below ``vcpus``.
    public var vcpusLimit: Decision<Int>
    /// Guest RAM in bytes.
    public var memory: Decision<UInt64>
    /// Most bytes of RAM that a resize may bring it to; never below ``memory``.
    public var memoryLimit: Decision<UInt64>
    /// Where its threads run and where its RAM lies.
    public var placement: Placement
    /// Whether other processes can map the RAM: switches behind vhost-user NICs.
    public var sharedMemory: Decision<Bool>
    /// What it boots.
    public var boot: Decision<Boot>
    /// The disks, in the order of their names vda, vdb, …
    public var disks: [Disk]
    /// The NICs, in the order of their numbers.
    public var nics: [NIC]
    /// Root ports for NICs, those at start and those that may come: numbers from 0 up to this one have a place.
    public var nicPorts: Decision<Int>
    /// Whether the node has vhost-net.
    public var vhostNet: Bool
    /// Whether the node's processors tell of threads and cores in AMD's way.
    public var topologyExtensions: Bool
    /// The host's PCI functions that are the guest's, in the order of their PCI addresses in the guest.
    public var devices: [PassedDevice]
    /// The kind of cloud-init seed.
    public var cloudInit: MachineAnnotations.CloudInit
    /// QEMU's user id.
    public var user: UInt32
    /// QEMU's group id: the user's number, or the group that may open `/dev/kvm`.
    public var group: UInt32

    /// What a machine boots.
    public enum Boot: Codable, Equatable, Sendable {
        /// The first disk, through the BIOS.
        case disk
        /// A kernel, with paths in the image.
        case kernel(kernel: String, initrd: String?, commandLine: String)
    }

    /// A disk of the guest.
    public struct Disk: Codable, Equatable, Sendable {
        /// What is behind it.
        public enum Content: Codable, Equatable, Sendable {
            /// The pod's writable layer over the image's file, which is only read.
            case root(base: DiskSource)
            /// The cloud-init seed.
            case seed
        }
        /// `vda`, `vdb`, …
        public var target: String
        /// What it holds.
        public var content: Content
        /// Bytes that the guest sees; nil for the seed, whose size follows from its files.
        public var virtualSize: UInt64?
        /// Serial number, by which the guest finds it under `/dev/disk/by-id/virtio-…`.
        public var serial: String
        /// PCI address on bus 0.
        public var slot: UInt8
    }

    /// A PCI function of the host that is the guest's.
    public struct PassedDevice: Codable, Equatable, Sendable {
        /// Its address on the host, `0000:3b:02.1`.
        public var address: String
        /// The host's node that it is attached to.
        public var node: Int?
        /// The guest's cell whose bus it is on; nil: the machine's first bus.
        public var cell: Int?
        /// The PCI bus behind the function's own root port as libvirt counts.
        public var bus: UInt8
        /// The expander bus of its cell, which the root port is on; nil: the root port is on the machine's first bus.
        public var expander: UInt8?
        /// The number that the guest's firmware gives to its bus.
        public var guestBus: UInt8
        /// Why it sits there.
        public var reason: String
    }
}

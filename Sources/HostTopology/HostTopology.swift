/// A node's CPUs, memory nodes and PCI functions as the kernel shows them in sysfs, at one moment.
///
/// The same value is planned with, drawn by `slipway topology`, and kept in a file to ask "would it fit there?".
public struct HostTopology: Codable, Equatable, Sendable {
    /// The layout's version.
    public var version = 1
    /// The memory nodes, by id; at least one. A kernel without NUMA is one node with everything.
    public var nodes: [HostNode]
    /// The CPUs that are online, by id.
    public var cpus: [HostCPU]
    /// CPUs that exist and are offline.
    public var offline: CPUSet
    /// CPUs that the scheduler leaves alone (`isolcpus=`, /sys/devices/system/cpu/isolated).
    public var isolated: CPUSet
    /// CPUs without a timer tick (`nohz_full=`, /sys/devices/system/cpu/nohz_full).
    public var tickless: CPUSet
    /// PCI functions, by address.
    public var devices: [HostDevice]
    /// Huge pages that are free and yet promised to mappings that have not touched them; none of a size that is not
    /// named. The kernel does not say on which nodes, so ``HugePagePool/free`` counts them.
    public var reservations: [HugePageReservation]

    /// A topology.
    public init(
        nodes: [HostNode], cpus: [HostCPU], offline: CPUSet = [], isolated: CPUSet = [], tickless: CPUSet = [],
        devices: [HostDevice] = [], reservations: [HugePageReservation] = []
    ) {
        self.nodes = nodes
        self.cpus = cpus
        self.offline = offline
        self.isolated = isolated
        self.tickless = tickless
        self.devices = devices
        self.reservations = reservations
    }

    enum CodingKeys: CodingKey {
        case version, nodes, cpus, offline, isolated, tickless, devices, reservations
    }

    /// CPUs that are online.
    public var online: CPUSet { CPUSet(cpus.lazy.map(\.id)) }
    /// Nodes that have memory.
    public var nodesWithMemory: CPUSet { CPUSet(nodes.lazy.filter { $0.memory > 0 }.map(\.id)) }
    /// The CPUs that are left for everything else: online and neither isolated nor tickless.
    public var housekeeping: CPUSet { online.subtracting(isolated).subtracting(tickless) }

    /// A node by its id.
    public func node(_ id: Int) -> HostNode? { nodes.first { $0.id == id } }
    /// An online CPU by its id.
    public func cpu(_ id: Int) -> HostCPU? { cpus.first { $0.id == id } }
}

/// A memory node of the host.
public struct HostNode: Codable, Equatable, Sendable {
    /// The kernel's number.
    public var id: Int
    /// Its online CPUs; none for memory-only nodes.
    public var cpus: CPUSet
    /// Bytes of memory, huge pages included; 0 for nodes that have CPUs alone.
    public var memory: UInt64
    /// Bytes that are free (`MemFree`).
    public var free: UInt64
    /// Bytes that are free or could be made so by dropping clean page cache (`MemFree` and inactive, clean file pages).
    public var available: UInt64
    /// Distances to nodes by their id (ACPI SLIT): 10 is local.
    public var distances: [Int: Int]
    /// The pools of huge pages, by size.
    public var hugePages: [HugePagePool]

    /// A node.
    public init(
        id: Int, cpus: CPUSet, memory: UInt64, free: UInt64? = nil, available: UInt64? = nil,
        distances: [Int: Int] = [:], hugePages: [HugePagePool] = []
    ) {
        self.id = id
        self.cpus = cpus
        self.memory = memory
        self.free = free ?? memory
        self.available = available ?? free ?? memory
        self.distances = distances
        self.hugePages = hugePages
    }

    /// Free huge pages of a size in bytes.
    public func freePages(size: UInt64) -> UInt64 { hugePages.first { $0.size == size }?.free ?? 0 }
    /// The distance to a node; 20, the kernel's value for "remote", where nothing is said.
    public func distance(to node: Int) -> Int { distances[node] ?? (node == id ? 10 : 20) }
}

/// Huge pages of one size on one node.
public struct HugePagePool: Codable, Equatable, Sendable {
    /// Bytes of a page.
    public var size: UInt64
    /// Pages in the pool.
    public var total: UInt64
    /// Pages that nobody has.
    public var free: UInt64

    /// A pool.
    public init(size: UInt64, total: UInt64, free: UInt64) {
        self.size = size
        self.total = total
        self.free = free
    }
}

/// Free huge pages that are already spoken for (`resv_hugepages`, Documentation/admin-guide/mm/hugetlbpage.rst).
public struct HugePageReservation: Codable, Equatable, Sendable {
    /// Bytes of a page.
    public var size: UInt64
    /// Pages, on whichever nodes.
    public var count: UInt64

    /// A reservation.
    public init(size: UInt64, count: UInt64) {
        self.size = size
        self.count = count
    }
}

/// An online CPU: a hardware thread.
public struct HostCPU: Codable, Equatable, Sendable {
    /// The kernel's number.
    public var id: Int
    /// The memory node that it belongs to.
    public var node: Int
    /// The socket (`physical_package_id`).
    public var socket: Int
    /// The core's number within its socket and die (`core_id`); ``siblings`` tells cores apart on every machine.
    public var core: Int
    /// The online threads of its core, itself included.
    public var siblings: CPUSet
    /// The online CPUs that share its last-level cache, itself included.
    public var cache: CPUSet

    /// A CPU.
    public init(id: Int, node: Int, socket: Int, core: Int, siblings: CPUSet, cache: CPUSet) {
        self.id = id
        self.node = node
        self.socket = socket
        self.core = core
        self.siblings = siblings
        self.cache = cache
    }
}

/// A PCI function of the host.
public struct HostDevice: Codable, Equatable, Sendable {
    /// `0000:3b:02.1`.
    public var address: String
    /// The node that it is attached to; nil where the platform does not say.
    public var node: Int?
    /// The class code, 24 bits: `0x020000` is an Ethernet controller.
    public var classCode: UInt32
    /// The vendor's id.
    public var vendor: UInt16
    /// The device's id.
    public var device: UInt16
    /// The driver that it is bound to.
    public var driver: String?
    /// The IOMMU group.
    public var iommuGroup: Int?

    /// A function.
    public init(
        address: String, node: Int?, classCode: UInt32, vendor: UInt16, device: UInt16, driver: String? = nil,
        iommuGroup: Int? = nil
    ) {
        self.address = address
        self.node = node
        self.classCode = classCode
        self.vendor = vendor
        self.device = device
        self.driver = driver
        self.iommuGroup = iommuGroup
    }
}

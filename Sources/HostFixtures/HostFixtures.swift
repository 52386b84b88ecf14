public import HostTopology

/// Hosts to plan for, draw and read, by the names of what is special in them.
public enum HostFixtures {
    private static let mebibytes2: UInt64 = 2 << 20
    private static let gibibyte: UInt64 = 1 << 30

    /// A small edge server: one socket, four cores, one node, CPUs 0-3.
    public static let singleNode: HostTopology = {
        var layout = HostLayout()
        layout.hugePages = [pool(mebibytes2, 2048), pool(gibibyte, 2)]
        return layout.topology
    }()

    /// One socket of four cores whose threads are numbered side by side: siblings 0-1, 2-3, 4-5, 6-7.
    public static let adjacentSiblings: HostTopology = {
        var layout = HostLayout()
        layout.threads = 2
        layout.numbering = .adjacent
        layout.hugePages = [pool(mebibytes2, 2048)]
        return layout.topology
    }()

    /// Two sockets of one node, four cores and eight threads each: node 0 has 0-3,8-11, siblings are n and n + 8. A network
    /// card with virtual functions on node 1.
    public static let twoSocketsSMT: HostTopology = {
        var layout = HostLayout()
        layout.sockets = 2
        layout.threads = 2
        layout.memory = 64 << 30
        layout.hugePages = [pool(mebibytes2, 8192), pool(gibibyte, 16)]
        var host = layout.topology
        host.devices =
            [
                HostDevice(
                    address: "0000:00:1f.0", node: 0, classCode: 0x060100, vendor: 0x8086, device: 0xa1c1,
                    driver: "lpc_ich", iommuGroup: 12)
            ] + card("0000:b1", node: 1, functions: 2, virtual: 6)
        return host
    }()

    /// Two sockets of four nodes (NPS4) of four cores and eight threads, 64 CPUs, with a last-level cache for every two
    /// cores, as two EPYC 7302: node 0 has 0-3,32-35, siblings are n and n + 32. Network cards on nodes 1 and 6.
    public static let amd4x2: HostTopology = {
        var layout = HostLayout()
        layout.sockets = 2
        layout.nodesPerSocket = 4
        layout.threads = 2
        layout.coresPerCache = 2
        layout.far = 32
        layout.memory = 32 << 30
        layout.hugePages = [pool(mebibytes2, 4096), pool(gibibyte, 8)]
        var host = layout.topology
        host.devices =
            card("0000:41", node: 1, functions: 2, virtual: 8) + card("0000:a1", node: 6, functions: 1, virtual: 4)
        return host
    }()

    /// A host of 256 CPUs: two sockets of four nodes of sixteen cores, caches for every eight cores, and 200 virtual
    /// functions. The largest, for measurements.
    public static let large: HostTopology = {
        var layout = HostLayout()
        layout.sockets = 2
        layout.nodesPerSocket = 4
        layout.coresPerNode = 16
        layout.threads = 2
        layout.coresPerCache = 8
        layout.far = 32
        layout.memory = 96 << 30
        layout.hugePages = [pool(mebibytes2, 16384), pool(gibibyte, 32)]
        var host = layout.topology
        host.devices =
            card("0000:41", node: 1, functions: 2, virtual: 100) + card("0000:a1", node: 5, functions: 2, virtual: 100)
        return host
    }()

    /// Two sockets of two nodes (SNC2) of four cores and eight threads. The cores are dealt to the nodes two at a time, so
    /// that node 0 has 0-1,4-5,16-17,20-21, and the last-level cache is shown as the whole socket's, across its nodes.
    public static let subNUMAClusters: HostTopology = {
        var layout = HostLayout()
        layout.sockets = 2
        layout.nodesPerSocket = 2
        layout.threads = 2
        layout.interleaved = true
        layout.near = 11
        layout.memory = 32 << 30
        layout.hugePages = [pool(mebibytes2, 4096), pool(gibibyte, 8)]
        return layout.topology
    }()

    /// One socket with node 0, and node 2 of memory alone (CXL), with huge pages. There is no node 1.
    public static let memoryOnlyNode: HostTopology = {
        var layout = HostLayout()
        layout.coresPerNode = 8
        layout.hugePages = [pool(mebibytes2, 2048)]
        var host = layout.topology
        host.nodes[0].distances[2] = 24
        host.nodes.append(
            HostNode(
                id: 2, cpus: [], memory: 64 << 30, free: 56 << 30, distances: [0: 24, 2: 10],
                hugePages: [pool(mebibytes2, 4096)]))
        return host
    }()

    /// Two sockets; the memory slots of the second are empty, so that node 1 has CPUs alone.
    public static let cpuOnlyNode: HostTopology = {
        var layout = HostLayout()
        layout.sockets = 2
        layout.hugePages = [pool(mebibytes2, 2048)]
        var host = layout.topology
        host.nodes[1].memory = 0
        host.nodes[1].free = 0
        host.nodes[1].available = 0
        host.nodes[1].hugePages = []
        return host
    }()

    /// ``twoSocketsSMT`` with a core (3 and 11) and one thread of another (12, the sibling of 4) offline.
    public static let offlineCPUs = twoSocketsSMT.takingOffline([3, 11, 12])

    /// ``twoSocketsSMT`` with few free pages, and most of those on node 1; some are reserved by others.
    public static let fragmentedPages: HostTopology = {
        var host = twoSocketsSMT
        host.nodes[0].free = 700 << 20
        host.nodes[0].available = 900 << 20
        host.nodes[0].hugePages[0].free = 37
        host.nodes[0].hugePages[1].free = 0
        host.nodes[1].hugePages[0].free = 1500
        host.nodes[1].hugePages[1].free = 1
        host.reservations = [HugePageReservation(size: mebibytes2, count: 256)]
        return host
    }()

    /// ``twoSocketsSMT`` with 2-7,10-15 isolated and 4-7,12-15 without a tick: 0-1,8-9 are left for everything else.
    public static let isolatedCPUs: HostTopology = {
        var host = twoSocketsSMT
        host.isolated = [2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15]
        host.tickless = [4, 5, 6, 7, 12, 13, 14, 15]
        return host
    }()

    /// Every host by its name, those of reasonable size.
    public static let all: [(name: String, host: HostTopology)] = [
        ("singleNode", singleNode), ("adjacentSiblings", adjacentSiblings), ("twoSocketsSMT", twoSocketsSMT),
        ("amd4x2", amd4x2), ("subNUMAClusters", subNUMAClusters), ("memoryOnlyNode", memoryOnlyNode),
        ("cpuOnlyNode", cpuOnlyNode), ("offlineCPUs", offlineCPUs), ("fragmentedPages", fragmentedPages),
        ("isolatedCPUs", isolatedCPUs),
    ]

    private static func pool(_ size: UInt64, _ total: UInt64) -> HugePagePool {
        HugePagePool(size: size, total: total, free: total)
    }

    /// A network card: physical functions, and virtual ones bound to vfio-pci, each in an IOMMU group of its own.
    private static func card(_ bus: String, node: Int, functions: Int, virtual: Int) -> [HostDevice] {
        (0..<functions + virtual).map { number in
            let physical = number < functions
            let slot = physical ? 0 : 1 + (number - functions) / 8
            let function = physical ? number : (number - functions) % 8
            return HostDevice(
                address: "\(bus):\(slot < 16 ? "0" : "")\(String(slot, radix: 16)).\(function)", node: node,
                classCode: 0x020000, vendor: 0x8086, device: physical ? 0x1592 : 0x1889,
                driver: physical ? "ice" : "vfio-pci", iommuGroup: 40 + node * 256 + number)
        }
    }
}

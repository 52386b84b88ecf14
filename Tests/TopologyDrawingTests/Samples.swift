import HostFixtures
import HostTopology

/// Hosts with pods on them.
enum Samples {
    private static let small: UInt64 = 2 << 20
    private static let large: UInt64 = 1 << 30

    /// Isolated CPUs, three pods, pages that somebody else has, and a reservation.
    static let isolated: (HostTopology, [Holding]) = {
        var host = HostFixtures.isolatedCPUs
        host.nodes[0].hugePages[0].free = 3072
        host.nodes[0].hugePages[1].free = 12
        host.nodes[1].hugePages[0].free = 6144
        host.reservations = [HugePageReservation(size: small, count: 256)]
        return (
            host,
            [
                Holding(
                    pod: "core/upf-1", cpus: [6, 7, 14, 15], pages: [Holding.Pages(node: 1, size: small, count: 2048)]),
                Holding(
                    pod: "core/vrouter-0", cpus: [2, 10], pages: [Holding.Pages(node: 0, size: large, count: 4)]),
                Holding(
                    pod: "lab/firewall", cpus: [3, 11], pages: [Holding.Pages(node: 0, size: small, count: 4096)]),
            ]
        )
    }()

    /// Eight nodes; a pod across two of them, and two that claim the same CPU.
    static let amd: (HostTopology, [Holding]) = {
        var host = HostFixtures.amd4x2
        host.nodes[1].hugePages[0].free = 1024
        host.nodes[2].hugePages[1].free = 4
        host.nodes[3].hugePages[1].free = 4
        host.nodes[6].hugePages[0].free = 0
        return (
            host,
            [
                Holding(
                    pod: "ran/cu-cp-0", cpus: [4, 5, 36, 37], pages: [Holding.Pages(node: 1, size: small, count: 2048)]),
                Holding(
                    pod: "core/amf", cpus: [8, 9, 10, 11, 12, 13, 40, 41, 42, 43, 44, 45],
                    pages: [
                        Holding.Pages(node: 2, size: large, count: 4), Holding.Pages(node: 3, size: large, count: 4),
                    ]),
                Holding(pod: "edge/one", cpus: [24, 56], pages: [Holding.Pages(node: 6, size: small, count: 4096)]),
                Holding(pod: "edge/two", cpus: [56, 57]),
            ]
        )
    }()

    /// CPUs offline, a node of memory alone, a name that is no pod's, and nothing free.
    static let odd: (HostTopology, [Holding]) = {
        var host = HostFixtures.memoryOnlyNode.takingOffline([3, 6])
        host.nodes[0].hugePages[0].free = 0
        host.devices = [
            HostDevice(address: "0000:01:00.0", node: nil, classCode: 0x020000, vendor: 0x8086, device: 0x10d3)
        ]
        return (
            host,
            [
                Holding(
                    pod: "a/<b>&\u{1b}[31m\"" + String(repeating: "x", count: 300), cpus: [0, 200],
                    pages: [
                        Holding.Pages(node: 2, size: small, count: .max), Holding.Pages(node: 9, size: 3, count: 1),
                    ]),
                Holding(pod: "empty/handed"),
            ]
        )
    }()

    static let all = ["isolated": isolated, "amd": amd, "odd": odd]
}

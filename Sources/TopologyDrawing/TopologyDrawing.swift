public import HostTopology

/// A picture of a host and of who holds what on it, for a terminal and as SVG. Pure: the same input is the same picture.
public struct TopologyDrawing: Sendable {
    let host: HostTopology
    let pods: [Pod]
    /// The letters of the pods that hold a CPU, in the order of ``pods``.
    private let holders: [Int: [Character]]

    /// A pod in the picture.
    struct Pod {
        let letter: Character
        let holding: Holding
        /// The place among the colours.
        let index: Int
    }

    /// Draws a host.
    ///
    /// - Parameter holdings: what pods hold; several of one pod are put together, those of nothing are left out. The
    ///   first 52 pods, in the order of their CPUs, have a letter each; those beyond share `*`.
    public init(_ host: HostTopology, holdings: [Holding] = []) {
        self.host = host
        var merged: [String: Holding] = [:]
        for holding in holdings where !holding.cpus.isEmpty || holding.pages.contains(where: { $0.count > 0 }) {
            let known = merged[holding.pod] ?? Holding(pod: holding.pod)
            merged[holding.pod] = Holding(
                pod: holding.pod, cpus: known.cpus.union(holding.cpus), pages: known.pages + holding.pages)
        }
        let sorted = merged.values.sorted {
            ($0.cpus.first ?? .max, $0.pod) < ($1.cpus.first ?? .max, $1.pod)
        }
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
        pods = sorted.enumerated().map { index, holding in
            Pod(letter: index < letters.count ? letters[index] : "*", holding: holding, index: index)
        }
        var holders: [Int: [Character]] = [:]
        for pod in pods {
            for cpu in pod.holding.cpus { holders[cpu, default: []].append(pod.letter) }
        }
        self.holders = holders
    }

    /// Who holds a CPU: `.` nobody, a pod's letter, `+` several pods.
    func mark(_ cpu: Int) -> Character {
        guard let letters = holders[cpu], let first = letters.first else { return "." }
        return letters.count == 1 ? first : "+"
    }

    /// Whether the kernel keeps a CPU free of work that is not bound to it.
    func isSetApart(_ cpu: Int) -> Bool { host.isolated.contains(cpu) || host.tickless.contains(cpu) }

    /// A node's cores, each its threads in ascending order, by last-level cache.
    func caches(of node: HostNode) -> [[[Int]]] {
        var caches: [(key: CPUSet, cores: [[Int]])] = []
        var seen = CPUSet()
        for cpu in host.cpus where cpu.node == node.id && !seen.contains(cpu.id) {
            seen = seen.union(cpu.siblings)
            let core = Array(cpu.siblings)
            if let index = caches.firstIndex(where: { $0.key == cpu.cache }) {
                caches[index].cores.append(core)
            } else {
                caches.append((cpu.cache, [core]))
            }
        }
        return caches.map(\.cores)
    }

    /// `1 socket, 2 nodes, 8 cores, 16 CPUs`.
    var summary: String {
        let sockets = Set(host.cpus.map(\.socket)).count
        let cores = Set(host.cpus.map(\.siblings)).count
        return [
            counted(sockets, "socket"), counted(host.nodes.count, "node"), counted(cores, "core"),
            counted(host.cpus.count, "CPU"),
        ].joined(separator: ", ")
    }

    /// Sets of CPUs that are worth a line, by name.
    var sets: [(name: String, cpus: CPUSet)] {
        let special = [("isolated", host.isolated), ("tickless", host.tickless), ("offline", host.offline)]
        let housekeeping = host.housekeeping == host.online ? [] : [("housekeeping", host.housekeeping)]
        let held = pods.isEmpty ? [] : [("free", host.online.subtracting(CPUSet(holders.keys)))]
        return (housekeeping + special + held).filter { !$0.1.isEmpty }
    }

    /// `256 of the free 2 MiB pages`.
    func words(for reservation: HugePageReservation) -> String {
        "\(reservation.count) of the free \(bytes(reservation.size)) pages"
    }

    /// `socket 0, CPUs 0-3,8-11`, or their number where the list is long.
    func place(of node: HostNode) -> String {
        guard !node.cpus.isEmpty else { return "memory alone" }
        let sockets = CPUSet(host.cpus.lazy.filter { $0.node == node.id }.map(\.socket))
        // Where sockets take turns the list has a word for each CPU, and the picture of the cores says it better.
        let list = "\(node.cpus)"
        let cpus =
            list.utf8.count > 40 ? counted(node.cpus.count, "CPU") : "\(node.cpus.count == 1 ? "CPU" : "CPUs") \(list)"
        return "\(sockets.count == 1 ? "socket" : "sockets") \(sockets), \(cpus)"
    }

    /// `distance 12 to nodes 1-3, 32 to nodes 4-7`; empty for the only node.
    func distances(of node: HostNode) -> String {
        var byDistance: [Int: CPUSet] = [:]
        for other in host.nodes where other.id != node.id {
            byDistance[node.distance(to: other.id), default: []].insert(other.id)
        }
        let parts = byDistance.sorted { $0.key < $1.key }.map { distance, nodes in
            "\(distance) to \(nodes.count == 1 ? "node" : "nodes") \(nodes)"
        }
        return parts.isEmpty ? "" : "distance " + parts.joined(separator: ", ")
    }

    /// `64 GiB, 20 GiB free, 32 GiB in huge pages`.
    func memory(of node: HostNode) -> String {
        guard node.memory > 0 else { return "none" }
        let pooled = node.hugePages.reduce(0) { $0 + $1.size * $1.total }
        return "\(bytes(node.memory)), \(bytes(node.free)) free"
            + (node.available > node.free ? " (\(bytes(node.available)) with page cache)" : "")
            + (pooled > 0 ? ", \(bytes(pooled)) in huge pages" : "")
    }

    /// Network functions of a node (PCI class 0x02), or of those without a node: `2 ice from 0000:b1:00.0`.
    func network(of node: Int?) -> [String] {
        var groups: [(driver: String, bus: Substring, first: String, count: Int)] = []
        for device in host.devices where device.node == node && device.classCode >> 16 == 0x02 {
            let driver = printable(device.driver ?? "without a driver")
            let bus = device.address.prefix { $0 != "." }.dropLast(2)
            if let index = groups.firstIndex(where: { $0.driver == driver && $0.bus == bus }) {
                groups[index].count += 1
            } else {
                groups.append((driver, bus, device.address, 1))
            }
        }
        return groups.map { "\($0.count) \($0.driver) \($0.count == 1 ? "at" : "from") \($0.first)" }
    }

    /// What a pod holds: `CPUs 2-3,10-11`, `4 GiB in 2 MiB pages on node 0`.
    func possessions(of pod: Pod) -> [String] {
        let cpus = pod.holding.cpus
        var parts = cpus.isEmpty ? [] : ["\(cpus.count == 1 ? "CPU" : "CPUs") \(cpus)"]
        for pages in pod.holding.pages where pages.count > 0 {
            let (amount, overflow) = pages.size.multipliedReportingOverflow(by: pages.count)
            parts.append(
                "\(overflow ? "\(pages.count)" : bytes(amount)) in \(bytes(pages.size)) pages on node \(pages.node)")
        }
        return parts
    }
}

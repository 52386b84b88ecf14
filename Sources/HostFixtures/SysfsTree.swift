internal import Glibc
public import HostTopology
public import LinuxSystem

/// The files in which a kernel would show a host, to be changed at will before they are written: other texts, files that
/// are missing.
public struct SysfsTree: Sendable {
    /// Texts by their path below sysfs.
    public var files: [String: String] = [:]
    /// What links point to, by their path below sysfs.
    public var links: [String: String] = [:]

    /// The files of a host whose kernel knows NUMA.
    public init(_ host: HostTopology) {
        addCPUs(host)
        for node in host.nodes { add(node, distances: host.nodes.map { node.distance(to: $0.id) }) }
        files["devices/system/node/online"] = "\(CPUSet(host.nodes.map(\.id)))\n"
        for device in host.devices { add(device) }
        for size in Set(host.nodes.flatMap { $0.hugePages.map(\.size) }) {
            let pools = host.nodes.flatMap { $0.hugePages.filter { $0.size == size } }
            let directory = "kernel/mm/hugepages/hugepages-\(size >> 10)kB"
            files["\(directory)/nr_hugepages"] = "\(pools.reduce(0) { $0 + $1.total })\n"
            files["\(directory)/free_hugepages"] = "\(pools.reduce(0) { $0 + $1.free })\n"
            files["\(directory)/resv_hugepages"] = "\(host.reservations.first { $0.size == size }?.count ?? 0)\n"
        }
    }

    /// Removes what is below a directory.
    public mutating func remove(below directory: String) {
        files = files.filter { !$0.key.hasPrefix("\(directory)/") }
        links = links.filter { !$0.key.hasPrefix("\(directory)/") }
    }

    /// Writes the tree below a directory, which becomes the root of sysfs.
    public func write(to directory: String) throws(SystemError) {
        var made: Set<String> = []
        func makeParent(of path: String) throws(SystemError) {
            let parent = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
            if made.insert(parent).inserted { try File.makeDirectory(parent, mode: 0o755) }
        }
        for (name, text) in files {
            let path = "\(directory)/\(name)"
            try makeParent(of: path)
            try FileDescriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644).write(Array(text.utf8))
        }
        for (name, target) in links {
            let path = "\(directory)/\(name)"
            try makeParent(of: path)
            guard symlink(target, path) == 0 else { throw .last("symlink", path) }
        }
    }

    /// What `/proc/meminfo` says about a node as if it were all of the host.
    public static func meminfo(_ node: HostNode) -> String { meminfo(node, prefix: "") }

    private mutating func addCPUs(_ host: HostTopology) {
        let directory = "devices/system/cpu"
        let all = host.online.union(host.offline)
        files["\(directory)/online"] = "\(host.online)\n"
        files["\(directory)/offline"] = "\(host.offline)\n"
        files["\(directory)/present"] = "\(all)\n"
        files["\(directory)/possible"] = "\(all)\n"
        files["\(directory)/isolated"] = "\(host.isolated)\n"
        files["\(directory)/nohz_full"] = "\(host.tickless)\n"
        // The first CPU cannot be taken offline and has no file that says so.
        for id in all.dropFirst() {
            files["\(directory)/cpu\(id)/online"] = host.online.contains(id) ? "1\n" : "0\n"
        }
        for cpu in host.cpus {
            let socket = CPUSet(host.cpus.lazy.filter { $0.socket == cpu.socket }.map(\.id))
            let topology = "\(directory)/cpu\(cpu.id)/topology"
            files["\(topology)/physical_package_id"] = "\(cpu.socket)\n"
            files["\(topology)/die_id"] = "0\n"
            files["\(topology)/core_id"] = "\(cpu.core)\n"
            files["\(topology)/thread_siblings_list"] = "\(cpu.siblings)\n"
            files["\(topology)/core_cpus_list"] = "\(cpu.siblings)\n"
            files["\(topology)/core_siblings_list"] = "\(socket)\n"
            files["\(topology)/package_cpus_list"] = "\(socket)\n"
            // Data and instructions of the first level, the second, the last.
            let caches = [(1, cpu.siblings), (1, cpu.siblings), (2, cpu.siblings), (3, cpu.cache)]
            for (index, cache) in caches.enumerated() {
                files["\(directory)/cpu\(cpu.id)/cache/index\(index)/level"] = "\(cache.0)\n"
                files["\(directory)/cpu\(cpu.id)/cache/index\(index)/shared_cpu_list"] = "\(cache.1)\n"
            }
        }
    }

    private mutating func add(_ node: HostNode, distances: [Int]) {
        let directory = "devices/system/node/node\(node.id)"
        files["\(directory)/cpulist"] = "\(node.cpus)\n"
        files["\(directory)/distance"] = distances.map(String.init).joined(separator: " ") + "\n"
        files["\(directory)/meminfo"] = Self.meminfo(node, prefix: "Node \(node.id) ")
        for pool in node.hugePages {
            let pages = "\(directory)/hugepages/hugepages-\(pool.size >> 10)kB"
            files["\(pages)/nr_hugepages"] = "\(pool.total)\n"
            files["\(pages)/free_hugepages"] = "\(pool.free)\n"
            files["\(pages)/surplus_hugepages"] = "0\n"
        }
    }

    private mutating func add(_ device: HostDevice) {
        func hex(_ number: some BinaryInteger, _ digits: Int) -> String {
            let text = String(number, radix: 16, uppercase: true)
            return String(repeating: "0", count: max(digits - text.count, 0)) + text
        }
        let directory = "bus/pci/devices/\(device.address)"
        files["\(directory)/numa_node"] = "\(device.node ?? -1)\n"
        files["\(directory)/class"] = "0x\(hex(device.classCode, 6).lowercased())\n"
        files["\(directory)/vendor"] = "0x\(hex(device.vendor, 4).lowercased())\n"
        files["\(directory)/device"] = "0x\(hex(device.device, 4).lowercased())\n"
        files["\(directory)/modalias"] =
            "pci:v\(hex(device.vendor, 8))d\(hex(device.device, 8))sv00000000sd00000000"
            + "bc\(hex(device.classCode >> 16, 2))sc\(hex(device.classCode >> 8 & 0xff, 2))"
            + "i\(hex(device.classCode & 0xff, 2))\n"
        if let driver = device.driver { links["\(directory)/driver"] = "../../../../bus/pci/drivers/\(driver)" }
        if let group = device.iommuGroup {
            links["\(directory)/iommu_group"] = "../../../../kernel/iommu_groups/\(group)"
        }
    }

    private static func meminfo(_ node: HostNode, prefix: String) -> String {
        let dirty: UInt64 = 128
        let clean = (node.available - node.free) >> 10
        let lines: [(String, UInt64)] = [
            ("MemTotal", node.memory >> 10), ("MemFree", node.free >> 10), ("MemUsed", (node.memory - node.free) >> 10),
            ("Active(file)", 4096), ("Inactive(file)", clean + 2 * dirty), ("Dirty", dirty), ("Writeback", dirty),
        ]
        return lines.map { "\(prefix)\($0):   \($1) kB\n" }.joined() + "\(prefix)HugePages_Total:     0\n"
    }
}

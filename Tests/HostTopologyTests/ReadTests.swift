import HostFixtures
import HostMemory
import HostTopology
import LinuxSystem
import TestSupport
import Testing

/// A host as files, with changes, read back.
private func read(
    _ host: HostTopology, devices: [String]? = nil, change: (inout SysfsTree) -> Void = { _ in }
) throws -> HostTopology {
    let directory = try TemporaryDirectory()
    var tree = SysfsTree(host)
    change(&tree)
    try tree.write(to: directory("sys"))
    return try HostTopology.read(sysfs: directory("sys"), procfs: directory("proc"), devices: devices)
}

private func failure(_ host: HostTopology, change: (inout SysfsTree) -> Void) -> HostTopologyError? {
    #expect(throws: HostTopologyError.self) { try read(host, change: change) }
}

private let cpu = "devices/system/cpu"
/// Two nodes with two CPUs each, for tests that write many trees.
private let few = HostFixtures.twoSocketsSMT.takingOffline([1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15])

@Suite struct ReadTests {
    @Test(arguments: HostFixtures.all.map(\.name))
    func fixture(_ name: String) throws {
        let host = try #require(HostFixtures.all.first { $0.name == name }).host
        try host.check()
        let seen = try read(host)
        #expect(seen == host)
    }

    @Test func randomHosts() throws {
        var generator = SeededGenerator(3)
        for round in 0..<16 {
            let host = HostFixtures.random(cores: 8, using: &generator)
            try host.check()
            let seen = try read(host)
            try seen.check()
            #expect(seen == host, "round \(round)")
        }
    }

    @Test func thisHost() throws {
        let host = try HostTopology.read()
        try host.check()
        let statistics = try File.text("/proc/stat").split(separator: "\n")
        #expect(host.cpus.count == statistics.filter { $0.hasPrefix("cpu") && !$0.hasPrefix("cpu ") }.count)
        #expect(host.nodes.contains { $0.memory > 0 && $0.free <= $0.available })
        let status = try File.text("/proc/self/status").split(separator: "\n")
        let allowed = try #require(status.first { $0.hasPrefix("Mems_allowed_list:") }).split(separator: "\t")[1]
        if let nodes = HostMemory.allowedNodes() { #expect(nodes == (try CPUSet(allowed))) }
    }

    @Test func kernelWithoutNUMA() throws {
        let directory = try TemporaryDirectory()
        var host = HostFixtures.singleNode
        host.nodes[0].hugePages[0].free = 7
        var tree = SysfsTree(host)
        tree.remove(below: "devices/system/node")
        try tree.write(to: directory("sys"))
        try directory.write("proc/meminfo", SysfsTree.meminfo(host.nodes[0]))
        #expect(try HostTopology.read(sysfs: directory("sys"), procfs: directory("proc")) == host)

        var stale = host
        stale.nodes[0].free = 0
        stale.nodes[0].hugePages[0].free = 0
        try stale.refreshMemory(sysfs: directory("sys"), procfs: directory("proc"))
        #expect(stale == host)
    }

    @Test func refreshSeesPagesComeAndGo() throws {
        let directory = try TemporaryDirectory()
        try SysfsTree(HostFixtures.twoSocketsSMT).write(to: directory.path)
        var host = try HostTopology.read(sysfs: directory.path)
        try SysfsTree(HostFixtures.fragmentedPages).write(to: directory("later"))
        try host.refreshMemory(sysfs: directory("later"))
        #expect(host == HostFixtures.fragmentedPages)
        try File.removeTree(directory("later/devices/system/node/node1"))
        #expect(throws: HostTopologyError.missing(file: directory("later/devices/system/node/node1/meminfo"))) {
            try host.refreshMemory(sysfs: directory("later"))
        }
        #expect(host == HostFixtures.fragmentedPages)
    }

    @Test func filesThatSomeKernelsDoNotHave() throws {
        let host = few
        for missing in ["isolated", "nohz_full", "offline", "possible"] {
            #expect(try read(host) { $0.files["\(cpu)/\(missing)"] = nil } == host, "\(missing)")
        }
        for suffix in ["thread_siblings_list", "core_cpus_list", "core_siblings_list", "package_cpus_list", "die_id"] {
            #expect(
                try read(host) { $0.files = $0.files.filter { !$0.key.hasSuffix("/topology/\(suffix)") } } == host,
                "\(suffix)")
        }
        var undistanced = host
        for index in host.nodes.indices { undistanced.nodes[index].distances = [:] }
        #expect(try read(host) { $0.files = $0.files.filter { !$0.key.hasSuffix("/distance") } } == undistanced)
        var pageless = host
        for index in host.nodes.indices { pageless.nodes[index].hugePages = [] }
        #expect(try read(host) { $0.remove(below: "kernel/mm/hugepages") } == pageless)
        var cardless = host
        cardless.devices = []
        #expect(try read(host) { $0.remove(below: "bus") } == cardless)
    }

    @Test func masksThatWereNeverMade() throws {
        let host = HostFixtures.twoSocketsSMT
        #expect(
            try read(host) {
                $0.files["\(cpu)/nohz_full"] = "(null)\n"
                $0.files["\(cpu)/isolated"] = "\n"
                $0.files["\(cpu)/offline"] = ""
            } == host)
    }

    /// Slots for CPUs that may be plugged in some day are no CPUs.
    @Test func possibleIsNotPresent() throws {
        let host = HostFixtures.offlineCPUs
        #expect(
            try read(host) {
                $0.files["\(cpu)/possible"] = "0-127\n"
                $0.files["\(cpu)/offline"] = "3,11-12,16-127\n"
            } == host)
    }

    @Test func machinesWithoutTopology() throws {
        let seen = try read(HostFixtures.twoSocketsSMT) { tree in
            for id in 0..<16 {
                tree.remove(below: "\(cpu)/cpu\(id)/cache")
                tree.remove(below: "\(cpu)/cpu\(id)/topology")
            }
        }
        try seen.check()
        #expect(seen.cpus.allSatisfy { $0.siblings == [$0.id] && $0.core == $0.id && $0.socket == 0 })
        #expect(seen.cpu(9)?.cache == (try CPUSet("0-3,8-11")) && seen.cpu(9)?.node == 0)

        let unknown = try read(HostFixtures.singleNode) { tree in
            for id in 0..<4 {
                for file in ["physical_package_id", "core_id", "die_id"] {
                    tree.files["\(cpu)/cpu\(id)/topology/\(file)"] = "-1\n"
                }
            }
        }
        #expect(unknown.cpus.map(\.socket) == [0, 0, 0, 0] && unknown.cpus.map(\.core) == [0, 1, 2, 3])
    }

    @Test func theHighestLevelOfCacheCounts() throws {
        // No third level: the second is the last, each core's own.
        let seen = try read(HostFixtures.twoSocketsSMT) { tree in
            for id in 0..<16 { tree.remove(below: "\(cpu)/cpu\(id)/cache/index3") }
        }
        #expect(seen.cpus.allSatisfy { $0.cache == $0.siblings })
        // Levels are not in the order of their indices everywhere.
        let swapped = try read(HostFixtures.singleNode) { tree in
            for id in 0..<4 {
                tree.files["\(cpu)/cpu\(id)/cache/index0/level"] = "4\n"
                tree.files["\(cpu)/cpu\(id)/cache/index0/shared_cpu_list"] = "\(id & 2)-\(id & 2 + 1)\n"
            }
        }
        #expect(swapped.cpus.map(\.cache.description) == ["0-1", "0-1", "2-3", "2-3"])
    }

    /// A kernel that lists siblings although they are offline, and a CPU that goes while its files are read.
    @Test func onlineCPUsAlone() throws {
        let host = HostFixtures.offlineCPUs
        let seen = try read(host) { tree in
            tree.files["\(cpu)/cpu4/topology/thread_siblings_list"] = "4,12\n"
            tree.files["devices/system/node/node1/cpulist"] = "4-7,12-15\n"
        }
        #expect(seen == host)
        let late = try read(host) { $0.files["\(cpu)/online"] = "0-2,3,4-10,13-15\n" }
        #expect(late == host)
    }

    @Test func devices() throws {
        let host = HostFixtures.twoSocketsSMT
        #expect(try read(host, devices: []).devices.isEmpty)
        let asked = ["0000:b1:01.3", "0000:b1:00.0", "0000:b1:00.0", "0000:ff:00.0", "../../.."]
        let some = try read(host, devices: asked)
        #expect(some.devices.map(\.address) == ["0000:b1:00.0", "0000:b1:01.3"])
        let odd = try read(host) { tree in
            tree.files["bus/pci/devices/0000:b1:00.0/numa_node"] = "-1\n"
            tree.files["bus/pci/devices/0000:b1:00.1/numa_node"] = "7\n"
            tree.links["bus/pci/devices/0000:b1:00.1/driver"] = nil
            tree.links["bus/pci/devices/0000:b1:00.1/iommu_group"] = nil
            tree.files["bus/pci/devices/not a device/numa_node"] = "0\n"
            tree.files["bus/pci/devices/10000:e1:00.0/modalias"] = "pci:v00008086d0000F1A8sv00000000sd0bc01sc08i02\n"
            tree.files["bus/pci/devices/10000:e1:00.0/modalias"] =
                "pci:v00008086d0000F1A8sv00008086sd0000390Bbc01sc08i02\n"
        }
        #expect(odd.devices.first { $0.address == "0000:b1:00.0" }?.node == nil)
        let bare = try #require(odd.devices.first { $0.address == "0000:b1:00.1" })
        #expect(bare.node == nil && bare.driver == nil && bare.iommuGroup == nil && bare.vendor == 0x8086)
        let drive = try #require(odd.devices.first { $0.address == "10000:e1:00.0" })
        #expect(drive.classCode == 0x010802 && drive.device == 0xf1a8 && drive.node == nil)
        #expect(odd.devices.count == host.devices.count + 1)
    }

    @Test(arguments: [
        ("\(cpu)/online", "0-x"), ("\(cpu)/cpu0/topology/core_id", "many"), ("\(cpu)/cpu0/topology/core_id", ""),
        ("\(cpu)/cpu0/topology/physical_package_id", "-2"), ("\(cpu)/cpu0/topology/thread_siblings_list", "0-99999"),
        ("\(cpu)/cpu0/cache/index3/level", "99999999999"), ("devices/system/node/online", "0-1,x"),
        ("devices/system/node/node1/distance", "10"), ("devices/system/node/node1/distance", "10 999999"),
        ("devices/system/node/node1/meminfo", "Node 1 MemTotal: 12345678901234567890 kB"),
        ("devices/system/node/node1/meminfo", "Node 1 MemTotal: -1 kB"), ("devices/system/node/node1/meminfo", ""),
        ("devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages", "9223372036854775807"),
        ("devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "-1"),
        ("bus/pci/devices/0000:b1:00.0/modalias", "pci:v0000808"), ("bus/pci/devices/0000:b1:00.0/numa_node", "x"),
    ])
    func malformed(_ file: String, _ text: String) throws {
        let error = try #require(failure(few) { $0.files[file] = "\(text)\n" })
        guard case .malformed(let name, _, _) = error else { throw error }
        #expect(name.hasSuffix("/\(file)"), "\(error)")
        #expect("\(error)".utf8.count < 400)
    }

    @Test func whatEveryKernelHas() throws {
        for file in ["\(cpu)/online", "devices/system/node/node1/cpulist", "devices/system/node/node1/meminfo"] {
            let error = try #require(failure(few) { $0.files[file] = nil })
            guard case .missing(let name) = error else { throw error }
            #expect(name.hasSuffix("/\(file)"))
        }
        let endless = try #require(
            failure(HostFixtures.singleNode) { $0.files["\(cpu)/online"] = String(repeating: "0,", count: 1 << 20) })
        guard case .unreadable(let cause) = endless else { throw endless }
        #expect(cause.subject.hasSuffix("\(cpu)/online"))
        let directory = try TemporaryDirectory()
        try File.makeDirectory(directory("\(cpu)/online"))
        #expect(throws: HostTopologyError.self) { try HostTopology.read(sysfs: directory.path) }
        let nowhere = try #require(
            failure(HostFixtures.singleNode) { $0.files["devices/system/node/node0/cpulist"] = "4-7\n" })
        guard case .inconsistent = nowhere else { throw nowhere }
    }
}

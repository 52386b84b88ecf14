import CRIProtocol
import LinuxSystem
import SwiftProtobuf
import Testing

/// A PCI function of the lab that pods get as a NIC.
struct LabFunction {
    /// What `lab nic` calls it, or its address.
    let name: String
    let address: String
    /// Its driver on the node.
    let driver: String
    let group: String
    /// The link's name on the node.
    let link: String
    let mac: String

    /// One that its driver has, or gets now.
    init(_ name: String, driver: String = "e1000e") throws {
        let words = try #require(try Lab.table("lab nic \(name) | grep \(driver) || lab \(driver) \(name)").last)
        self.name = name
        self.driver = driver
        (address, group) = (words[0], words[2])
        link = try Lab.run("ls /sys/bus/pci/devices/\(address)/net").filter { !$0.isWhitespace }
        mac = try Lab.file("/sys/class/net/\(link)/address")
    }

    /// Writes a network for a function that is named when it is attached.
    static let more = """
        cat >/root/more.conf <<'END'
        {"cniVersion": "1.0.0", "name": "more", "type": "host-device"}
        END
        """

    /// The driver that it has now.
    var currentDriver: String { get throws { try #require(try Lab.table("lab nic \(name)").last)[1] } }

    /// Its link on the node.
    var links: String {
        get throws { try Lab.run("ls /sys/bus/pci/devices/\(address)/net").filter { !$0.isWhitespace } }
    }

    /// Gives it an address on the node, by which guests find it.
    func answer(_ address: String) throws {
        try Lab.run("ip link set \(link) up; ip address replace \(address) dev \(link)")
    }

    /// As it was before any test.
    func reset() throws {
        try Lab.run(
            """
            lab nic \(name) | grep \(driver) || lab \(driver) \(name)
            link=$(ls /sys/bus/pci/devices/\(address)/net)
            ip address flush dev $link; ip link set $link down
            """)
    }
}

/// What is between a pod and its network `wan`, whose plugin is host-device.
struct Wan {
    let pod: LabPod
    let nic: LabFunction
    let namespace: String

    init(_ pod: LabPod, _ nic: LabFunction) throws {
        self.pod = pod
        self.nic = nic
        namespace = try Lab.run(
            "tr -d '\\\\' </run/slipway/\(pod.id.prefix(8))-*/sandbox.json | grep -o '/[a-z/]*netns/[^\"]*'"
        ).filter { !$0.isWhitespace }
    }

    func call(_ command: String) throws {
        try Lab.run(
            """
            CNI_COMMAND=\(command) CNI_CONTAINERID=\(pod.id) CNI_NETNS=\(namespace) CNI_IFNAME=net1 \
            CNI_PATH=/usr/lib/cni /usr/lib/cni/host-device <<'END'
            {"cniVersion": "1.0.0", "name": "wan", "type": "host-device", "pciBusID": "\(nic.address)", "ipam": {
                "type": "static", "addresses": [{"address": "10.99.0.5/24", "gateway": "10.99.0.1"}],
                "routes": [{"dst": "10.98.0.0/16"}]}}
            END
            """)
    }

    func inPod(_ command: String) throws -> String { try Lab.run("nsenter --net=\(namespace) \(command)") }

    /// What the plugin made is there: name, alias, addresses, routes.
    func expectAsMade() throws {
        #expect(try nic.currentDriver == nic.driver)
        let link = try inPod("ip -d address show dev net1")
        for word in [nic.mac, "alias \(nic.link)", "inet 10.99.0.5/24", ",UP"] {
            #expect(link.contains(word), "no \(word) in \(link)")
        }
        #expect(try inPod("ip route show dev net1").contains("10.98.0.0/16 via 10.99.0.1"))
    }
}

extension LabPod {
    /// The sandbox's directory in the lab, for a shell.
    var directory: String { "/run/slipway/\(id.prefix(8))-*" }

    /// The way of a test: nothing is left of the pod, and the functions are the node's again.
    static func with(
        _ name: String, _ functions: [LabFunction], pages: Int = 32, _ body: (inout LabPod) async throws -> Void
    ) async throws {
        try Lab.run("lab pages 0 2Mi \(pages); lab pages 1 2Mi \(pages)")
        let before = try Lab.remains()
        try await Lab.connected { runtime in
            var pod = try await LabPod(runtime, name, .systemd)
            do {
                try await body(&pod)
            } catch {
                Issue.record("\(error); log: \(pod.log)")
            }
            try await pod.remove()
        }
        try await Lab.expectNothingLeft(since: before)
        for function in functions {
            #expect(try function.currentDriver == function.driver)
            try function.reset()
        }
        try Lab.run("lab pages 0 2Mi 0; lab pages 1 2Mi 0")
    }

    /// Starts a machine that has been given functions, with CPUs and pages of both nodes, so that there are two cells: node 1
    /// is cell 1.
    mutating func start(
        driving functions: [LabFunction], image: String = "boot-sector", pages: Int = 32, attempt: UInt32 = 0,
        devices: [String] = []
    ) async throws {
        let variable = ["PCIDEVICE_LAB_NIC": functions.map(\.address).joined(separator: ",")]
        try await start(
            image: image, memory: 512 << 20, devices: Self.devices(devices), environment: variable, attempt: attempt
        ) {
            $0.cpusetCpus = "1-2"
            $0.cpuShares = 2048
            $0.cpuQuota = 200_000
            $0.hugepageLimits = [
                .with {
                    $0.pageSize = "2MB"
                    $0.limit = UInt64(pages) * 2 * (2 << 20)
                }
            ]
        }
    }

    /// Leaves on the node what plugins leave there of net1, an interface without a link: its device, as the Network Plumbing
    /// Working Group writes it, and CNI's cached result, with address 5 of a network and gateway 1.
    ///
    /// - Parameter network: its first three octets.
    /// - Returns: the files, for the test to remove.
    func describe(_ device: String, mac: String, network: String) throws -> [String] {
        let information = "/var/run/k8s.cni.cncf.io/devinfo/cni"
        let files = ["\(information)/default-wan-\(id)_net1", "/var/lib/cni/results/wan-\(id)-net1"]
        try Lab.run(
            """
            mkdir -p \(information) /var/lib/cni/results
            cat >\(files[0]) <<'END'
            \(device)
            END
            cat >\(files[1]) <<'END'
            {"kind": "cniCacheV1", "containerId": "\(id)", "ifName": "net1", "networkName": "wan", "result": {
                "cniVersion": "1.0.0", "interfaces": [{"name": "net1", "mac": "\(mac)", "sandbox": "/netns"}],
                "ips": [{"interface": 0, "address": "\(network).5/24", "gateway": "\(network).1"}],
                "routes": [{"dst": "10.98.0.0/16"}], "dns": {}}}
            END
            """)
        return files
    }

    /// The same of a function.
    func describe(_ nic: LabFunction, mac: String) throws -> [String] {
        try describe(
            "{\"type\": \"pci\", \"version\": \"1.1.0\", \"pci\": {\"pci-address\": \"\(nic.address)\"}}", mac: mac,
            network: "10.99.0")
    }

    /// Device nodes that a plugin has given.
    static func devices(_ paths: [String]) -> [CRIDevice] {
        paths.map { path in
            .with {
                $0.containerPath = path
                $0.hostPath = path
                $0.permissions = "rw"
            }
        }
    }

    /// The guest drives the function, on the bus of its cell, and everybody says so.
    func expectPassed(_ nic: LabFunction) throws {
        #expect(try nic.currentDriver == "vfio-pci")
        let xml = try Lab.run("cat \(directory)/domain.xml")
        #expect(xml.contains("pcie-expander-bus") && xml.contains("<node>1</node>"), "\(xml)")
        let qemu = try qemu
        #expect(try Lab.run("ls -l /proc/\(qemu)/fd").contains("/dev/vfio/\(nic.group)"))
        // libvirt makes the node in QEMU's own /dev; the host's stays root's.
        let user = try Lab.run("stat -c %u /proc/\(qemu)")
        #expect(try Lab.run("stat -c %u /proc/\(qemu)/root/dev/vfio/\(nic.group)") == user)
        #expect(try Lab.run("stat -c %u /dev/vfio/\(nic.group)") == "0\n")
        let name = config.metadata.name
        let listed = try Lab.run("slipway net ls \(name) -o wide")
        #expect(listed.contains("hostdev \(nic.address)") && listed.contains("0000:41:00.0"), "\(listed)")
        let explained = try Lab.run("slipway explain \(name)")
        #expect(explained.contains("function \(nic.address)") && explained.contains("/dev/vfio/\(nic.group) open"))
        try Lab.run("slipway verify \(name)")
    }

    /// Waits for a line of the guest's.
    func expect(_ line: String, times: Int = 1, seconds: Int32 = 120) throws {
        // Within the single quotes of a shell's word.
        let quoted = "\"" + line.replacing("\"", with: "\\\"") + "\""
        // In the lab: every question from here would cost the guest some of its time.
        let found = try Lab.run(
            """
            timeout \(seconds) sh -c 'until [ $(grep -cF \(quoted) \(console)) -ge \(times) ]; do sleep 1; done'
            [ $? = 0 ] && echo found || tail -n 40 \(console)
            """, seconds: seconds + 60)
        #expect(found == "found\n", "no \(line): \(found)")
    }
}

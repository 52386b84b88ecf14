import CRIProtocol
import FoundationEssentials
import LinuxSystem
import SwiftProtobuf
import TestSupport
import Testing

/// PCI functions as NICs. An e1000e of the lab stands for a virtual function: it has a driver of the node and a link, which
/// CNI's host-device plugin moves into the pod's namespace and wants back from there. nic0 is on node 0, nic1 on node 1, and
/// the one receives what the other sends.
@Suite(.serialized, .timeLimit(.minutes(40))) struct FunctionTests {
    /// An e1000e, with its driver.
    private struct NIC {
        let name: String
        let address: String
        let group: String
        /// The link's name on the node.
        let link: String
        let mac: String

        init(_ name: String) throws {
            let words = try #require(try Lab.table("lab nic \(name) | grep e1000e || lab e1000e \(name)").last)
            self.name = name
            (address, group) = (words[0], words[2])
            link = try Lab.run("ls /sys/bus/pci/devices/\(address)/net").filter { !$0.isWhitespace }
            mac = try Lab.file("/sys/class/net/\(link)/address")
        }

        var driver: String { get throws { try #require(try Lab.table("lab nic \(name)").last)[1] } }

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
                lab nic \(name) | grep e1000e || lab e1000e \(name)
                link=$(ls /sys/bus/pci/devices/\(address)/net)
                ip address flush dev $link; ip link set $link down
                """)
        }
    }

    /// What is between a pod and its network `wan`, whose plugin is host-device.
    private struct Wan {
        let pod: LabPod
        let nic: NIC
        let namespace: String

        init(_ pod: LabPod, _ nic: NIC) throws {
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
            #expect(try nic.driver == "e1000e")
            let link = try inPod("ip -d address show dev net1")
            for word in [nic.mac, "alias \(nic.link)", "inet 10.99.0.5/24", ",UP"] {
                #expect(link.contains(word), "no \(word) in \(link)")
            }
            #expect(try inPod("ip route show dev net1").contains("10.98.0.0/16 via 10.99.0.1"))
        }
    }

    /// The way of a test: nothing is left of it, and the NICs are the node's again.
    private func withPod(
        _ name: String, pages: Int = 32, annotations: [String: String] = [:],
        _ body: (inout LabPod, _ nic0: NIC, _ nic1: NIC) async throws -> Void
    ) async throws {
        let (nic0, nic1) = (try NIC("nic0"), try NIC("nic1"))
        try Lab.run("lab pages 0 2Mi \(pages); lab pages 1 2Mi \(pages)")
        let before = try Lab.remains()
        try await Lab.connected { runtime in
            var pod = try await LabPod(runtime, name, .systemd, annotations: annotations)
            do {
                try await body(&pod, nic0, nic1)
            } catch {
                Issue.record("\(error); log: \(pod.log)")
            }
            try await pod.remove()
        }
        try await Lab.expectNothingLeft(since: before)
        for nic in [nic0, nic1] {
            #expect(try nic.driver == "e1000e")
            try nic.reset()
        }
        try Lab.run("lab pages 0 2Mi 0; lab pages 1 2Mi 0")
    }

    /// CPUs and pages of both nodes, so that there are two cells: node 1 is cell 1.
    private func start(
        _ pod: inout LabPod, _ functions: [NIC], image: String = "boot-sector", pages: Int = 32, attempt: UInt32 = 0,
        devices: [CRIDevice] = []
    ) async throws {
        let variable = ["PCIDEVICE_LAB_NIC": functions.map(\.address).joined(separator: ",")]
        try await pod.start(
            image: image, memory: 512 << 20, devices: devices, environment: variable, attempt: attempt
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

    /// A network for a function that is named when it is attached.
    private static let more = """
        cat >/root/more.conf <<'END'
        {"cniVersion": "1.0.0", "name": "more", "type": "host-device"}
        END
        """

    private func directory(_ pod: LabPod) -> String { "/run/slipway/\(pod.id.prefix(8))-*" }

    /// The guest drives the function, on the bus of its cell, and everybody says so.
    private func expectPassed(_ nic: NIC, to pod: LabPod) throws {
        #expect(try nic.driver == "vfio-pci")
        let xml = try Lab.run("cat \(directory(pod))/domain.xml")
        #expect(xml.contains("pcie-expander-bus") && xml.contains("<node>1</node>"), "\(xml)")
        let qemu = try pod.qemu
        #expect(try Lab.run("ls -l /proc/\(qemu)/fd").contains("/dev/vfio/\(nic.group)"))
        // libvirt makes the node in QEMU's own /dev; the host's stays root's.
        let user = try Lab.run("stat -c %u /proc/\(qemu)")
        #expect(try Lab.run("stat -c %u /proc/\(qemu)/root/dev/vfio/\(nic.group)") == user)
        #expect(try Lab.run("stat -c %u /dev/vfio/\(nic.group)") == "0\n")
        let name = pod.config.metadata.name
        let listed = try Lab.run("slipway net ls \(name) -o wide")
        #expect(listed.contains("hostdev \(nic.address)") && listed.contains("0000:41:00.0"), "\(listed)")
        let explained = try Lab.run("slipway explain \(name)")
        #expect(explained.contains("function \(nic.address)") && explained.contains("/dev/vfio/\(nic.group) open"))
        try Lab.run("slipway verify \(name)")
    }

    @Test func itIsTakenFromItsDriverAndComesBack() async throws {
        try await withPod("taken") { pod, _, nic in
            let wan = try Wan(pod, nic)
            try wan.call("ADD")
            try wan.expectAsMade()
            // The container's second machine finds it as the first one did.
            for attempt in 0..<2 as Range<UInt32> {
                try await start(&pod, [nic], attempt: attempt)
                try expectPassed(nic, to: pod)
                try await pod.runtime.stopContainer(pod.container, grace: 0)
                try await pod.runtime.removeContainer(pod.container)
                try wan.expectAsMade()
            }
            try wan.call("DEL")
            #expect(try nic.links == nic.link)
        }
    }

    /// This guest has no driver that would let go of one that came later.
    @Test func aKilledSandboxGivesThemBack() async throws {
        try await withPod("killed") { pod, spare, nic in
            let wan = try Wan(pod, nic)
            try wan.call("ADD")
            try await start(&pod, [nic, spare])
            try Lab.run(Self.more)
            try Lab.run("slipway net attach killed --config /root/more.conf --device \(spare.address) --timeout 60")
            #expect(try spare.driver == "vfio-pci")
            let held = try Lab.run("slipway net detach killed net2 --timeout 2 2>&1; echo $?; rm /root/more.conf")
            #expect(held.contains("the guest has not let go of the PCI function") && held.hasSuffix("\n6\n"), "\(held)")
            #expect(try Lab.run("slipway net ls killed").contains("unplugging"))
            try Lab.run("kill -KILL $(ps -o ppid= -p \(pod.qemu))")
            let runtime = pod.runtime
            let container = pod.container
            let ended = try await eventually(within: .seconds(60)) {
                try await runtime.containerStatus(container).status.state == .containerExited
            }
            #expect(ended, "containerd does not see that the sandbox has gone")
            let directory = directory(pod)
            let isRemoved = try await eventually(within: .seconds(30)) {
                try Lab.run("ls -d \(directory) 2>/dev/null || true").isEmpty
            }
            let journal = try Lab.run("journalctl -u containerd --no-pager | grep 'clean up' | tail -n 4 || true")
            #expect(isRemoved, "\(journal)")
            try wan.expectAsMade()
            try wan.call("DEL")
            #expect(try nic.links == nic.link)
            // containerd's call of `delete` has called DEL for what was attached by hand.
            #expect(try spare.driver == "e1000e")
            #expect(try spare.links == spare.link)
        }
    }

    /// Where nobody tells whether the plugins are done, a link that does not change any more is taken.
    @Test func oneThatIsMovedByHandIsTaken() async throws {
        try await withPod("moved") { pod, _, nic in
            try await start(&pod, [nic])
            let namespace = try Wan(pod, nic).namespace
            try Lab.run("ip link set \(nic.link) netns \(namespace.split(separator: "/").last ?? "")")
            let listed = try await eventually(within: .seconds(60)) {
                try Lab.run("slipway net ls moved").contains("hostdev \(nic.address)")
            }
            #expect(listed, "\(pod.log)")
            #expect(try nic.driver == "vfio-pci")
            try Lab.run("slipway verify moved")
        }
    }

    /// One that a device plugin has bound to vfio-pci has no link: a file of the node says which interface it is, and CNI's
    /// cached result its addresses.
    @Test func oneWithoutALinkHasTheAddressesOfTheResult() async throws {
        try await withPod("bound") { pod, _, nic in
            try Lab.run("lab vfio nic1")
            let information = "/var/run/k8s.cni.cncf.io/devinfo/cni"
            let files = ["\(information)/default-wan-\(pod.id)_net1", "/var/lib/cni/results/wan-\(pod.id)-net1"]
            try Lab.run(
                """
                mkdir -p \(information) /var/lib/cni/results
                cat >\(files[0]) <<'END'
                {"type": "pci", "version": "1.1.0", "pci": {"pci-address": "\(nic.address)"}}
                END
                cat >\(files[1]) <<'END'
                {"kind": "cniCacheV1", "containerId": "\(pod.id)", "ifName": "net1", "networkName": "wan", "result": {
                    "cniVersion": "1.0.0", "interfaces": [{"name": "net1", "mac": "\(nic.mac)", "sandbox": "/netns"}],
                    "ips": [{"interface": 0, "address": "10.99.0.5/24", "gateway": "10.99.0.1"}],
                    "routes": [{"dst": "10.98.0.0/16"}], "dns": {}}}
                END
                """)
            let devices = ["/dev/vfio/vfio", "/dev/vfio/\(nic.group)"].map { path in
                CRIDevice.with {
                    $0.containerPath = path
                    $0.hostPath = path
                    $0.permissions = "rw"
                }
            }
            try await start(&pod, [nic], devices: devices)
            try expectPassed(nic, to: pod)
            let seed = try Lab.run("isoinfo -R -x /network-config -i \(directory(pod))/seed.iso")
            for word in [nic.mac, "10.99.0.5/24", "10.98.0.0/16"] {
                #expect(seed.contains(word), "no \(word) in \(seed)")
            }
            let environment = try Lab.run("isoinfo -R -x /vendor-data -i \(directory(pod))/seed.iso")
            #expect(environment.contains("PCIDEVICE_LAB_NIC=\"0000:41:00.0\""), "\(environment)")
            try await pod.runtime.stopContainer(pod.container, grace: 0)
            // It was not ours to give back.
            #expect(try nic.driver == "vfio-pci")
            try Lab.run("rm \(files.joined(separator: " ")); lab e1000e nic1")
        }
    }

    /// Linux in the guest drives it, finds it where it was told, and reaches the node by it; a second one comes and goes
    /// while it runs.
    @Test func theGuestDrivesOneFromTheStartAndOneThatComes() async throws {
        try await withPod("driver", pages: 96) { pod, nic0, nic1 in
            try nic0.answer("10.99.0.1/24")
            let wan = try Wan(pod, nic1)
            try wan.call("ADD")
            try await start(&pod, [nic1, nic0], image: "function", pages: 96)
            try await expect(pod, "function 0000:41:00.0 e1000e \(nic1.mac) 10.99.0.5/24 answers", seconds: 900)
            try await expect(pod, "PCIDEVICE_LAB_NIC=\"0000:41:00.0,\(nic0.address)\"")
            try await expect(pod, "\"address\": \"0000:41:00.0\"")
            try expectPassed(nic1, to: pod)

            try Lab.run(Self.more)
            let attached = try Lab.run(
                "slipway net attach driver --config /root/more.conf --device \(nic0.address) --timeout 60 2>&1")
            #expect(attached.contains("net2: NIC 2 of the guest"), "\(attached)")
            try await expect(pod, "function 0000:03:00.0 e1000e \(nic0.mac) none silent")
            #expect(try nic0.driver == "vfio-pci")
            try Lab.run("slipway verify driver")
            #expect(
                try Lab.run("slipway net attach driver --config /root/more.conf --device \(nic0.address) 2>&1 || true")
                    .contains("the guest of pod default/driver has it"))

            let detached = try Lab.run("slipway net detach driver net2 --timeout 100 2>&1", seconds: 200)
            #expect(detached == "net2: detached\n")
            #expect(try nic0.driver == "e1000e")
            #expect(try nic0.links == nic0.link)
            try await expect(pod, "functions 2", times: 2)
            try Lab.run("slipway verify driver; rm /root/more.conf")
            try await pod.runtime.stopContainer(pod.container, grace: 0)
            try wan.call("DEL")
        }
    }

    /// Waits for a line of the guest's.
    private func expect(_ pod: LabPod, _ line: String, times: Int = 1, seconds: Int32 = 120) async throws {
        // In the lab: every question from here would cost the guest some of its time.
        let found = try Lab.run(
            """
            timeout \(seconds) sh -c 'until [ $(grep -cF \(Self.quoted(line)) \(pod.console)) -ge \(times) ]; do sleep 1; done'
            [ $? = 0 ] && echo found || tail -n 40 \(pod.console)
            """, seconds: seconds + 60)
        #expect(found == "found\n", "no \(line): \(found)")
    }

    /// Within the single quotes of a shell's word.
    private static func quoted(_ text: String) -> String {
        "\"" + text.replacing("\"", with: "\\\"") + "\""
    }
}

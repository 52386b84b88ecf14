import CRIProtocol
import FoundationEssentials
import LinuxSystem
import TestSupport
import Testing

/// Virtual functions of an SR-IOV NIC as a pod's NICs: what its physical function is told of them, what the guest gets and
/// what is on the wire. The far end is nic0, with 10.99.0.1 in VLAN 100.
@Suite(.serialized, .timeLimit(.minutes(40)), .enabled(if: Lab.hasNewDevices, Lab.newDevices))
struct VirtualFunctionTests {
    /// The physical function with two virtual ones, which are gone after a test.
    private struct PhysicalFunction {
        static let vlan = 100
        let address: String
        let link: String
        let far: String
        /// The virtual functions' addresses.
        let virtual: [String]

        init() throws {
            address = try Lab.run("grep -l 0x10c9 /sys/bus/pci/devices/*/device | cut -d/ -f6").filter {
                !$0.isWhitespace
            }
            link = try #require(try Lab.table("lab link \(address)").first?.first)
            far = try #require(try Lab.table("lab link nic0").first?.first)
            virtual = try Lab.table(
                """
                set -e
                ip link set \(link) up
                ip link set \(far) up
                ip link add link \(far) name far type vlan id \(Self.vlan)
                ip address add 10.99.0.1/24 dev far
                ip link set far up
                cd /sys/bus/pci/devices/\(address)
                echo 2 >sriov_numvfs
                until [ -e virtfn0/net ] && [ -e virtfn1/net ]; do sleep 0.1; done
                for function in virtfn0 virtfn1; do basename "$(readlink $function)"; done
                """
            ).map { $0[0] }
        }

        func remove() throws {
            try Lab.run(
                """
                echo 0 >/sys/bus/pci/devices/\(address)/sriov_numvfs
                ip link del far
                ip link set \(far) down
                ip link set \(link) down
                """)
        }

        /// What it has for a virtual function: Ethernet address, VLAN, and what else `ip` knows.
        func settings(_ number: Int) throws -> String {
            try Lab.run("ip link show dev \(link) | grep ' vf \(number) '")
        }

        /// As CNI's SR-IOV plugin does. This driver takes an address that it was given when it starts.
        func set(_ number: Int, mac: String) throws {
            try Lab.run(
                """
                set -e
                ip link set \(link) vf \(number) mac \(mac) vlan \(Self.vlan)
                cd /sys/bus/pci/devices/\(address)/virtfn\(number)
                basename "$(readlink -f .)" >driver/unbind
                basename "$(readlink -f .)" >/sys/bus/pci/drivers_probe
                until [ -e net ]; do sleep 0.1; done
                """)
        }

        /// Has every frame of an Ethernet address noted that comes out of the wire.
        func capture(_ mac: String) throws {
            try Lab.run(
                """
                systemd-run -q --unit=capture -p StandardOutput=file:/root/frames \
                    tcpdump --immediate-mode -l -e -n -i \(far) ether src \(mac)
                timeout 60 sh -c 'until ip -d link show dev \(far) | grep -q "promiscuity [1-9]"; do sleep 0.1; done'
                """)
        }

        func captured() throws -> [Substring] {
            try Lab.run("systemctl stop capture; grep ethertype /root/frames; rm /root/frames").split(separator: "\n")
        }
    }

    private func with(_ body: (PhysicalFunction, _ first: String, _ second: String) async throws -> Void) async throws {
        let physical = try PhysicalFunction()
        do {
            try #require(physical.virtual.count == 2)
            try await body(physical, physical.virtual[0], physical.virtual[1])
        } catch {
            Issue.record("\(error)")
        }
        try physical.remove()
    }

    /// Address and VLAN were set at the physical function. A second one, which has an address of its own choice, comes and
    /// goes while the guest runs.
    @Test func theGuestDrivesOneWithItsAddressInItsVLAN() async throws {
        try await with { physical, address, other in
            let mac = "02:00:00:00:99:05"
            try physical.set(0, mac: mac)
            let function = try LabFunction(address, driver: "igbvf")
            let spare = try LabFunction(other, driver: "igbvf")
            #expect(function.mac == mac)
            let settings = (try physical.settings(0), try physical.settings(1))
            #expect(settings.0.contains("\(mac) ") && settings.0.contains(" vlan 100"), "\(settings)")
            try physical.capture(mac)
            try await LabPod.with("virtual", [function, spare], pages: 96) { pod in
                let wan = try Wan(pod, function)
                try wan.call("ADD")
                try await pod.start(driving: [function, spare], image: "function", pages: 96)
                try pod.expect("function 0000:41:00.0 igbvf \(mac) 10.99.0.5/24 answers", seconds: 900)
                try pod.expect("PCIDEVICE_LAB_NIC=\"0000:41:00.0,\(other)\"")
                try pod.expect("\"address\": \"0000:41:00.0\"")
                try pod.expectPassed(function)
                #expect(try physical.settings(0) == settings.0)

                try Lab.run(LabFunction.more)
                let attached = try Lab.run(
                    "slipway net attach virtual --config /root/more.conf --device \(other) --timeout 60 2>&1")
                #expect(attached.contains("net2: NIC 2 of the guest"), "\(attached)")
                try pod.expect("function 0000:03:00.0 igbvf \(spare.mac) none silent")
                #expect(try spare.currentDriver == "vfio-pci")
                try Lab.run("slipway verify virtual")
                let detached = try Lab.run("slipway net detach virtual net2 --timeout 100 2>&1", seconds: 200)
                #expect(detached == "net2: detached\n")
                #expect(try spare.currentDriver == "igbvf" && spare.links == spare.link)
                #expect(try Lab.file("/sys/class/net/\(spare.link)/address") == spare.mac)
                try Lab.run("slipway verify virtual; rm /root/more.conf")

                try await pod.runtime.stopContainer(pod.container, grace: 0)
                try wan.expectAsMade()
                #expect(try physical.settings(0) == settings.0)
                #expect(try physical.settings(1) == settings.1)
                try wan.call("DEL")
                #expect(try function.links == function.link)
            }
            let frames = try physical.captured()
            #expect(frames.contains { $0.contains("ICMP echo request") }, "\(frames)")
            #expect(frames.allSatisfy { $0.contains(" vlan 100,") }, "\(frames)")
        }
    }

    /// A device plugin has bound it to vfio-pci: nobody but its physical function can give it the address of CNI's result.
    @Test func oneWithoutALinkGetsTheAddressOfTheResult() async throws {
        try await with { physical, address, _ in
            let mac = "02:00:00:00:99:06"
            let function = try LabFunction(address, driver: "igbvf")
            try Lab.run("ip link set \(physical.link) vf 0 vlan \(PhysicalFunction.vlan); lab vfio \(address)")
            let settings = try physical.settings(0)
            try physical.capture(mac)
            try await LabPod.with("bound", [function], pages: 96) { pod in
                let files = try pod.describe(function, mac: mac)
                try await pod.start(
                    driving: [function], image: "function", pages: 96,
                    devices: ["/dev/vfio/vfio", "/dev/vfio/\(function.group)"])
                try pod.expect("function 0000:41:00.0 igbvf \(mac) 10.99.0.5/24 answers", seconds: 900)
                try pod.expect("PCIDEVICE_LAB_NIC=\"0000:41:00.0\"")
                try pod.expectPassed(function)
                #expect(try physical.settings(0).contains(mac))
                try await pod.runtime.stopContainer(pod.container, grace: 0)
                // It was not ours to give back; its address was.
                #expect(try function.currentDriver == "vfio-pci")
                #expect(try physical.settings(0) == settings)
                try Lab.run("rm \(files.joined(separator: " ")); lab igbvf \(address)")
            }
            let frames = try physical.captured()
            #expect(frames.contains { $0.contains("ICMP echo request") }, "\(frames)")
            #expect(frames.allSatisfy { $0.contains(" vlan 100,") }, "\(frames)")
        }
    }
}

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
    private func withPod(
        _ name: String, pages: Int = 32,
        _ body: (inout LabPod, _ nic0: LabFunction, _ nic1: LabFunction) async throws -> Void
    ) async throws {
        let (nic0, nic1) = (try LabFunction("nic0"), try LabFunction("nic1"))
        try await LabPod.with(name, [nic0, nic1], pages: pages) { try await body(&$0, nic0, nic1) }
    }

    @Test func itIsTakenFromItsDriverAndComesBack() async throws {
        try await withPod("taken") { pod, _, nic in
            let wan = try Wan(pod, nic)
            try wan.call("ADD")
            try wan.expectAsMade()
            // The container's second machine finds it as the first one did.
            for attempt in 0..<2 as Range<UInt32> {
                try await pod.start(driving: [nic], attempt: attempt)
                try pod.expectPassed(nic)
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
            try await pod.start(driving: [nic, spare])
            try Lab.run(LabFunction.more)
            try Lab.run("slipway net attach killed --config /root/more.conf --device \(spare.address) --timeout 60")
            #expect(try spare.currentDriver == "vfio-pci")
            let held = try Lab.run("slipway net detach killed net2 --timeout 2 2>&1; echo $?; rm /root/more.conf")
            #expect(held.contains("the guest has not let go of the PCI function") && held.hasSuffix("\n6\n"), "\(held)")
            #expect(try Lab.run("slipway net ls killed").contains("unplugging"))
            try Lab.run("kill -KILL $(ps -o ppid= -p \(pod.qemu))")
            let runtime = pod.runtime
            let container = pod.container
            let ended = try await eventually(within: .seconds(60), every: .milliseconds(200)) {
                try await runtime.containerStatus(container).status.state == .containerExited
            }
            #expect(ended, "containerd does not see that the sandbox has gone")
            let directory = pod.directory
            let isRemoved = try await eventually(within: .seconds(30)) {
                try Lab.run("ls -d \(directory) 2>/dev/null || true").isEmpty
            }
            let journal = try Lab.run("journalctl -u containerd --no-pager | grep 'clean up' | tail -n 4 || true")
            #expect(isRemoved, "\(journal)")
            try wan.expectAsMade()
            try wan.call("DEL")
            #expect(try nic.links == nic.link)
            // containerd's call of `delete` has called DEL for what was attached by hand.
            #expect(try spare.currentDriver == "e1000e")
            #expect(try spare.links == spare.link)
        }
    }

    /// Where nobody tells whether the plugins are done, a link that does not change any more is taken.
    @Test func oneThatIsMovedByHandIsTaken() async throws {
        try await withPod("moved") { pod, _, nic in
            try await pod.start(driving: [nic])
            let namespace = try Wan(pod, nic).namespace
            try Lab.run("ip link set \(nic.link) netns \(namespace.split(separator: "/").last ?? "")")
            let listed = try await eventually(within: .seconds(60)) {
                try Lab.run("slipway net ls moved").contains("hostdev \(nic.address)")
            }
            #expect(listed, "\(pod.log)")
            #expect(try nic.currentDriver == "vfio-pci")
            try Lab.run("slipway verify moved")
        }
    }

    /// One that a device plugin has bound to vfio-pci has no link: a file of the node says which interface it is, and CNI's
    /// cached result its addresses.
    @Test func oneWithoutALinkHasTheAddressesOfTheResult() async throws {
        try await withPod("bound") { pod, _, nic in
            try Lab.run("lab vfio nic1")
            let files = try pod.describe(nic, mac: nic.mac)
            let devices = ["/dev/vfio/vfio", "/dev/vfio/\(nic.group)"]
            try await pod.start(driving: [nic], devices: devices)
            try pod.expectPassed(nic)
            let seed = try Lab.run("isoinfo -R -x /network-config -i \(pod.directory)/seed.iso")
            for word in [nic.mac, "10.99.0.5/24", "10.98.0.0/16"] {
                #expect(seed.contains(word), "no \(word) in \(seed)")
            }
            let environment = try Lab.run("isoinfo -R -x /vendor-data -i \(pod.directory)/seed.iso")
            #expect(environment.contains("PCIDEVICE_LAB_NIC=\"0000:41:00.0\""), "\(environment)")
            try await pod.runtime.stopContainer(pod.container, grace: 0)
            // It was not ours to give back.
            #expect(try nic.currentDriver == "vfio-pci")
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
            try await pod.start(driving: [nic1, nic0], image: "function", pages: 96)
            try pod.expect("function 0000:41:00.0 e1000e \(nic1.mac) 10.99.0.5/24 answers", seconds: 900)
            try pod.expect("PCIDEVICE_LAB_NIC=\"0000:41:00.0,\(nic0.address)\"")
            try pod.expect("\"address\": \"0000:41:00.0\"")
            try pod.expectPassed(nic1)

            try Lab.run(LabFunction.more)
            let attached = try Lab.run(
                "slipway net attach driver --config /root/more.conf --device \(nic0.address) --timeout 60 2>&1")
            #expect(attached.contains("net2: NIC 2 of the guest"), "\(attached)")
            try pod.expect("function 0000:03:00.0 e1000e \(nic0.mac) none silent")
            #expect(try nic0.currentDriver == "vfio-pci")
            try Lab.run("slipway verify driver")
            #expect(
                try Lab.run("slipway net attach driver --config /root/more.conf --device \(nic0.address) 2>&1 || true")
                    .contains("the guest of pod default/driver has it"))

            let detached = try Lab.run("slipway net detach driver net2 --timeout 100 2>&1", seconds: 200)
            #expect(detached == "net2: detached\n")
            #expect(try nic0.currentDriver == "e1000e")
            #expect(try nic0.links == nic0.link)
            try pod.expect("functions 2", times: 2)
            try Lab.run("slipway verify driver; rm /root/more.conf")
            try await pod.runtime.stopContainer(pod.container, grace: 0)
            try wan.call("DEL")
        }
    }
}

import CLinux
import Glibc
import LinuxSystem
import Netlink
import Testing

@testable import PodNetwork

/// With the kernel's own links; needs root.
@Suite(.serialized, .timeLimit(.minutes(3))) struct LinkKindTests {
    /// A pod and a neighbour on two macvlans of one wire, whose other end is in the gateway's namespace.
    func macvlans(_ lab: Lab) async throws {
        let script = """
            ip link add u0 type veth peer name u1; ip link set u0 up; ip link set u1 up
            ip link add m0 link u0 type macvlan mode bridge; ip link add m1 link u0 type macvlan mode bridge
            """
        try shell(script, in: lab.gateway)
        let files = [(lab.pod.descriptor, "m0", "10.77.0.5"), (lab.neighbour.descriptor, "m1", "10.77.0.9")]
        for (namespace, name, _) in files {
            try await lab.gateway.run {
                try shellHere("ip link set \(name) name net1 netns /proc/\(getpid())/fd/\(namespace.raw)")
            }
        }
        for (namespace, address) in [(lab.pod, "10.77.0.5"), (lab.neighbour, "10.77.0.9")] {
            let host = address.split(separator: ".").last ?? ""
            try shell(
                "ip link set net1 up; ip addr add \(address)/24 dev net1; ip addr add fd00:77::\(host)/64 dev net1 nodad",
                in: namespace)
        }
    }

    @Test func onlyTheGuestAnswersOnAMacvlan() async throws {
        let lab = try await Lab()
        try await macvlans(lab)
        let plan = try await lab.bind(answering: false).plan
        let interface = try #require(plan.interfaces.first { $0.link == "net1" })
        let arping = "busybox arping -c 1 -w 1 -I net1 10.77.0.5"
        #expect(!succeeds(arping, in: lab.neighbour))
        #expect(!succeeds("ping -6 -c 1 -W 1 fd00:77::5", in: lab.neighbour))
        #expect(!succeeds("ping -c 1 -W 1 10.77.0.5", in: lab.neighbour))
        let guest = try await Guest(tap: interface.tap, in: lab.pod, mac: "\(interface.mac)")
        defer { guest.end() }
        try shell("ip addr add 10.77.0.5/24 dev eth0; ip addr add fd00:77::5/64 dev eth0 nodad", in: guest.namespace)
        try shell("\(arping); ping -c 2 -i 0.2 -W 2 10.77.0.5; ping -6 -c 2 -i 0.2 -W 2 fd00:77::5", in: lab.neighbour)
        try shell("ping -c 1 -W 2 10.77.0.9; ping -6 -c 1 -W 2 fd00:77::9", in: guest.namespace)
    }

    @Test func trustedLinksReceiveEverything() async throws {
        let lab = try await Lab()
        try await macvlans(lab)
        let flags = "cat /sys/class/net/net1/flags; ip -d link show net1"
        let plan = try await lab.pod.run { try NetworkPlan(reading: RTNetlink(), resolvConf: "") }
        for trusted in [false, true] {
            for var interface in plan.interfaces {
                interface.settings.isTrusted = trusted
                let bound = interface
                try await lab.pod.run { _ = try NetworkBinding().bind(bound, owner: 0, answering: false) }
            }
            let links = try await lab.pod.run { try RTNetlink().links() }
            #expect(links.filter { $0.flags.contains(.promiscuous) }.map(\.name) == (trusted ? ["net1"] : []))
            try await lab.unbindAll()
            let after = try await lab.pod.run { try RTNetlink().links() }
            #expect(!after.contains { $0.flags.contains(.promiscuous) }, "\(flags)")
        }
    }

    /// QEMU opens one descriptor for each queue; both sides have to agree on whether there are several.
    @Test func queues() async throws {
        let lab = try await Lab()
        let plan = try await lab.pod.run { try NetworkPlan(reading: RTNetlink(), resolvConf: "") }.interfaces[0]
        try await lab.pod.run { _ = try NetworkBinding().bind(plan, owner: 0, multiQueue: true, answering: false) }
        let queues = [
            try await RawGuest(tap: "slw0", in: lab.pod, multiQueue: true),
            try await RawGuest(tap: "slw0", in: lab.pod, multiQueue: true),
        ]
        await #expect(throws: SystemError("open TAP", "slw0", code: EINVAL)) {
            try await RawGuest(tap: "slw0", in: lab.pod)
        }
        let capture = try await Capture("p0", in: lab.gateway)
        for (number, queue) in queues.enumerated() {
            let frame = Frames.ethernet(
                to: "02:00:00:00:00:01", type: 0x88b5, [UInt8](repeating: UInt8(number), count: 46))
            try queue.send(frame)
            #expect(try capture.receive { $0 == frame } != nil)
        }
    }
}

/// Runs a script where the calling thread is.
func shellHere(_ script: String) throws {
    let (status, output) = try Spawn("/bin/sh", ["-ec", script]).run(milliseconds: 30000)
    guard status == .exited(0) else { throw ScriptFailure(script: script, status: status, output: output) }
}

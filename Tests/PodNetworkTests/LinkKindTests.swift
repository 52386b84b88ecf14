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

    /// Segments of 64 KB without checksums, as virtio-net sends them: to a host's stack, from it, and to another guest,
    /// over veth and bridge and over macvlan.
    @Test(arguments: ["eth0", "net1"]) func largeSegments(link: String) async throws {
        let lab = try await Lab()
        try await macvlans(lab)
        let number = link == "eth0" ? "88" : "77"
        let plan = try await lab.bind(answering: false).plan
        let interface = try #require(plan.interfaces.first { $0.link == link })
        let guest = try await Guest(tap: interface.tap, in: lab.pod, mac: "\(interface.mac)", offloads: true)
        try shell("ip addr add 10.\(number).0.5/24 dev eth0", in: guest.namespace)
        let (a, b) = ("10.\(number).0.5", "10.\(number).0.9")
        try transfer(from: guest.namespace, to: lab.neighbour, b)
        try transfer(from: lab.neighbour, to: guest.namespace, a)

        // The neighbour becomes a guest, too.
        let other = try await lab.neighbour.run {
            let plans = try NetworkPlan(reading: RTNetlink(), resolvConf: "").interfaces
            let plan = try #require(plans.first { $0.link == link })
            _ = try NetworkBinding().bind(plan, owner: 0, answering: false)
            return plan
        }
        let peer = try await Guest(tap: other.tap, in: lab.neighbour, mac: "\(other.mac)", offloads: true)
        try shell("ip addr add \(b)/24 dev eth0", in: peer.namespace)
        try transfer(from: guest.namespace, to: peer.namespace, b)
        guest.end()
        peer.end()
    }

    /// Eight million octets arrive as they were sent, and in large frames: the receiver counts far fewer of them than
    /// there would be without offloads.
    func transfer(from sender: NetworkNamespace, to receiver: NetworkNamespace, _ address: String) throws {
        let counter = "awk '/^ *(eth0|net1):/ { s += $3 } END { print s + 0 }' /proc/thread-self/net/dev"
        let before = Int(try shell(counter, in: receiver).dropLast()) ?? 0
        var listen = Spawn("/usr/bin/socat", ["-u", "TCP4-LISTEN:7000,reuseaddr", "SYSTEM:sha256sum"])
        let (output, writer) = try FileDescriptor.pipe()
        listen.networkNamespace = receiver.descriptor
        listen.descriptors = [1: writer]
        let process = try listen.start()
        writer.close()
        let sent = try shell(
            """
            head -c 8000000 /dev/urandom > /tmp/slipway-transfer.$$
            for i in $(seq 50); do
                socat -u OPEN:/tmp/slipway-transfer.$$ TCP4:\(address):7000,connect-timeout=3 && break; sleep 0.1
            done
            sha256sum < /tmp/slipway-transfer.$$; rm /tmp/slipway-transfer.$$
            """, in: sender)
        let received = String(decoding: try output.readToEnd(limit: 1000), as: UTF8.self)
        _ = try process.wait()
        #expect(received == sent && sent.count > 64)
        let frames = (Int(try shell(counter, in: receiver).dropLast()) ?? .max) - before
        #expect(frames < 3000, "\(frames) frames for 5500 segments of 1460 octets")
    }

    /// What a policy writes into the pod's namespace does not apply to a guest behind a TAP: the frames never get there.
    @Test func thePodsNetfilterIsPassedBy() async throws {
        let lab = try await Lab()
        try shell(
            """
            nft -f - <<'.'
            table inet rules {
                chain before { type filter hook prerouting priority raw; policy drop; }
                chain to { type filter hook input priority filter; policy drop; }
                chain from { type filter hook output priority filter; policy drop; }
                chain through { type filter hook forward priority filter; policy drop; }
            }
            table netdev rules {
                chain one { type filter hook ingress device eth0 priority 0; policy drop; }
            }
            .
            """, in: lab.pod)
        #expect(!succeeds("ping -c 1 -W 1 10.88.0.5", in: lab.neighbour))
        _ = try await lab.bind(answering: false)
        let guest = try await Guest(tap: "slw0", in: lab.pod)
        defer { guest.end() }
        try shell("ip addr add 10.88.0.5/16 dev eth0", in: guest.namespace)
        try shell("ping -c 1 -W 2 10.88.0.5", in: lab.neighbour)
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

import CLinux
import Glibc
import LinuxSystem
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

/// With the kernel's own links; needs root and a /dev that the kernel keeps.
@Suite(.serialized, .timeLimit(.minutes(3))) struct MacvtapTests {
    /// The guest's end, opened as libvirt does: by the link's number.
    func open(_ name: String, in pod: NetworkNamespace) async throws -> FileDescriptor {
        let index = try await pod.run { if_nametoindex(name) }
        return try FileDescriptor.open("/dev/tap\(index)", O_RDWR)
    }

    /// A macvtap's descriptor has an empty virtio_net_hdr in front of every frame, as a TAP's has.
    func send(_ frame: [UInt8], _ guest: FileDescriptor) throws {
        try guest.write([UInt8](repeating: 0, count: 10) + frame)
    }

    func bind(_ lab: Lab, made: Bool = true, trusted: Bool = false, link: String = "eth0") async throws -> InterfacePlan
    {
        try await lab.pod.run {
            let plans = try NetworkPlan(reading: RTNetlink(), resolvConf: "").interfaces
            var plan = try #require(plans.first { $0.link == link })
            plan.binding = .macvtap(made: made)
            plan.settings.isTrusted = trusted
            _ = try NetworkBinding().bind(plan, owner: 0)
            return plan
        }
    }

    @Test func framesGoBothWaysAndTheHostIsSilent() async throws {
        let lab = try await Lab()
        // The kernel looks for a moment whether somebody else has an IPv6 address.
        var before = ""
        _ = try await eventually(within: .seconds(5)) {
            before = try shell("ip -o link; ip addr; tc qdisc show", in: lab.pod)
            return !before.contains("tentative")
        }
        _ = try await bind(lab)
        let guest = try await open("slw0", in: lab.pod)
        let capture = try await Capture("p0", in: lab.gateway)
        #expect(!succeeds("busybox arping -c 1 -w 1 -I eth0 10.88.0.5", in: lab.neighbour), "nobody answers yet")
        #expect(!succeeds("ping -6 -c 1 -W 1 fd00:88::5", in: lab.neighbour))

        let request = Frames.ethernet(type: 0x0806, Frames.arp("10.88.0.5", target: "10.88.0.9"))
        try send(request, guest)
        #expect(try capture.receive { $0 == request } != nil)
        // The neighbour's answer comes back to the guest.
        let deadline = Clock.milliseconds + 2000
        var answered = false
        while !answered, Clock.milliseconds < deadline, try guest.wait(for: Int16(POLLIN), milliseconds: 2000) {
            let frame = Array(try guest.read(upTo: 70000).dropFirst(10))
            answered = Array(frame.prefix(6)) == Frames.mac(Lab.mac) && Array(frame[12..<14]) == [8, 6]
        }
        #expect(answered)

        // In another's name.
        let spoofed = Frames.ethernet(type: 0x0806, Frames.arp("10.88.0.1", target: "10.88.0.9"))
        let tagged = Frames.ethernet(tags: [(0x8100, 0)], type: 0x0806, Frames.arp("10.88.0.1"))
        let other = Frames.ethernet(from: "02:00:00:00:00:07", type: 0x0800, [UInt8](repeating: 0, count: 46))
        for frame in [spoofed, tagged, other, SpoofingTests.last] { try send(frame, guest) }
        let came = try capture.receive(until: SpoofingTests.last)
        #expect(came.last == SpoofingTests.last && !came.contains(spoofed) && !came.contains(other))
        let counters = try await lab.pod.run { try NetworkBinding().counters()[0] }
        #expect(counters?.dropped == 3)

        guest.close()
        try await lab.unbindAll()
        var after = ""
        _ = try await eventually(within: .seconds(5)) {
            after = try shell("ip -o link; ip addr; tc qdisc show", in: lab.pod)
            return after == before
        }
        #expect(after == before)
        let nodes = try File.list("/dev").filter { $0.hasPrefix("tap") }
        #expect(!nodes.contains { (Int32($0.dropFirst(3)) ?? 0) >= 0x4000_0000 }, "\(nodes)")
    }

    @Test func trusted() async throws {
        let lab = try await Lab()
        _ = try await bind(lab, trusted: true)
        let guest = try await open("slw0", in: lab.pod)
        let capture = try await Capture("p0", in: lab.gateway)
        let other = Frames.ethernet(from: "02:00:00:00:00:07", type: 0x0800, [UInt8](repeating: 0, count: 46))
        try send(other, guest)
        #expect(try capture.receive { $0 == other } != nil)
        guest.close()
        try await lab.unbindAll()
    }

    /// A link that is one already, as a CNI plugin makes it.
    @Test func aMacvtapOfThePods() async throws {
        let lab = try await Lab()
        try shell(
            """
            ip link add w0 type veth peer name w1; ip link set w0 up; ip link set w1 up
            ip link add link w0 name net1 type macvtap mode bridge; ip link set net1 up
            """, in: lab.pod)
        let before = try shell("ip -o link; tc qdisc show", in: lab.pod)
        let plan = try await bind(lab, made: false, link: "net1")
        let guest = try await open("net1", in: lab.pod)
        let capture = try await Capture("w1", in: lab.pod)
        let own = Frames.ethernet(from: "\(plan.mac)", type: 0x88b5, [UInt8](repeating: 3, count: 46))
        let other = Frames.ethernet(from: "02:00:00:00:00:07", type: 0x88b5, [UInt8](repeating: 4, count: 46))
        for frame in [other, own] { try send(frame, guest) }
        #expect(try capture.receive(until: own).filter { [own, other].contains($0) } == [own])
        let counters = try await lab.pod.run { try NetworkBinding().counters()[plan.number] }
        #expect(counters?.dropped == 1)
        guest.close()
        try await lab.unbindAll()
        #expect(try shell("ip -o link; tc qdisc show", in: lab.pod) == before)
        await #expect(throws: SystemError("bind", "eth0 (it is no macvtap but veth)", code: EINVAL)) {
            try await bind(lab, made: false)
        }
    }

    @Test func aNameThatLeadsNowhereIsReplaced() async throws {
        let lab = try await Lab()
        let number = 78_000 + Int.random(in: 0..<1000)
        let path = "/dev/tap\(number)"
        // No driver has so large a number of a device.
        #expect(mknod(path, S_IFCHR | 0o600, dev_t(slipway_makedev(510, 9999))) == 0)
        defer { unlink(path) }
        try shell(
            "ip link add link eth0 name net1 index \(number) type macvtap mode bridge; ip link set net1 up", in: lab.pod
        )
        _ = try await bind(lab, made: false, link: "net1")
        try await open("net1", in: lab.pod).close()
        try await lab.unbindAll()
    }

    /// Two namespaces with a macvtap of the same number: the name in /dev is the first one's.
    @Test func anotherNamespacesDevice() async throws {
        let labs = [try await Lab(), try await Lab()]
        let number = 77_000 + Int.random(in: 0..<1000)
        for lab in labs {
            try shell(
                "ip link add link eth0 name net1 index \(number) type macvtap mode bridge; ip link set net1 up",
                in: lab.pod)
        }
        _ = try await bind(labs[0], made: false, link: "net1")
        await #expect(
            throws: SystemError(
                "open net1 at", "/dev/tap\(number) (it belongs to a link of another namespace)", code: EEXIST)
        ) { try await bind(labs[1], made: false, link: "net1") }
        // An ordinary TAP does not get a number that leads there.
        let names = try File.list("/dev")
        let plan = try await labs[1].pod.run { try NetworkPlan(reading: RTNetlink(), resolvConf: "") }.interfaces[0]
        let index = try await labs[1].pod.run {
            _ = try NetworkBinding().bind(plan, owner: 0, answering: false)
            return if_nametoindex("slw0")
        }
        #expect(index >= 0x2000_0000 && !names.contains("tap\(index)"))
    }

    @Test func aParentInUseIsRefused() async throws {
        let lab = try await Lab()
        try shell("ip link add net1 link eth0 type macvlan mode bridge; ip link set net1 up", in: lab.pod)
        let before = try shell("ip -o link; tc qdisc show", in: lab.pod)
        await #expect(throws: SystemError.self) { try await bind(lab) }
        await #expect(throws: SystemError.self) { try await bind(lab, link: "net1") }
        #expect(try shell("ip -o link; tc qdisc show", in: lab.pod) == before)
    }
}

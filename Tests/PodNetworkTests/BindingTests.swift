import CLinux
import Glibc
import LinuxSystem
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

/// With the kernel's own links; needs root.
@Suite(.serialized, .timeLimit(.minutes(3))) struct BindingTests {
    /// Everything about the pod's links that binding could change.
    func state(_ lab: Lab) async throws -> [String] {
        // IPv6: the kernel looks for a moment whether somebody else has an address (IFA_F_TENTATIVE).
        _ = try await eventually(within: .seconds(5)) {
            try await lab.pod.run {
                let netlink = try RTNetlink()
                let local = Set(try netlink.routes().filter { $0.table == 255 }.map(\.destination.address))
                return try netlink.addresses().filter { $0.prefix.family == .v6 }.allSatisfy {
                    $0.flags.rawValue & 0x40 == 0 && local.contains($0.prefix.address)
                }
            }
        }
        return try await lab.pod.run {
            let netlink = try RTNetlink()
            let links = try netlink.links().map {
                "\($0.index) \($0.name) \($0.flags.subtracting(.lowerUp).rawValue) \($0.mtu) \($0.alias ?? "")"
            }
            let qdiscs = try netlink.qdiscs().map { "\($0)" }
            let addresses = try netlink.addresses().map { "\($0)" }
            return links + qdiscs + addresses + (try netlink.routes().map { "\($0)" })
        }
    }

    func expect(_ lab: Lab, _ before: [String], _ location: SourceLocation = #_sourceLocation) async throws {
        let after = try await state(lab)
        #expect(after == before, "\(Set(after).symmetricDifference(before))", sourceLocation: location)
    }

    @Test func onlyTheGuestAnswersForThePodsAddresses() async throws {
        let lab = try await Lab()
        _ = try await lab.bind()
        let guest = try await Guest(tap: "slw0", in: lab.pod)
        defer { guest.end() }
        // The address is in the pod's namespace, whose stack would answer; the guest has none yet.
        let arping = "busybox arping -c 2 -w 2 -I eth0 10.88.0.5"
        #expect(!succeeds("busybox arping -c 1 -w 1 -I eth0 10.88.0.5", in: lab.neighbour))
        #expect(!succeeds("ping -6 -c 1 -W 1 fd00:88::5", in: lab.neighbour))

        try shell("ip addr add 10.88.0.5/16 dev eth0; ip addr add fd00:88::5/64 dev eth0 nodad", in: guest.namespace)
        let answer = try shell(arping, in: lab.neighbour)
        #expect(answer.contains("Received 2 response(s) (0 request(s), 0 broadcast(s))"), "\(answer)")
        #expect(answer.contains(Lab.mac), "\(answer)")
        try shell("ping -c 3 -i 0.2 -W 2 10.88.0.5; ping -6 -c 3 -i 0.2 -W 2 fd00:88::5", in: lab.neighbour)
        try shell("ping -c 3 -i 0.2 -W 2 10.88.0.1; ping -6 -c 3 -i 0.2 -W 2 fd00:88::9", in: guest.namespace)
        // A broadcast and a multicast frame of the guest leave, and come back as one answer each.
        try shell("busybox arping -c 1 -w 2 -I eth0 10.88.0.9", in: guest.namespace)
    }

    @Test func largeFrames() async throws {
        let lab = try await Lab(mtu: 9000)
        let (plan, _) = try await lab.bind(answering: false)
        #expect(plan.interfaces.map(\.mtu) == [9000])
        let guest = try await Guest(tap: "slw0", in: lab.pod, mtu: 9000)
        defer { guest.end() }
        try shell("ip addr add 10.88.0.5/16 dev eth0", in: guest.namespace)
        try shell("ping -c 2 -i 0.2 -W 2 -M do -s 8972 10.88.0.5", in: lab.neighbour)
    }

    /// A switch in user space and hardware give NICs that have no link.
    @Test(arguments: [
        Binding.vhostUser(path: "/run/s", listens: true), .vdpa(path: "/dev/vhost-vdpa-0"),
        .hostDevice(address: "0000:3b:02.1"),
    ])
    func aDeviceNeedsNoLink(_ binding: Binding) async throws {
        let lab = try await Lab()
        let before = try await state(lab)
        let mac = try #require(MACAddress(Lab.mac))
        let plan = InterfacePlan(link: "net1", number: 1, binding: binding, mac: mac, mtu: 1500)
        try await lab.pod.run {
            #expect(try NetworkBinding().bind(plan, owner: 250_000) == nil)
            try NetworkBinding().unbind(tap: plan.tap)
        }
        try await expect(lab, before)
    }

    @Test func tapIsOursAndQuiet() async throws {
        let lab = try await Lab()
        _ = try await lab.bind()
        let links = try await lab.pod.run { try RTNetlink().links() }
        let tap = try #require(links.first { $0.name == "slw0" })
        let eth0 = try #require(links.first { $0.name == "eth0" })
        #expect(tap.alias == "slipway link \(eth0.index) eth0 solicitations=-1")
        #expect(tap.kind == "tun" && tap.mtu == eth0.mtu && tap.flags.contains(.up))
        let addresses = try await lab.pod.run { try RTNetlink().addresses() }
        #expect(!addresses.contains { $0.linkIndex == tap.index }, "no address by itself")
        let filters = try shell(
            "tc filter show dev eth0 parent ffff:; tc filter show dev slw0 parent ffff:", in: lab.pod)
        #expect(filters.contains("Egress Redirect to device slw0"), "\(filters)")
        #expect(filters.contains("Egress Redirect to device eth0"), "\(filters)")
        #expect(filters.contains("Egress Redirect to device slwp0"), "\(filters)")
    }

    @Test func twoHundredTimesWithoutATrace() async throws {
        let lab = try await Lab()
        let before = try await state(lab)
        let descriptors = try File.list("/proc/self/fd").count
        for round in 0..<200 {
            let (plan, _) = try await lab.bind(answering: round % 2 == 0)
            // Half of them are removed by one who knows the namespace alone.
            if round % 4 < 2 {
                try await lab.pod.run { for nic in plan.interfaces { try NetworkBinding().unbind(tap: nic.tap) } }
            } else {
                try await lab.unbindAll()
            }
        }
        try await lab.unbindAll()
        // Neighbour resolution leaves nothing in these lists.
        try await expect(lab, before)
        // Other tests' descriptors come and go; a leak of ours would be hundreds.
        #expect(try File.list("/proc/self/fd").count < descriptors + 50)
    }

    /// Of hardware, and of switches in user space: there may be no link, and nothing is to be joined to one.
    @Test(arguments: [
        Binding.hostDevice(address: "0000:3b:02.1"), .vhostUser(path: "/run/s", listens: false), .vdpa(path: "/dev/v"),
    ]) func devicesNeedNoLink(_ binding: Binding) async throws {
        let lab = try await Lab()
        let mac = try #require(MACAddress(Lab.mac))
        let plan = InterfacePlan(link: "net7", number: 7, binding: binding, mac: mac, mtu: 1500)
        let services = try await lab.pod.run {
            [try NetworkBinding().bind(plan, owner: 7), try NetworkBinding().readdress(plan)]
        }
        #expect(services.allSatisfy { $0 == nil })
    }

    @Test func bindingTwiceStartsAnew() async throws {
        let lab = try await Lab()
        let before = try await state(lab)
        _ = try await lab.bind()
        _ = try await lab.bind()
        try await lab.unbindAll()
        try await expect(lab, before)
    }

    @Test func removalWhileTheTapIsOpen() async throws {
        let lab = try await Lab()
        let before = try await state(lab)
        _ = try await lab.bind()
        let guest = try await Guest(tap: "slw0", in: lab.pod)
        try await lab.unbindAll()
        try await expect(lab, before)
        guest.end()
    }

    @Test func somebodyElsesFilterIsRefusedAndStays() async throws {
        let lab = try await Lab()
        try shell("tc qdisc add dev eth0 ingress", in: lab.pod)
        let before = try await state(lab)
        await #expect(throws: SystemError("add ingress qdisc to", "eth0 (it has ingress already)", code: EEXIST)) {
            try await lab.bind()
        }
        try await expect(lab, before)
        try await lab.unbindAll()
        try await expect(lab, before)
    }

    @Test func failureInTheMiddleLeavesNothing() async throws {
        let lab = try await Lab()
        let before = try await state(lab)
        let plan = try await lab.pod.run { try NetworkPlan(reading: RTNetlink(), resolvConf: "") }
        var interface = try #require(plan.interfaces.first)
        interface.mtu = 1 << 20  // no TAP takes it
        let broken = interface
        await #expect(throws: SystemError.self) {
            try await lab.pod.run { _ = try NetworkBinding().bind(broken, owner: 0) }
        }
        try await expect(lab, before)
        interface.link = "gone0"
        let gone = interface
        await #expect(throws: SystemError("find link", "gone0", code: ENODEV)) {
            try await lab.pod.run { _ = try NetworkBinding().bind(gone, owner: 0) }
        }
    }

    @Test func framesOfVLANsOverTheLinkAreNotItsGuests() async throws {
        let lab = try await Lab()
        var plan = try #require(
            try await lab.pod.run { try NetworkPlan(reading: RTNetlink(), resolvConf: "") }.interfaces.first)
        plan.vlans = [7, 42]
        _ = try await lab.pod.run { [plan] in try NetworkBinding().bind(plan, owner: 0, answering: false) }
        let guest = try await RawGuest(tap: "slw0", in: lab.pod)
        let network = try await Capture("p0", in: lab.gateway)
        func frame(_ tags: [(UInt16, UInt16)]) -> [UInt8] {
            Frames.ethernet(
                from: "02:00:00:00:00:07", tags: tags, type: 0x88b5, [UInt8](repeating: 1, count: 46))
        }
        let frames = [
            frame([(0x8100, 42)]), frame([(0x8100, 0x2000 + 7)]), frame([(0x8100, 43)]), frame([]),
        ]
        /// What comes of them, up to the last.
        func received() throws -> [Int] {
            for frame in frames { try network.socket.send(frame) }
            var came: [Int] = []
            _ = try guest.receive { frame in
                if let index = frames.firstIndex(of: frame) { came.append(index) }
                return frame == frames.last
            }
            return came
        }
        // The TAP has a carrier a moment after it was opened.
        let first = frame([(0x8100, 1)])
        let isReady = try await eventually(within: .seconds(5)) {
            try network.socket.send(first)
            return try guest.receive(milliseconds: 100) { $0 == first } != nil
        }
        #expect(isReady)
        #expect(try received() == [2, 3])
        plan.vlans = [42]
        try await lab.pod.run { [plan] in try NetworkBinding().setVLANs(plan) }
        #expect(try received() == [1, 2, 3])
        plan.vlans = []
        try await lab.pod.run { [plan] in try NetworkBinding().setVLANs(plan) }
        #expect(try received() == [0, 1, 2, 3])
        try await lab.unbindAll()
    }

    @Test func multicastReceptionIsRestored() async throws {
        let lab = try await Lab()
        try shell(
            "ip link add net1 link eth0 type macvlan mode bridge; ip link set net1 up; ip link add net2 link eth0 type macvlan;"
                + " ip link set net2 up allmulticast on", in: lab.pod)
        let before = try await state(lab)
        let (plan, _) = try await lab.bind()
        #expect(plan.interfaces.map(\.needsAllMulticast) == [false, true, true])
        let during = try await lab.pod.run { try RTNetlink().links() }
        #expect(during.filter { $0.flags.contains(.allMulticast) }.map(\.name).sorted() == ["net1", "net2"])
        try await lab.unbindAll()
        try await expect(lab, before)
    }

    @Test func tapNote() {
        var note = TapNote(linkIndex: 7, link: "net1")
        #expect(note.text == "slipway link 7 net1")
        #expect(TapNote(note.text) == note)
        note.changes = TapNote.LinkChanges(
            allMulticast: true, promiscuous: true, mac: MACAddress("02:00:00:00:00:01"), solicitations: -1)
        #expect(note.text == "slipway link 7 net1 allmulticast promiscuous mac=02:00:00:00:00:01 solicitations=-1")
        #expect(TapNote(note.text) == note)
        #expect(TapNote("slipway link 3 eth0 mac solicitations= other=1 =") == TapNote(linkIndex: 3, link: "eth0"))
        for text in ["", "slipway", "slipway link x eth0", "slipway link 3", "other link 3 eth0"] {
            #expect(TapNote(text) == nil)
        }
    }

    @Test func theKernelsWordsAreInTheError() async throws {
        let lab = try await Lab()
        let error = await #expect(throws: SystemError.self) {
            try await lab.pod.run { try RTNetlink().changeLink("eth0", LinkChange(mtu: 1 << 20)) }
        }
        #expect(error?.subject == "eth0 (mtu greater than device maximum)", "\(String(describing: error))")
    }
}

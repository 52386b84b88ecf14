import Foundation
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

/// What is done to a running guest when its pod's networks change.
@Suite struct StepTests {
    func mac(_ last: UInt8) throws -> MACAddress { try #require(MACAddress(bytes: [0x0a, 0x58, 0, 0, 0, last])) }

    func interface(_ link: String, _ number: Int, _ binding: Binding = .tap) throws -> InterfacePlan {
        InterfacePlan(
            link: link, linkIndex: Int32(number + 2), number: number, binding: binding, mac: try mac(UInt8(number)),
            mtu: 1500, addresses: [try ipPrefix("10.0.\(number).2/24")])
    }

    func plan(_ interfaces: InterfacePlan...) -> NetworkPlan {
        NetworkPlan(interfaces: interfaces, dns: DNSConfiguration())
    }

    /// The steps after one change of net1.
    func steps(
        _ binding: Binding = .tap, _ change: (inout InterfacePlan) throws -> Void
    ) throws -> (steps: [NetworkStep], old: InterfacePlan, new: InterfacePlan) {
        let (eth0, old, net2) = (try interface("eth0", 0), try interface("net1", 1, binding), try interface("net2", 2))
        var new = old
        try change(&new)
        return (plan(eth0, old, net2).steps(to: plan(eth0, new, net2)), old, new)
    }

    @Test func nothing() throws {
        let same = plan(try interface("eth0", 0), try interface("net1", 1))
        #expect(same.steps(to: same).isEmpty)
        #expect(try steps { _ in }.steps.count == 0)
    }

    @Test func comeAndGo() throws {
        let (eth0, net1, net2) = (try interface("eth0", 0), try interface("net1", 1), try interface("net2", 2))
        #expect(plan(eth0).steps(to: plan(eth0, net1, net2)) == [.plug(net1), .plug(net2)])
        #expect(plan(eth0, net1, net2).steps(to: plan(eth0)) == [.unplug(net1), .unplug(net2)])
        // What leaves makes room.
        #expect(plan(eth0, net1).steps(to: plan(eth0, net2)) == [.unplug(net1), .plug(net2)])
    }

    @Test func linkMadeAnew() throws {
        let result = try steps { $0.linkIndex = 99 }
        #expect(result.steps == [.rejoin(from: result.old, to: result.new)])
        let other = try steps {
            $0.linkIndex = 99
            $0.linkMAC = try mac(77)
            $0.mtu = 1300
            $0.addresses = []
        }
        #expect(
            other.steps == [.rejoin(from: other.old, to: other.new), .setMTU(other.new), .readdress(other.new)])
    }

    @Test func otherDevice() throws {
        let changes: [(inout InterfacePlan) throws -> Void] = [
            { $0.mac = try mac(77) }, { $0.binding = .macvtap(made: true) }, { $0.binding = .masquerade(ports: []) },
            { $0.settings.queues = 2 }, { $0.settings.rxRing = 512 }, { $0.settings.txRing = 256 }, { $0.number = 9 },
        ]
        for change in changes {
            let result = try steps(.tap, change)
            #expect(result.steps == [.replug(from: result.old, to: result.new)])
        }
        // Nothing of ours can follow beneath these.
        for binding in [Binding.macvtap(made: true), .macvtap(made: false), .hostDevice(address: "0000:01:00.0")] {
            let result = try steps(binding) { $0.linkIndex = 99 }
            #expect(result.steps == [.replug(from: result.old, to: result.new)])
        }
    }

    /// A guest's device takes no larger MTU than it was made with.
    @Test func largerMTU() throws {
        var small = try interface("net1", 1)
        small.size.mtu = 1300
        let back = try interface("net1", 1)
        #expect(plan(small).steps(to: plan(back)) == [.setMTU(back)])
        for binding in [Binding.tap, .masquerade(ports: []), .macvtap(made: true)] {
            let result = try steps(binding) { $0.mtu = 1501 }
            #expect(result.steps == [.replug(from: result.old, to: result.new)])
        }
        let hardware = try steps(.vdpa(path: "/dev/vhost-vdpa-0")) { $0.mtu = 9000 }
        #expect(hardware.steps == [.setMTU(hardware.new)])
    }

    /// The kernel takes what hangs on a link that is moved to another namespace.
    @Test func nobodyHandsItsFramesOver() throws {
        let guest = plan(
            try interface("eth0", 0), try interface("net1", 1), try interface("net2", 2, .macvtap(made: true)))
        let all = guest.interfaces.map { Qdisc(kind: "ingress", linkIndex: $0.linkIndex) }
        #expect(guest.joined(by: all).steps(to: guest).isEmpty)
        let steps = guest.joined(by: [all[0], Qdisc(kind: "noqueue", linkIndex: 3)]).steps(to: guest)
        guard case .rejoin(_, guest.interfaces[1]) = steps.first, case .replug(_, guest.interfaces[2]) = steps.last
        else {
            Issue.record("\(steps)")
            return
        }
        let others = plan(
            try interface("a", 1, .vhostUser(path: "/s", listens: false)), try interface("b", 2, .masquerade(ports: []))
        )
        #expect(others.joined(by: []).steps(to: others).isEmpty)
    }

    /// What failed is done once more with what the plan says by then.
    @Test func again() throws {
        let (old, new) = (try interface("net1", 1), try interface("net1", 1, .masquerade(ports: [])))
        let now = plan(new)
        #expect(NetworkStep.readdress(old).again(for: now) == .readdress(new))
        #expect(NetworkStep.rejoin(from: old, to: old).again(for: now) == .rejoin(from: old, to: new))
        #expect(NetworkStep.setMTU(old).again(for: now) == .setMTU(new))
        #expect(NetworkStep.setLink(old).again(for: now) == .setLink(new))
        #expect(NetworkStep.setVLANs(old).again(for: now) == .setVLANs(new))
        #expect(NetworkStep.setLink(old).again(for: plan()) == nil)
        for step in [NetworkStep.plug(old), .unplug(old), .replug(from: old, to: old), .setDNS(now.dns)] {
            #expect(step.again(for: now) == nil)
        }
    }

    @Test func VLANsOverItsLink() throws {
        for binding in [Binding.tap, .macvtap(made: true)] {
            let result = try steps(binding) { $0.vlans = [42] }
            #expect(result.steps == [.setVLANs(result.new)])
        }
    }

    @Test func oneThing() throws {
        let trust = try steps { $0.settings.isTrusted = true }
        #expect(trust.steps == [.rejoin(from: trust.old, to: trust.new)])
        let ports = try steps(.masquerade(ports: [])) { $0.binding = .masquerade(ports: [.init(.tcp, 80)]) }
        #expect(ports.steps == [.rejoin(from: ports.old, to: ports.new)])
        let mtu = try steps { ($0.mtu, $0.settings.mtu) = (1400, 1400) }
        #expect(mtu.steps == [.setMTU(mtu.new)])
        let down = try steps { $0.isUp = false }
        #expect(down.steps == [.setLink(down.new)])
        let asked = try steps { $0.settings.isUp = false }
        #expect(asked.steps == [.setLink(asked.new)])
        let address = try steps { $0.addresses = [try ipPrefix("fd00::5/64")] }
        #expect(address.steps == [.readdress(address.new)])
        let route = try steps { $0.routes = [RoutePlan(.everything(.v4))] }
        #expect(route.steps == [.readdress(route.new)])
        var other = plan(try interface("eth0", 0))
        other.dns.search = ["a.b"]
        #expect(plan(try interface("eth0", 0)).steps(to: other) == [.setDNS(other.dns)])
    }

    /// Two NICs that swap their devices, and a chain of them.
    @Test func swaps() throws {
        func device(_ link: String, _ number: Int, _ bus: Int) throws -> InterfacePlan {
            try interface(link, number, .hostDevice(address: "0000:0\(bus):00.0"))
        }
        let swap = plan(try device("net1", 1, 1), try device("net2", 2, 2))
            .steps(to: plan(try device("net1", 1, 2), try device("net2", 2, 1)))
        #expect(
            swap == [
                .unplug(try device("net1", 1, 1)), .unplug(try device("net2", 2, 2)), .plug(try device("net1", 1, 2)),
                .plug(try device("net2", 2, 1)),
            ])
        let chain = plan(try device("net1", 1, 1), try device("net2", 2, 2))
            .steps(to: plan(try device("net1", 1, 2), try device("net2", 2, 3)))
        #expect(
            chain == [
                .unplug(try device("net1", 1, 1)),
                .replug(from: try device("net2", 2, 2), to: try device("net2", 2, 3)), .plug(try device("net1", 1, 2)),
            ])
    }

    /// A link that is deleted and made again under its name leaves the guest its device, whatever address it has now.
    @Test func theGuestKeepsItsAddress() throws {
        func link(_ index: Int32, _ last: UInt8, _ kind: String = "macvlan") throws -> Link {
            Link(index: index, name: "net1", kind: kind, mac: try mac(last))
        }
        func next(_ guest: NetworkPlan, _ link: Link) throws -> NetworkPlan {
            try NetworkPlan(
                links: [link], addresses: [], routes: [], request: NetworkRequest(guest: guest.interfaces))
        }
        let first = try next(NetworkPlan(interfaces: [], dns: DNSConfiguration()), link(2, 1))
        let second = try next(first, link(3, 2))
        #expect(second.interfaces.map(\.mac) == [try mac(1)])
        #expect(second.interfaces.map(\.linkMAC) == [try mac(2)])
        #expect(first.steps(to: second) == [.rejoin(from: first.interfaces[0], to: second.interfaces[0])])
        #expect(try next(second, link(3, 2)) == second)
        // The link has been given the guest's address.
        let third = try next(second, link(3, 1))
        #expect(third.interfaces.map(\.mac) == [try mac(1)])
        #expect(second.steps(to: third) == [.rejoin(from: second.interfaces[0], to: third.interfaces[0])])
        // Somebody gave the same link another address: that is meant for the guest.
        let fourth = try next(third, link(3, 9))
        #expect(third.steps(to: fourth) == [.replug(from: third.interfaces[0], to: fourth.interfaces[0])])
        #expect(fourth.interfaces.map(\.mac) == [try mac(9)])
        // A macvtap's frames have its own address.
        let fifth = try next(fourth, link(4, 3, "macvtap"))
        #expect(fifth.interfaces.map(\.mac) == [try mac(3)])
        #expect(fourth.steps(to: fifth) == [.replug(from: fourth.interfaces[0], to: fifth.interfaces[0])])
    }

    /// A link that is switched off loses routes and IPv6 addresses by the kernel's doing; the guest is told them until it
    /// is switched on again.
    @Test(arguments: ["", "eth0: binding=masquerade"]) func aLinkIsSwitchedOff(settings: String) throws {
        let addresses = try ["10.1.0.5/24", "fd00:1::5/64"].map { Address(linkIndex: 2, prefix: try ipPrefix($0)) }
        let routes = [
            Route(destination: try ipPrefix("198.51.100.0/24"), gateway: try ipAddress("10.1.0.1"), linkIndex: 2),
            Route(destination: .everything(.v6), gateway: try ipAddress("fd00:1::1"), linkIndex: 2),
        ]
        func next(
            _ guest: NetworkPlan?, _ flags: Link.Flags, _ addresses: [Address], _ routes: [Route]
        ) throws -> NetworkPlan {
            let link = Link(index: 2, name: "eth0", kind: "veth", mac: try mac(1), mtu: 1500, flags: flags)
            var request = NetworkRequest(guest: guest?.interfaces ?? [])
            request.settings = try InterfaceSettings.parse(settings)
            return try NetworkPlan(links: [link], addresses: addresses, routes: routes, request: request)
        }
        let first = try next(nil, [.up, .lowerUp], addresses, routes)
        #expect(first.interfaces[0].addresses.count == 2)
        let off = try next(first, [], Array(addresses.prefix(1)), [])
        #expect(first.steps(to: off) == [.setLink(off.interfaces[0])])
        let on = try next(off, [.up, .lowerUp], addresses, routes)
        #expect(on == first)
        // What it comes back with is what counts.
        let bare = try next(off, [.up, .lowerUp], Array(addresses.prefix(1)), [])
        #expect(bare.interfaces[0].addresses.count == 1)
    }

    @Test func readBack() throws {
        let (old, new) = (try interface("net1", 1), try interface("net1", 1, .masquerade(ports: [.init(.udp, 53)])))
        let steps: [NetworkStep] = [
            .plug(new), .unplug(old), .replug(from: old, to: new), .rejoin(from: old, to: new), .setMTU(new),
            .setVLANs(new), .setLink(new), .readdress(new), .setDNS(DNSConfiguration(search: ["a"])),
        ]
        #expect(try JSONDecoder().decode([NetworkStep].self, from: JSONEncoder().encode(steps)) == steps)
    }

    /// Random namespaces, one after the other, under one guest.
    @Test(arguments: 0..<20) func randomNamespaces(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        var guest = NetworkPlan(interfaces: [], dns: DNSConfiguration())
        var kept: [String: Int] = [:]
        var links: [String: Link] = [:]
        for round in 0..<40 {
            try change(&links, &random, round)
            var request = NetworkRequest(
                resolvConf: Int.random(in: 0..<10, using: &random) == 0 ? "nameserver 10.0.0.\(round)" : "", kept: kept,
                guest: guest.interfaces, numberLimit: 20)
            request.selection.elements = ["net3", "net1", "a"].shuffled(using: &random).map {
                .init(namespace: "ns", name: $0, interface: $0)
            }
            for name in links.keys.sorted() where Int.random(in: 0..<6, using: &random) == 0 {
                var settings = InterfaceSettings()
                settings.queues = [nil, 2].randomElement(using: &random) ?? nil
                settings.isUp = Bool.random(using: &random)
                settings.isTrusted = Bool.random(using: &random)
                settings.mtu = [nil, 1000].randomElement(using: &random) ?? nil
                settings.binding = [nil, .tap, .masquerade, .macvtap].randomElement(using: &random) ?? nil
                request.settings[name] = settings
            }
            request.pciDevices = ["0000:01:00.0", "0000:02:00.0"]
            let addresses = try links.values.sorted { $0.index < $1.index }.map {
                Address(linkIndex: $0.index, prefix: try ipPrefix("10.\($0.index % 250).\($0.mtu % 250).2/24"))
            }
            let present = links.values.shuffled(using: &random)
            let assessment = NetworkAssessment(links: present, addresses: addresses, routes: [], request: request)
            let plan = assessment.plan
            let other = NetworkAssessment(
                links: present.reversed(), addresses: addresses, routes: [], request: request)
            #expect(other == assessment, "the links' order counts")

            #expect(Set(plan.interfaces.map(\.number)).count == plan.interfaces.count)
            #expect(plan.interfaces.allSatisfy { (0..<20).contains($0.number) && $0.mac.isStation })
            for interface in plan.interfaces where guest.interfaces.contains(where: { $0.link == interface.link }) {
                #expect(interface.number == kept[interface.link])
            }

            let steps = guest.steps(to: plan)
            var reached = guest
            for step in steps {
                let before = reached
                reached.apply(step)
                #expect(reached != before, "\(step) changes nothing")
                let devices = reached.interfaces.compactMap(\.binding.device)
                #expect(Set(devices).count == devices.count)
                #expect(Set(reached.interfaces.map(\.number)).count == reached.interfaces.count)
                #expect(Set(reached.interfaces.map(\.link)).count == reached.interfaces.count)
            }
            #expect(reached.dns == plan.dns)
            #expect(
                reached.interfaces.sorted { $0.number < $1.number } == plan.interfaces.sorted { $0.number < $1.number })
            #expect(plan.steps(to: plan).isEmpty)
            // Nothing has changed: nothing is done.
            request.guest = plan.interfaces
            request.kept.merge(plan.interfaces.map { ($0.link, $0.number) }) { _, new in new }
            let again = NetworkAssessment(links: present, addresses: addresses, routes: [], request: request)
            #expect(plan.steps(to: again.plan) == [] && again.plan == plan)
            guest = plan
            kept = request.kept
        }
    }

    /// One or a few things happen in the namespace.
    private func change(_ links: inout [String: Link], _ random: inout SeededGenerator, _ round: Int) throws {
        let names = ["eth0", "net1", "net2", "net3", "a", "net10", "z"]
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            guard let name = names.randomElement(using: &random) else { return }
            switch Int.random(in: 0..<8, using: &random) {
            case 0: links[name] = nil
            case 1: links[name]?.mtu = .random(in: 1200...9000, using: &random)
            case 2: links[name]?.mac = try mac(.random(in: 0...255, using: &random))
            case 3: links[name]?.flags = Bool.random(using: &random) ? [.up, .lowerUp] : [.up]
            default:
                let kind = ["veth", "macvlan", "macvtap", "tun", "ipvlan", nil].randomElement(using: &random) ?? nil
                links[name] = Link(
                    index: Int32(round * 10 + names.count + links.count), name: name, kind: kind,
                    hardwareType: kind == "tun" ? 65534 : 1, mac: try mac(.random(in: 1...255, using: &random)),
                    mtu: [1500, 9000].randomElement(using: &random) ?? 1500,
                    ipvlanMode: kind == "ipvlan" ? [.l2, .l3].randomElement(using: &random) : nil,
                    pciAddress: kind == nil
                        ? ["0000:01:00.0", "0000:02:00.0", "0000:03:00.0"].randomElement(using: &random) : nil)
            }
        }
    }
}

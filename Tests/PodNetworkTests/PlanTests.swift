import Foundation
import Netlink
import Testing

@testable import PodNetwork

@Suite struct PlanTests {
    let mac = MACAddress("0a:58:0a:58:00:05")

    func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }
    func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    func plan(
        _ links: [Link], _ addresses: [(Int32, String)] = [], _ routes: [Route] = [], resolvConf: String = ""
    ) throws -> NetworkPlan {
        try NetworkPlan(
            links: links,
            addresses: addresses.map { Address(linkIndex: $0.0, prefix: try prefix($0.1)) },
            routes: routes, request: NetworkRequest(resolvConf: resolvConf))
    }

    func veth(_ index: Int32, _ name: String, mtu: UInt32 = 1500) -> Link {
        Link(index: index, name: name, kind: "veth", mac: mac, mtu: mtu)
    }

    @Test func bridgeNetwork() throws {
        let plan = try plan(
            [Link(index: 1, name: "lo", hardwareType: 772, flags: [.up, .loopback]), veth(2, "eth0")],
            [(1, "127.0.0.1/8"), (2, "10.88.0.5/16"), (2, "fd00:88::5/64"), (2, "fe80::858:aff:fe58:5/64")],
            [
                Route(destination: .everything(.v4), gateway: address("10.88.0.1"), linkIndex: 2),
                Route(destination: prefix("10.88.0.0/16"), linkIndex: 2, scope: .link, origin: 2),
                Route(destination: prefix("10.88.0.5/32"), linkIndex: 2, table: 255, type: 2, origin: 2),
                Route(destination: prefix("10.88.255.255/32"), linkIndex: 2, table: 255, type: 3, origin: 2),
                Route(destination: prefix("fd00:88::/64"), linkIndex: 2, origin: 2, metric: 256),
                Route(destination: prefix("fe80::/64"), linkIndex: 2, origin: 2, metric: 256),
                Route(destination: prefix("ff00::/8"), linkIndex: 2, table: 255, type: 5, origin: 2, metric: 256),
                Route(destination: prefix("224.0.0.0/4"), linkIndex: 2, scope: .link),
                Route(destination: .everything(.v6), gateway: address("fd00:88::1"), linkIndex: 2, metric: 1024),
                Route(destination: prefix("10.9.0.0/16"), linkIndex: nil, type: 6),
            ])
        let mac = try #require(mac)
        #expect(
            plan.interfaces == [
                InterfacePlan(
                    link: "eth0", linkIndex: 2, number: 0, mac: mac, mtu: 1500,
                    addresses: [try prefix("10.88.0.5/16"), try prefix("fd00:88::5/64")],
                    routes: [
                        RoutePlan(.everything(.v4), via: try address("10.88.0.1")),
                        RoutePlan(.everything(.v6), via: try address("fd00:88::1")),
                    ])
            ])
        #expect(try JSONDecoder().decode(NetworkPlan.self, from: JSONEncoder().encode(plan)) == plan)
    }

    @Test func routedNetworkWithOneAddress() throws {
        let plan = try plan(
            [veth(3, "eth0")], [(3, "10.1.1.5/32"), (3, "fd00::5/128")],
            [
                Route(destination: .everything(.v4), gateway: address("169.254.1.1"), linkIndex: 3),
                Route(destination: prefix("169.254.1.1/32"), linkIndex: 3, scope: .link),
                Route(destination: .everything(.v6), gateway: address("fe80::ecee:eeff:feee:eeee"), linkIndex: 3),
            ])
        #expect(
            plan.interfaces.first?.routes == [
                RoutePlan(try prefix("169.254.1.1/32")),
                RoutePlan(.everything(.v4), via: try address("169.254.1.1"), onLink: true),
                // A link-local IPv6 gateway needs no route and no onlink flag.
                RoutePlan(.everything(.v6), via: try address("fe80::ecee:eeff:feee:eeee")),
            ])
        #expect(
            plan.interfaces.first.map({ AddressServiceConfiguration.classlessRoutes($0, isDefault: true) }) == [
                "169.254.1.1/32", "0.0.0.0", "0.0.0.0/0", "169.254.1.1",
            ])
    }

    /// As CNI's ptp leaves it: the address has the network's length, and the network is behind the gateway.
    @Test func networkBehindItsGateway() throws {
        let plan = try plan(
            [veth(3, "eth3")], [(3, "10.3.0.5/24"), (3, "fd00:3::5/64")],
            [
                Route(destination: prefix("10.3.0.0/24"), gateway: address("10.3.0.1"), linkIndex: 3),
                Route(destination: prefix("10.3.0.1/32"), linkIndex: 3, scope: .link),
                Route(destination: prefix("fd00:3::/64"), gateway: address("fd00:3::1"), linkIndex: 3, metric: 1024),
                Route(destination: prefix("fd00:3::1/128"), linkIndex: 3, metric: 1024),
            ])
        #expect(plan.interfaces.first?.addresses == [try prefix("10.3.0.5/32"), try prefix("fd00:3::5/128")])
        #expect(
            plan.interfaces.first?.routes == [
                RoutePlan(try prefix("10.3.0.1/32")), RoutePlan(try prefix("fd00:3::1/128")),
                RoutePlan(try prefix("10.3.0.0/24"), via: try address("10.3.0.1"), onLink: true),
                RoutePlan(try prefix("fd00:3::/64"), via: try address("fd00:3::1"), onLink: true),
            ])
    }

    @Test func gatewayOutsideTheNetwork() throws {
        let plan = try plan(
            [veth(3, "eth0")], [(3, "10.1.1.5/24")],
            [Route(destination: .everything(.v4), gateway: address("192.0.2.1"), linkIndex: 3, onLink: true)])
        #expect(plan.interfaces.first?.routes.map(\.onLink) == [true])
        #expect(
            plan.interfaces.first.map({ AddressServiceConfiguration.classlessRoutes($0, isDefault: true) }) == [
                "192.0.2.1/32", "0.0.0.0", "0.0.0.0/0", "192.0.2.1",
            ])
    }

    @Test func pointToPointAddress() throws {
        let own = Address(linkIndex: 2, prefix: try prefix("10.1.1.5/32"), peer: try address("10.1.0.1"))
        let plan = try NetworkPlan(
            links: [veth(2, "eth0")], addresses: [own],
            routes: [
                Route(destination: prefix("10.1.0.1/32"), linkIndex: 2, scope: .link, origin: 2),
                Route(destination: .everything(.v4), gateway: address("10.1.0.1"), linkIndex: 2),
            ], request: NetworkRequest())
        #expect(
            plan.interfaces.first?.routes == [
                RoutePlan(try prefix("10.1.0.1/32")),
                RoutePlan(.everything(.v4), via: try address("10.1.0.1"), onLink: true),
            ])
    }

    @Test func orderIsEth0ThenByName() throws {
        let names = ["net10", "net2", "net1", "eth1", "eth0", "a", "eth00"]
        let plan = try plan(names.enumerated().map { veth(Int32($0.offset + 2), $0.element) })
        #expect(plan.interfaces.map(\.link) == ["eth0", "a", "eth00", "eth1", "net1", "net2", "net10"])
        #expect(plan.interfaces.map(\.tap) == (0...6).map { "slw\($0)" })
    }

    @Test func noEth0AndNothingAtAll() throws {
        #expect(try plan([veth(2, "net1")]).interfaces.map(\.link) == ["net1"])
        #expect(try plan([]).interfaces.isEmpty)
    }

    @Test func ipv6Alone() throws {
        let plan = try plan(
            [veth(2, "eth0", mtu: 9000)], [(2, "fd00::5/64")],
            [Route(destination: .everything(.v6), gateway: address("fd00::1"), linkIndex: 2, metric: 1024)],
            resolvConf: "nameserver fd00::53\n")
        let interface = try #require(plan.interfaces.first)
        #expect(interface.mtu == 9000)
        #expect(interface.gateway(.v6)?.description == "fd00::1")
        #expect(interface.gateway(.v4) == nil)
        let redirects = AddressServiceLink.redirects(interface, to: 9)
        #expect(redirects.allSatisfy { $0.frames == .ipv6 } && redirects.count == 4)
    }

    @Test func multicastFilters() throws {
        let macvlan = Link(index: 2, name: "net1", kind: "macvlan", mac: mac)
        let hardware = Link(index: 3, name: "net2", mac: mac)
        #expect(
            try plan([macvlan, hardware, veth(4, "eth0")]).interfaces.map(\.needsAllMulticast) == [false, true, true])
    }

    @Test func VLANsOverALinkOfThePodHaveTheirOwnFrames() throws {
        func vlan(_ index: Int32, _ number: UInt16, over parent: Int32, elsewhere: Int32? = nil) -> Link {
            Link(
                index: index, name: "net\(index)", kind: "vlan", mac: mac, parent: parent, linkNetnsID: elsewhere,
                vlan: number)
        }
        let links = [veth(2, "eth0"), vlan(3, 42, over: 2), vlan(4, 7, over: 2), vlan(5, 9, over: 2, elsewhere: 0)]
        #expect(try plan(links).interfaces.map(\.vlans) == [[7, 42], [], [], []])
        #expect(try plan(links + [vlan(6, 8, over: 3)]).interfaces[1].vlans == [8])
    }

    @Test func ownAndFallbackLinksAreLeftOut() throws {
        let own = [
            Link(index: 5, name: "slw0", kind: "tun", mac: mac, alias: "slipway link 2 eth0"),
            Link(index: 6, name: "slw1", kind: "tun", mac: mac),
            Link(index: 7, name: "slwd0", kind: "veth", mac: mac),
            Link(index: 8, name: "slwp0", kind: "veth", mac: mac),
            Link(index: 9, name: "tunl0", kind: "ipip", hardwareType: 768, flags: []),
            Link(index: 10, name: "gretap0", kind: "gretap", mac: mac, flags: []),
        ]
        // Names like ours that are not ours.
        let others = [Link(index: 11, name: "slw7", kind: "veth", mac: mac), veth(12, "slwdx"), veth(13, "slw")]
        #expect(try plan(own + others + [veth(2, "eth0")]).interfaces.map(\.link) == ["eth0", "slw", "slw7", "slwdx"])
    }

    @Test func refusals() throws {
        let tun = Link(index: 2, name: "tun0", kind: "tun", hardwareType: 65534)
        #expect(throws: NetworkRefusal.notEthernet(link: "tun0", kind: "tun")) { try plan([tun]) }
        let sit = Link(index: 2, name: "sit0", kind: "sit", hardwareType: 776)
        #expect(throws: NetworkRefusal.notEthernet(link: "sit0", kind: "sit")) { try plan([sit]) }
        let l3 = Link(index: 2, name: "net1", kind: "ipvlan", mac: mac, ipvlanMode: .l3)
        #expect(throws: NetworkRefusal.routedIPvlan(link: "net1", mode: "l3")) { try plan([l3]) }
        let l2 = Link(index: 2, name: "net1", kind: "ipvlan", mac: mac, ipvlanMode: .l2)
        #expect(try plan([l2]).interfaces.count == 1)
        let mute = Link(index: 2, name: "net1", kind: "veth")
        #expect(throws: NetworkRefusal.noStationAddress(link: "net1", found: "nothing")) { try plan([mute]) }
        #expect(throws: NetworkRefusal.tooManyLinks(link: "net66", found: 65, limit: 64)) {
            try plan((2...66).map { veth($0, "net\($0)") })
        }
    }

    @Test func resolvConf() {
        let dns = DNSConfiguration(
            resolvConf: """
                # comment
                nameserver 10.96.0.10
                nameserver fd00::a   # trailing
                nameserver fe80::1%eth0
                nameserver nonsense
                domain old.example
                search default.svc.cluster.local svc.cluster.local. bad,name evil\u{0}x \u{202e}
                options ndots:5 timeout:2 single-request,x
                options edns0
                """)
        #expect(dns.nameservers.map(\.description) == ["10.96.0.10", "fd00::a"])
        #expect(dns.search == ["default.svc.cluster.local", "svc.cluster.local"])
        #expect(dns.options == ["ndots:5", "timeout:2", "edns0"])
        let long = DNSConfiguration(
            resolvConf: (0..<99).map { "nameserver 10.0.0.\($0)\noptions o\($0)" }.joined(separator: "\r\n"))
        #expect(long.nameservers.count == 8 && long.options.count == 32)
    }
}

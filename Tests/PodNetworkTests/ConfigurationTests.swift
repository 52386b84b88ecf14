import Netlink
import Testing

@testable import PodNetwork

@Suite struct ConfigurationTests {
    func link(
        _ number: Int = 0, addresses: [String], routes: [RoutePlan] = [], mtu: UInt32 = 1450, routing: Bool = true
    ) throws -> AddressServiceLink {
        AddressServiceLink(
            name: "slwd\(number)", index: Int32(100 + number),
            plan: InterfacePlan(
                link: "eth\(number)", number: number, mac: try #require(MACAddress("0a:58:0a:58:00:0\(number)")),
                mtu: mtu, addresses: try addresses.map { try #require(IPPrefix($0)) }, routes: routes),
            routes: routing)
    }

    static let head = """
        port=0
        no-hosts
        no-resolv
        no-ping
        leasefile-ro
        dhcp-authoritative
        bind-interfaces
        except-interface=lo
        log-facility=-
        quiet-dhcp
        quiet-ra
        user=dnsmasq

        """

    @Test func bothProtocols() throws {
        let link = try link(
            addresses: ["10.88.0.5/16", "fd00:88::5/64"],
            routes: [
                RoutePlan(.everything(.v4), via: IPAddress("10.88.0.1")),
                RoutePlan(.everything(.v6), via: IPAddress("fd00:88::1")),
            ])
        let dns = DNSConfiguration(
            nameservers: ["10.96.0.10", "fd00:96::a"].compactMap { IPAddress($0) }, search: ["default.svc", "svc"])
        #expect(
            AddressServiceConfiguration([link], dns: dns, hostName: "vnf-0.example").text == Self.head + """
                enable-ra
                # link 100
                interface=slwd0
                shared-network=slwd0,10.88.0.0
                dhcp-range=10.88.0.0,static,255.255.0.0,infinite
                dhcp-option=tag:slwd0,option:router,10.88.0.1
                dhcp-option=tag:slwd0,option:dns-server,10.96.0.10
                dhcp-option=tag:slwd0,option:mtu,1450
                dhcp-option=tag:slwd0,option:domain-name,default.svc
                dhcp-option=tag:slwd0,option:domain-search,default.svc,svc
                dhcp-range=fd00:88::,static,64,infinite
                ra-param=slwd0,mtu:1450,600,9000
                dhcp-option=tag:slwd0,option6:dns-server,[fd00:96::a]
                dhcp-option=tag:slwd0,option6:domain-search,default.svc,svc
                dhcp-host=0a:58:0a:58:00:00,10.88.0.5,[fd00:88::5],vnf-0,infinite

                """)
    }

    @Test func oneAddressAloneAndNothingElse() throws {
        let link = try link(addresses: ["10.1.1.5/32"])
        #expect(
            AddressServiceConfiguration([link], dns: DNSConfiguration(), hostName: "-").text == Self.head + """
                # link 100
                interface=slwd0
                shared-network=slwd0,10.1.1.5
                dhcp-range=10.1.1.5,static,255.255.255.255,infinite
                dhcp-option=tag:slwd0,option:router
                dhcp-option=tag:slwd0,option:dns-server
                dhcp-option=tag:slwd0,option:mtu,1450
                dhcp-host=0a:58:0a:58:00:00,10.1.1.5,infinite

                """)
    }

    @Test func twoNICsInOneNetworkShareTheRange() throws {
        let text = try AddressServiceConfiguration(
            [link(addresses: ["10.88.0.5/16"]), link(1, addresses: ["10.88.0.6/16", "fd00::6/48"], routing: false)],
            dns: DNSConfiguration(), hostName: ""
        ).text
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("dhcp-range=10.88") }.count == 1)
        #expect(text.contains("dhcp-range=fd00::,static,64,infinite\nra-param=slwd1,mtu:1450,600,0\n"))
    }

    /// One default route: the smallest metric's, and of equal ones the first NIC's.
    @Test func defaultRoutesCompete() throws {
        func routes(_ text: String, _ metric: UInt32?) -> [RoutePlan] {
            IPAddress(text).map { [RoutePlan(.everything($0.family), via: $0, metric: metric)] } ?? []
        }
        func told(_ links: [AddressServiceLink]) -> [String] {
            AddressServiceConfiguration(links, dns: DNSConfiguration(), hostName: "").text.split(separator: "\n")
                .filter { $0.contains("option:router") || $0.hasPrefix("ra-param") }.map(String.init)
        }
        let first = try link(0, addresses: ["10.0.0.5/24"], routes: routes("10.0.0.1", 200))
        let second = try link(1, addresses: ["10.0.1.5/24"], routes: routes("10.0.1.1", 100))
        let third = try link(2, addresses: ["10.0.2.5/24"], routes: routes("10.0.2.1", 100))
        #expect(
            told([third, second, first]) == [
                "dhcp-option=tag:slwd2,option:router", "dhcp-option=tag:slwd1,option:router,10.0.1.1",
                "dhcp-option=tag:slwd0,option:router",
            ])
        let links = [
            try link(0, addresses: ["fd00::5/64"], routes: routes("fd00::1", nil)),
            try link(1, addresses: ["fd01::5/64"], routes: routes("fd01::1", nil)),
            try link(2, addresses: ["fd02::5/64"], routing: false),
        ]
        #expect(
            told(links) == [
                "ra-param=slwd0,mtu:1450,600,9000", "ra-param=slwd1,mtu:1450,low,600,9000",
                "ra-param=slwd2,mtu:1450,600,0",
            ])
    }

    @Test func mtuAskedFor() throws {
        var link = try link(addresses: ["10.1.1.5/24", "fd00::5/64"])
        link.plan.settings.mtu = 1400
        let text = AddressServiceConfiguration([link], dns: DNSConfiguration(), hostName: "").text
        #expect(text.contains("option:mtu,1400\n") && text.contains("mtu:1400,"), "\(text)")
        link.plan.settings.mtu = 9000
        #expect(link.plan.guestMTU == 1450)
    }

    @Test func optionOfRoutesIsBounded() throws {
        let gateway = IPAddress("10.88.0.1")
        let routes =
            [RoutePlan(.everything(.v4), via: gateway)]
            + (0..<100).compactMap { IPPrefix("10.\($0).0.0/24").map { RoutePlan($0, via: gateway) } }
        let pairs = AddressServiceConfiguration.classlessRoutes(
            try link(addresses: ["10.88.0.5/16"], routes: routes).plan, isDefault: true)
        #expect(pairs.prefix(2) == ["0.0.0.0/0", "10.88.0.1"])
        #expect(pairs.count == 2 * (1 + 31), "5 octets and then 8 for each /24")
    }

    @Test(arguments: ["a,b", "a\nuser=root", "infinite", "12", "x_y", "", String(repeating: "a", count: 64)])
    func hostNameThatIsNone(name: String) throws {
        let text = try AddressServiceConfiguration(
            [link(addresses: ["10.1.1.5/24"])], dns: DNSConfiguration(), hostName: name
        ).text
        #expect(text.hasSuffix("\ndhcp-host=0a:58:0a:58:00:00,10.1.1.5,infinite\n"))
    }
}

import Netlink
import Testing

@testable import PodNetwork

/// Which links and devices become which NICs.
@Suite struct RequestTests {
    let function = "0000:3b:02.1"

    func mac(_ last: UInt8) throws -> MACAddress { try #require(MACAddress(bytes: [0x0a, 0x58, 0, 0, 0, last])) }

    func link(
        _ name: String, _ kind: String? = "veth", index: Int32 = 2, mtu: UInt32 = 1500, master: Int32? = nil,
        ipvlan: Link.IPvlanMode? = nil, pci: String? = nil, flags: Link.Flags = [.up, .lowerUp]
    ) throws -> Link {
        Link(
            index: index, name: name, kind: kind, mac: try mac(UInt8(truncatingIfNeeded: index)), mtu: mtu,
            flags: flags,
            master: master, ipvlanMode: ipvlan, pciAddress: pci)
    }

    func plan(_ links: [Link], _ request: NetworkRequest = NetworkRequest()) throws -> NetworkPlan {
        try NetworkPlan(links: links, addresses: [], routes: [], request: request)
    }

    func settings(_ text: String) throws -> NetworkRequest {
        NetworkRequest(settings: try InterfaceSettings.parse(text))
    }

    func assess(_ links: [Link], _ request: NetworkRequest) -> NetworkAssessment {
        NetworkAssessment(links: links, addresses: [], routes: [], request: request)
    }

    @Test func order() throws {
        let names = ["net1", "net10", "net2", "a", "data0", "eth0", "eth1"]
        let links = try names.enumerated().map { try link($0.element, index: Int32($0.offset + 2)) }
        let request = try NetworkRequest(
            annotations: [NetworkSelection.annotation: "z@net2,y@data0,x@gone,w@net1"], namespace: "ns")
        let plan = try plan(links, request)
        #expect(plan.interfaces.map(\.link) == ["eth0", "net2", "data0", "net1", "a", "eth1", "net10"])
        #expect(plan.interfaces.map(\.number) == Array(0..<7))
        #expect(plan.interfaces.map(\.network) == [nil, "ns/z", "ns/y", "ns/w", nil, nil, nil])
    }

    @Test(arguments: [16, 64]) func many(count: Int) throws {
        // The annotation turns the order of the names round.
        let text = (1..<count).map { "n@net\(count - $0)" }.joined(separator: ",")
        let links = try (1..<count).map { try link("net\($0)", index: Int32($0 + 2)) } + [try link("eth0")]
        let request = try NetworkRequest(annotations: [NetworkSelection.annotation: text], namespace: "ns")
        let plan = try plan(links.shuffled(), request)
        #expect(plan.interfaces.map(\.link) == ["eth0"] + (1..<count).map { "net\(count - $0)" })
        #expect(plan.interfaces.map(\.number) == Array(0..<count))
    }

    @Test(arguments: [
        ("veth" as String?, Binding.tap), ("macvlan", .tap), ("bridge", .tap), ("vlan", .tap), ("bond", .tap),
        ("dummy", .tap),
        ("vxlan", .tap), (nil, .tap), ("macvtap", .macvtap(made: false)),
    ])
    func kinds(kind: String?, binding: Binding) throws {
        #expect(try plan([link("net1", kind)]).interfaces.map(\.binding) == [binding])
    }

    @Test func ipvlanModes() throws {
        #expect(try plan([link("net1", "ipvlan", ipvlan: .l2)]).interfaces.map(\.binding) == [.tap])
        #expect(throws: NetworkRefusal.routedIPvlan(link: "net1", mode: "l3s")) {
            try plan([link("net1", "ipvlan", ipvlan: .l3s)])
        }
    }

    @Test func asked() throws {
        func binding(_ text: String, _ link: Link) throws -> Binding? {
            try plan([link], settings(text)).interfaces.first?.binding
        }
        #expect(try binding("net1: binding=macvtap", link("net1")) == .macvtap(made: true))
        #expect(try binding("net1: binding=macvtap", link("net1", "macvtap")) == .macvtap(made: false))
        #expect(try binding("net1: binding=tap", link("net1", nil, pci: function)) == .tap)
        #expect(
            try binding("eth0: binding=masquerade ports=tcp/80", link("eth0")) == .masquerade(ports: [.init(.tcp, 80)]))
        for (text, link) in [
            ("net1: binding=masquerade", try link("net1")), ("net1: binding=tap", try link("net1", "macvtap")),
            ("eth0: binding=masquerade", try link("eth0", "macvtap")),
            ("net1: binding=macvtap", try link("net1", "macvlan")),
            ("net1: binding=macvtap", try link("net1", "ipvlan", ipvlan: .l2)),
            ("net1: binding=macvtap", try link("net1", "veth", master: 9)),
        ] {
            let refusal = #expect(throws: NetworkRefusal.self) { try plan([link], settings(text)) }
            if case .binding = refusal {} else { Issue.record("\(text): \(String(describing: refusal))") }
        }
    }

    @Test func settingsAreChecked() throws {
        let request = try settings("net1: mtu=1400 queues=4 rx-ring=1024 tx-ring=256 link=down trust=true")
        let interface = try #require(try plan([link("net1", mtu: 9000)], request).interfaces.first)
        #expect(interface.mtu == 1400 && interface.settings == request.settings["net1"])
        #expect(interface.isUp && !interface.hasCarrier)
        #expect(
            throws: NetworkRefusal.setting(
                link: "net1", field: "mtu", found: "1501",
                accepted: "at most 1500, which the link has; raise it in the network's configuration")
        ) { try plan([link("net1")], settings("net1: mtu=1501")) }
        let socket = DeviceInformation.vhostUser(path: "/s", mode: .client)
        var vhost = try settings("net1: tx-ring=1024 queues=256")
        vhost.devices = ["net1": socket]
        #expect(try plan([], vhost).interfaces.count == 1)
        // Nobody would heed it.
        let vdpa = DeviceInformation.vdpa(path: "/dev/vhost-vdpa-0", driver: .vhost, pciAddress: nil)
        for (device, field, found) in [
            (socket, "trust", "true"), (vdpa, "trust", "true"), (vdpa, "link", "down"),
        ] {
            var request = try settings("net1: \(field)=\(found)")
            request.devices = ["net1": device]
            let refusal = #expect(throws: NetworkRefusal.self) { try plan([], request) }
            #expect(refusal?.description.contains("net1: \(field) is \(found); accepted: ") == true)
        }
        #expect(throws: NetworkRefusal.self) { try plan([link("net1")], settings("net1: tx-ring=512")) }
        for field in ["queues=2", "rx-ring=256", "tx-ring=256", "link=down", "trust=true"] {
            var request = try settings("net1: \(field)")
            request.pciDevices = [function]
            #expect(throws: NetworkRefusal.self) { try plan([link("net1", nil, pci: function)], request) }
        }
    }

    @Test func settingsOfNoInterface() throws {
        #expect(throws: NetworkRefusal.unknownInterface(name: "net2", found: ["eth0", "net1"])) {
            try plan([link("net1"), link("eth0", index: 3)], settings("net1: mtu=1500\nnet2: mtu=1500"))
        }
        // Later it may be one that comes or has gone.
        var request = try settings("net2: mtu=1500")
        request.kept = ["eth0": 0]
        #expect(try plan([link("eth0")], request).interfaces.count == 1)
    }

    @Test func functions() throws {
        var request = NetworkRequest(pciDevices: [function])
        let virtual = try link("net1", nil, pci: "0000:3B:02.1")
        #expect(try plan([virtual], request).interfaces.map(\.binding) == [.hostDevice(address: function)])
        #expect(try plan([virtual]).interfaces.map(\.binding) == [.tap])
        #expect(try plan([link("net1")], request).interfaces.map(\.binding) == [.tap])
        // The carrier is the hardware's, and the guest sees for itself.
        #expect(try plan([link("net1", nil, pci: function, flags: [])], request).interfaces.map(\.hasCarrier) == [true])
        // A kernel that does not tell the function, but a file of the node that does.
        request.devices = ["net1": .pci(address: function)]
        #expect(try plan([link("net1", nil)], request).interfaces.map(\.binding) == [.hostDevice(address: function)])
        // The function has gone from its link to the guest, with the link.
        let first = try plan([virtual], request)
        request.guest = first.interfaces
        request.devices = [:]
        #expect(try plan([], request) == first)
        request.released = ["net1"]
        #expect(try plan([], request).interfaces.isEmpty)
        #expect(try plan([virtual], request).interfaces.isEmpty)
    }

    @Test func functionWithoutLink() throws {
        let result = AttachmentResult(
            mac: try mac(9), mtu: 9000, addresses: [try ipPrefix("10.56.217.3/24")],
            routes: [RoutePlan(.everything(.v4)), RoutePlan(try ipPrefix("10.9.0.0/16"))],
            gateways: [try ipAddress("10.56.217.1")], pciAddress: function)
        var request = try NetworkRequest(
            annotations: [
                NetworkSelection.annotation: "sriov",
                NetworkStatus.annotation: """
                [{"name": "ns/sriov", "interface": "net1", "ips": ["10.56.217.3"], "mac": "0a:58:00:00:00:07",
                  "gateway": ["10.56.217.1"],
                  "device-info": {"type": "pci", "version": "1.1.0", "pci": {"pci-address": "\(function)"}}}]
                """,
            ], namespace: "ns", environment: ["PCIDEVICE_INTEL_COM_SRIOV=\(function)"])
        let eth0 = try link("eth0")
        // Annotation and environment are the pod's own words.
        #expect(throws: NetworkRefusal.deviceNotGranted(link: "net1", device: function)) { try plan([eth0], request) }
        request.grantedFunctions = [function]
        let told = try plan([eth0], request).interfaces
        #expect(told.map(\.link) == ["eth0", "net1"] && told[1].network == "ns/sriov")
        #expect(told[1].binding == .hostDevice(address: function) && told[1].mac.bytes.last == 7)
        #expect(told[1].addresses.map(\.description) == ["10.56.217.3/32"] && told[1].mtu == 1500)
        #expect(told[1].routes.map(\.onLink) == [true])
        request.results = ["net1": result]
        let cached = try plan([eth0], request).interfaces[1]
        #expect(cached.mac.bytes.last == 9 && cached.mtu == 9000)
        #expect(cached.addresses.map(\.description) == ["10.56.217.3/24"])
        #expect(
            cached.routes == [
                RoutePlan(try ipPrefix("10.9.0.0/16")),
                RoutePlan(.everything(.v4), via: try ipAddress("10.56.217.1")),
            ])
    }

    @Test func sockets() throws {
        func binding(_ device: DeviceInformation) throws -> Binding? {
            try plan([], NetworkRequest(devices: ["net1": device])).interfaces.first?.binding
        }
        #expect(try binding(.vhostUser(path: "/s", mode: .server)) == .vhostUser(path: "/s", listens: true))
        #expect(try binding(.vhostUser(path: "/s", mode: .client)) == .vhostUser(path: "/s", listens: false))
        #expect(
            try binding(.vdpa(path: "/dev/vhost-vdpa-0", driver: .vhost, pciAddress: nil))
                == .vdpa(path: "/dev/vhost-vdpa-0"))
        for device in [.memif(path: "/m"), DeviceInformation.vdpa(path: "/v", driver: .virtio, pciAddress: nil)] {
            let refusal = #expect(throws: NetworkRefusal.self) { try binding(device) }
            #expect(refusal?.link == "net1")
        }
        // A file of the node wins over the link that a plugin left as a place holder.
        let request = NetworkRequest(devices: ["net1": .vhostUser(path: "/s", mode: .client)])
        #expect(
            try plan([link("net1", "dummy")], request).interfaces.map(\.binding)
                == [.vhostUser(path: "/s", listens: false)])
    }

    @Test func pathsOfTheAnnotation() throws {
        func plan(_ path: String, granted: Set<String>) throws -> NetworkPlan {
            let element = NetworkStatus.Element(
                network: "n", interface: "net1", device: .vhostUser(path: path, mode: .client))
            return try self.plan(
                [], NetworkRequest(grantedPaths: granted, status: NetworkStatus(elements: [element])))
        }
        #expect(try plan("/run/vpp/s", granted: ["/run/vpp"]).interfaces.count == 1)
        #expect(try plan("/run/vpp/s", granted: ["/run/vpp/"]).interfaces.count == 1)
        #expect(try plan("/run/vpp/s", granted: ["/run/vpp/s"]).interfaces.count == 1)
        for granted: Set<String> in [[], ["/run/vp"], ["/"], [""], ["/run/vpp/s/x"]] {
            #expect(throws: NetworkRefusal.deviceNotGranted(link: "net1", device: "/run/vpp/s")) {
                try plan("/run/vpp/s", granted: granted)
            }
        }
    }

    @Test func oneDeviceTwice() throws {
        let device = DeviceInformation.pci(address: function)
        #expect(throws: NetworkRefusal.deviceTaken(link: "net2", device: function, by: "net1")) {
            try plan([], NetworkRequest(devices: ["net1": device, "net2": device]))
        }
    }

    @Test func madeAddressesStay() throws {
        func mac(_ identity: String, _ name: String) throws -> MACAddress {
            let request = NetworkRequest(identity: identity, devices: [name: .vhostUser(path: "/s", mode: .client)])
            return try #require(try plan([], request).interfaces.first?.mac)
        }
        let one = try mac("a", "net1")
        #expect(one.isStation && one.bytes[0] & 2 == 2)
        #expect(try mac("a", "net1") == one)
        #expect(try mac("b", "net1") != one)
        #expect(try mac("a", "net2") != one)
    }

    @Test func masqueradeNetwork() throws {
        func plan(_ addresses: [String], dns: String = "", guest: [InterfacePlan] = []) throws -> InterfacePlan {
            var request = try settings("eth0: binding=masquerade")
            request.resolvConf = dns
            request.guest = guest
            let plan = try NetworkPlan(
                links: [link("eth0")],
                addresses: addresses.map { Address(linkIndex: 2, prefix: try ipPrefix($0)) }, routes: [],
                request: request)
            return try #require(plan.interfaces.first)
        }
        let both = try plan(["10.88.0.5/16", "fd00::5/64"])
        #expect(both.addresses.map(\.description) == ["10.0.2.2/24", "fd10:0:2::2/120"])
        #expect(both.gateway(.v4)?.description == "10.0.2.1" && both.gateway(.v6)?.description == "fd10:0:2::1")
        #expect(try plan(["10.0.2.77/32"]).addresses.map(\.description) == ["172.31.255.2/24"])
        #expect(try plan(["10.9.0.5/8"]).addresses.map(\.description) == ["172.31.255.2/24"])
        #expect(try plan(["10.9.0.5/16"], dns: "nameserver 10.0.2.3").gateway(.v4)?.description == "172.31.255.1")
        // Another address of the pod is nothing to the guest.
        #expect(try plan(["10.0.2.9/24", "fd00::5/64"], guest: [both]).addresses == both.addresses)
        #expect(try plan([]).addresses.isEmpty)
    }

    @Test func carrier() throws {
        for (flags, isUp) in [([.up, .lowerUp], true), ([.up], false), ([.lowerUp], false)] as [(Link.Flags, Bool)] {
            #expect(try plan([link("net1", flags: flags)]).interfaces.map(\.isUp) == [isUp])
        }
    }

    @Test func numbers() throws {
        let links = try ["eth0", "net1", "net2", "net3"].enumerated().map {
            try link($0.element, index: Int32($0.offset + 2))
        }
        func numbers(_ names: [String], _ request: NetworkRequest) throws -> [Int] {
            try plan(links.filter { names.contains($0.name) }, request).interfaces.map(\.number)
        }
        let kept = ["eth0": 0, "net1": 1, "net2": 2]
        #expect(try numbers(["eth0", "net2"], NetworkRequest(kept: kept)) == [0, 2])
        // A new one leaves the number of one that is away alone, as long as there are others.
        #expect(try numbers(["eth0", "net2", "net3"], NetworkRequest(kept: kept)) == [0, 2, 3])
        #expect(try numbers(["eth0", "net2", "net3"], NetworkRequest(kept: kept, numberLimit: 3)) == [0, 2, 1])
        #expect(try numbers(["eth0", "net3"], NetworkRequest(kept: ["eth0": 5, "net3": 5])) == [5, 0])
        #expect(try numbers(["eth0", "net3"], NetworkRequest(kept: ["eth0": -1, "net3": .max])) == [0, 1])
        let full = assess(links, NetworkRequest(kept: kept, numberLimit: 3))
        #expect(full.plan.interfaces.map(\.link) == ["eth0", "net1", "net2"])
        #expect(full.refusals == [.tooManyLinks(link: "net3", found: 4, limit: 3)])
        #expect(assess(links, NetworkRequest(numberLimit: -1)).plan.interfaces.isEmpty)
    }

    @Test func aRunningGuestKeepsWhatItHas() throws {
        let eth0 = try link("eth0")
        let before = try plan([eth0, link("net1", index: 3, mtu: 9000)], settings("net1: mtu=9000"))
        // A tunnel comes, and somebody asks for what cannot be.
        var request = try settings("net1: tx-ring=1024")
        request.guest = before.interfaces
        let tunnel = Link(index: 7, name: "tun0", kind: "tun", hardwareType: 65534)
        let after = assess([eth0, try link("net1", index: 3, mtu: 9000), tunnel], request)
        #expect(after.plan == before)
        #expect(after.refusals.map(\.link) == ["net1", "tun0"])
        // The link shrinks: the NIC follows.
        request.settings = try settings("net1: mtu=9000").settings
        #expect(try plan([eth0, link("net1", index: 3, mtu: 1400)], request).interfaces.map(\.mtu) == [1500, 1400])
    }

    @Test func messagesNameWhatHelps() {
        let refusals: [NetworkRefusal] = [
            .binding(link: "net1", asked: .macvtap, problem: "x"),
            .setting(link: "net1", field: "mtu", found: "9000", accepted: "at most 1500"),
            .unknownInterface(name: "net1", found: []), .device(link: "net1", found: "x", accepted: "y"),
            .deviceNotGranted(link: "net1", device: "d"), .deviceTaken(link: "net1", device: "d", by: "net2"),
        ]
        for refusal in refusals { #expect(refusal.description.contains("net1") && refusal.link == "net1") }
    }
}

import CLinux
import Glibc
import LinuxSystem
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

/// With the kernel's own links and nft(8); needs root.
@Suite(.serialized, .timeLimit(.minutes(3))) struct MasqueradeTests {
    static let settings = """
        cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/eth0/accept_ra \
        /proc/sys/net/ipv6/conf/eth0/forwarding /proc/sys/net/ipv4/conf/eth0/forwarding; nft list ruleset; ip -o link
        ip addr; tc qdisc show; ip route; ip -6 route
        """

    /// What binding could change, once the kernel has made what it makes by itself: the link's state and its link-local
    /// address.
    func state(_ lab: Lab) throws -> String {
        let deadline = Clock.milliseconds + 5000
        while true {
            let text = try shell(Self.settings, in: lab.pod)
            let isSettled =
                text.contains("fe80::/64 dev eth0") && text.contains("eth0@") && !text.contains("tentative")
                && text.contains("state UP")
            if isSettled || Clock.milliseconds > deadline { return text }
        }
    }

    func bind(_ lab: Lab, ports: [Binding.Port] = [], answering: Bool = false) async throws -> (
        plan: InterfacePlan, service: AddressServiceLink?
    ) {
        try await lab.pod.run {
            var plan = try NetworkPlan(reading: RTNetlink(), resolvConf: "").interfaces[0]
            plan.binding = .masquerade(ports: ports)
            // As it is planned.
            plan.addresses = ["10.0.2.2/24", "fd10:0:2::2/120"].compactMap { IPPrefix($0) }
            plan.routes = [
                RoutePlan(.everything(.v4), via: IPAddress("10.0.2.1")),
                RoutePlan(.everything(.v6), via: IPAddress("fd10:0:2::1")),
            ]
            return (plan, try NetworkBinding().bind(plan, owner: 0, answering: answering))
        }
    }

    func guest(_ lab: Lab) async throws -> Guest {
        let guest = try await Guest(tap: "slw0", in: lab.pod)
        try shell(
            """
            ip addr add 10.0.2.2/24 dev eth0; ip addr add fd10:0:2::2/120 dev eth0 nodad
            ip route add default via 10.0.2.1; ip -6 route add default via fd10:0:2::1
            """, in: guest.namespace)
        return guest
    }

    /// Listens in one namespace, connects from another, and returns the address that the listener saw; nil when there is
    /// no connection.
    func caller(of port: Int, in server: NetworkNamespace, from client: NetworkNamespace, to address: String)
        async throws -> String?
    {
        let family = address.hasPrefix("[") ? "6" : "4"
        var listen = Spawn(
            "/usr/bin/socat",
            ["-T3", "TCP\(family)-LISTEN:\(port),reuseaddr", "SYSTEM:echo $SOCAT_PEERADDR"])
        listen.networkNamespace = server.descriptor
        let process = try listen.start()
        defer {
            try? process.signal(SIGKILL)
            _ = try? process.wait()
        }
        let listening = "ss -Htln\(family) sport = :\(port) | grep -q LISTEN"
        let deadline = Clock.milliseconds + 5000
        while !succeeds(listening, in: server), Clock.milliseconds < deadline {}
        let reply = try? shell("socat -T2 - TCP\(family):\(address):\(port),connect-timeout=2 </dev/null", in: client)
        return reply.map { String($0.prefix { $0 != "\n" }) }
    }

    @Test func everyPortGoesToTheGuest() async throws {
        let lab = try await Lab()
        let before = try state(lab)
        _ = try await bind(lab)
        let guest = try await guest(lab)
        let (inside, pod, other) = (guest.namespace, lab.pod, lab.neighbour)

        #expect(try await caller(of: 8080, in: inside, from: other, to: "10.88.0.5") == "10.88.0.9")
        let caller6 = try await caller(of: 8080, in: inside, from: other, to: "[fd00:88::5]")
        #expect(caller6 == "[fd00:0088:0000:0000:0000:0000:0000:0009]")
        #expect(try await caller(of: 8080, in: other, from: inside, to: "10.88.0.9") == "10.88.0.5")
        #expect(
            try await caller(of: 8080, in: other, from: inside, to: "[fd00:88::9]")
                == "[fd00:0088:0000:0000:0000:0000:0000:0005]")
        // The pod's own side, as port forwarding and probes inside the pod use it.
        #expect(try await caller(of: 8081, in: inside, from: pod, to: "127.0.0.1") == "10.0.2.1")
        #expect(try await caller(of: 8081, in: inside, from: pod, to: "10.88.0.5") == "10.0.2.1")
        // ICMP stays with the pod, and the guest's goes out.
        try shell("ping -c 1 -W 2 10.88.0.5; ping -6 -c 1 -W 2 fd00:88::5", in: other)
        try shell("ping -c 1 -W 2 10.88.0.9; ping -6 -c 1 -W 2 fd00:88::9", in: inside)
        // The host's loopback is not for the guest: it would answer if the rules did not say so.
        let loopback = "ping -I 10.0.2.2 -c 1 -W 1 127.0.0.53"
        try shell(
            "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; ip addr del 127.0.0.1/8 dev lo;"
                + " ip route add 127.0.0.53 via 10.0.2.1", in: inside)
        #expect(!succeeds(loopback, in: inside))
        try shell("nft flush chain inet slipway_slw0 from_guest", in: pod)
        #expect(succeeds(loopback, in: inside), "the test itself reaches it")
        _ = try shell("nft add rule inet slipway_slw0 from_guest iifname slw0 ip saddr != 10.0.2.2 drop", in: pod)
        // Nor another source than its own.
        try shell("ip addr add 10.0.2.9/24 dev eth0", in: inside)
        #expect(!succeeds("ping -I 10.0.2.9 -c 1 -W 1 10.88.0.9", in: inside))

        guest.end()
        try await lab.unbindAll()
        var after = ""
        _ = try await eventually(within: .seconds(5)) {
            after = try state(lab)
            return after == before
        }
        #expect(after == before)
    }

    @Test func namedPortsAlone() async throws {
        let lab = try await Lab()
        let bound = try await bind(lab, ports: [Binding.Port(.tcp, 8080), Binding.Port(.udp, 53)])
        let guest = try await guest(lab)
        defer { guest.end() }
        #expect(try await caller(of: 8080, in: guest.namespace, from: lab.neighbour, to: "10.88.0.5") == "10.88.0.9")
        #expect(try await caller(of: 8080, in: guest.namespace, from: lab.pod, to: "127.0.0.1") == "10.0.2.1")
        // The pod's link is made anew.
        try await RejoinTests().replaceLink(lab)
        let plan = bound.plan
        try await lab.pod.run { try NetworkBinding().rejoin(plan) }
        #expect(try await caller(of: 8080, in: guest.namespace, from: lab.neighbour, to: "10.88.0.5") == "10.88.0.9")
        // The pod's netfilter sees the guest's traffic.
        try shell(
            "nft add table inet p; nft 'add chain inet p f { type filter hook forward priority 0; policy drop; }'",
            in: lab.pod)
        #expect(try await caller(of: 8080, in: guest.namespace, from: lab.neighbour, to: "10.88.0.5") == nil)
        // Another port is the other containers'.
        #expect(try await caller(of: 9090, in: lab.pod, from: lab.neighbour, to: "10.88.0.5") == "10.88.0.9")
        #expect(try await caller(of: 9090, in: lab.pod, from: lab.pod, to: "127.0.0.1") == "127.0.0.1")
    }

    /// The pod's routes from router advertisements stay, and what was there is there again.
    @Test func routersAreStillHeard() async throws {
        let lab = try await Lab()
        try shell("echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_ra", in: lab.pod)
        let before = try state(lab)
        _ = try await bind(lab)
        #expect(try shell("cat /proc/sys/net/ipv6/conf/eth0/accept_ra", in: lab.pod) == "2\n")
        _ = try await bind(lab)
        try await lab.unbindAll()
        #expect(try state(lab) == before)
    }

    @Test func addressesByDHCP() async throws {
        let lab = try await Lab()
        let (plan, service) = try await bind(lab, answering: true)
        let link = try #require(service)
        #expect(link.name == "slwd0" && link.plan == plan && link.routes)
        let addresses = try shell("ip -o addr show dev slwd0", in: lab.pod)
        #expect(addresses.contains("fd10:0:2::3/120") && !addresses.contains("fd10:0:2::2"), "\(addresses)")
        let links = try await lab.pod.run { try RTNetlink().links() }
        #expect(links.first { $0.name == "slwd0" }?.mac == links.first { $0.name == "slw0" }?.mac)
        try await lab.unbindAll()
    }

    @Test func note() {
        var note = TapNote(linkIndex: 7, link: "eth0")
        note.masquerade = TapNote.Forwarding(v4: 0, v6: nil, acceptsRouters: 1)
        #expect(note.text == "slipway link 7 eth0 masquerade=0,-,1")
        #expect(TapNote(note.text) == note)
        #expect(TapNote("slipway link 7 eth0 masquerade=0,1") == TapNote(linkIndex: 7, link: "eth0"))
    }
}

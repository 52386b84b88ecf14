import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import StateDirectory
import TestSupport
import Testing

/// The pod's networks as the guest and its neighbours see them.
@Suite(.serialized, .networkNode, .timeLimit(.minutes(10))) struct NetworkTests {
    /// A NIC of a guest, as it lies on the PCI bus.
    private struct NIC: Equatable, CustomStringConvertible {
        let name: String
        let mac: String
        var description: String { "\(name) \(mac)" }
    }

    /// The guest's NICs in the order of their PCI addresses.
    private func nics(_ pod: Pod) async throws -> [NIC] {
        try await Place.guest(pod).nics().map { line in
            let words = line.split(separator: " ")
            return NIC(name: String(words[1]), mac: String(words[2]))
        }
    }

    /// What the pod's links of these names, in this order, are to be in the guest, whose kernel names NICs as it finds them.
    private func expected(_ pod: Pod, _ names: [String]) async throws -> [NIC] {
        let place = try Place.links(of: pod)
        var nics: [NIC] = []
        for name in names { nics.append(NIC(name: "eth\(nics.count)", mac: try await place.mac(name))) }
        return nics
    }

    @Test func theGuestsNICsAreThePodsLinksInOrder() async throws {
        try await NetworkNode.connected { pods in
            let order = (0..<6).map { "eth\($0)" }
            let a = try await nics(pods.a)
            #expect(try await a == expected(pods.a, order))
            let b = try await nics(pods.b)
            #expect(try await b == expected(pods.b, Array(order.prefix(4))))
            // Addresses, and routes beyond them.
            for link in order where link != "eth4" {
                let own = try await Place.links(of: pods.a).addresses(link)
                let guest = try await Place.guest(pods.a).addresses(link)
                #expect(own == guest && own.count == 2, "\(link): \(guest)")
            }
            let mtus = try await Place.guest(pods.a).run("cat /sys/class/net/eth?/mtu")
            #expect(mtus == "1500\n9000\n1500\n1500\n1500\n1500\n")
        }
    }

    /// TCP in both directions on each connection, and connections from either side.
    @Test(arguments: ["eth0", "eth1", "eth2", "eth3"])
    func everyNetworkCarriesTCP(_ link: String) async throws {
        try await NetworkNode.connected { pods in
            let guest = Place.guest(pods.a)
            let cnf = try Place.links(of: pods.cnf)
            let own = try await Place.links(of: pods.a).addresses(link)
            var peers = try await cnf.addresses(link)
            if link != "eth3" { peers += try await Place.links(of: pods.b).addresses(link) }
            if link == "eth2" { peers += ["\(pods.v4[2]).254", "\(pods.v6[2])::fe"] }
            #expect(own.count == 2 && peers.count % 2 == 0)
            let outward = try await guest.probe(peers.map { "tcp \($0) 5201 3000000" })
            for (peer, answer) in zip(peers, outward) { expectTCP(answer, "\(link) to \(peer)") }
            let inward = try await cnf.probe(own.map { "tcp \($0) 5201 3000000" })
            for (address, answer) in zip(own, inward) { expectTCP(answer, "\(link) from the CNF to \(address)") }
        }
    }

    private func expectTCP(_ answer: String, _ what: String, _ location: SourceLocation = #_sourceLocation) {
        #expect(
            answer.contains("up 3000000 of 3000000") && answer.contains("down 3000000 of 3000000"),
            "\(what): \(answer)", sourceLocation: location)
    }

    @Test func aGatewayBeyondAVethRoutesForTheGuest() async throws {
        try await NetworkNode.connected { pods in
            let peers = ["\(pods.v4[5]).1", "\(pods.v6[5])::1", "198.51.100.1"]
            let guest = Place.guest(pods.a)
            let outward = try await guest.probe(peers.map { "tcp \($0) 5201 3000000" })
            for (peer, answer) in zip(peers, outward) { expectTCP(answer, peer) }
            let own = ["\(pods.v4[5]).2", "\(pods.v6[5])::2"]
            let inward = try await pods.gateway.probe(own.map { "tcp \($0) 5201 3000000" })
            for (to, answer) in zip(own, inward) { expectTCP(answer, "from the gateway to \(to)") }
            let pings = try await guest.run(peers.map { "ping -c 2 \($0)" }.joined(separator: "\n"))
            #expect(pings.components(of: " 0% packet loss") == 3, "\(pings)")
        }
    }

    @Test func jumboFramesPassWhole() async throws {
        try await NetworkNode.connected { pods in
            let guest = Place.guest(pods.a)
            let cnf = try Place.links(of: pods.cnf)
            let own = try await Place.links(of: pods.a).addresses("eth1")
            for peer in [cnf, try Place.links(of: pods.b)] {
                let to = try await peer.addresses("eth1")
                let answers = try await guest.probe([
                    "udp \(to[0]) 5201 8972", "udp \(to[1]) 5201 8952", "udp \(to[0]) 5201 8973",
                    "udp \(to[1]) 5201 8953",
                ])
                #expect(answers[0] == "udp 8972 of 8972 same" && answers[1] == "udp 8952 of 8952 same", "\(answers)")
                #expect(answers[2...].allSatisfy { $0.contains("Message too long") }, "\(answers)")
            }
            #expect(try await cnf.probe(["udp \(own[0]) 5201 8972"]) == ["udp 8972 of 8972 same"])
            let ping = try await cnf.run("ping -c 2 -i 0.2 -M do -s 8972 \(own[0])")
            #expect(ping.contains(" 0% packet loss"), "\(ping)")
        }
    }

    @Test func smallAndTaggedFramesPassUnchanged() async throws {
        try await NetworkNode.connected { pods in
            let guest = Place.guest(pods.a)
            // 60 octets, and four for the checksum, are Ethernet's smallest frame; then one with a tag of 802.1Q, and one
            // of 802.1ad around it. The type is one of IEEE's for experiments.
            func frames(_ to: String, _ from: String) -> [String] {
                let head = "\(to)\(from)".filter { $0 != ":" }
                func frame(_ tags: String, _ mark: String) -> String {
                    let text = head + tags + "88b5" + mark
                    return text + String(repeating: "a5", count: 60 - text.utf8.count / 2)
                }
                return [frame("", "01"), frame("81000064", "02"), frame("88a800c881000064", "03")]
            }
            for (near, far) in [("eth4", "h"), ("eth5", "g")] {
                let (mine, theirs) = (try await guest.mac(near), try await pods.gateway.mac(far))
                let out = frames(theirs, mine)
                let left = try await pods.gateway.capture(far) {
                    let sent = try await guest.probe(out.map { "frame \(near) \($0)" })
                    #expect(sent.allSatisfy { $0 == "sent 60" }, "\(sent)")
                }
                expectMarked(left.filter { !$0.isOutgoing }, out, "\(near) to the gateway")
                let back = frames(mine, theirs)
                let came = try await guest.capture(near) {
                    _ = try await pods.gateway.probe(back.map { "frame \(far) \($0)" })
                }
                expectMarked(came.filter { !$0.isOutgoing }, back, "the gateway to \(near)")
            }
        }
    }

    /// A tag may be beside the frame or in it, by the receiving driver's taste.
    private func expectMarked(
        _ frames: [Frame], _ sent: [String], _ what: String, _ location: SourceLocation = #_sourceLocation
    ) {
        for (mark, vlan) in [(1, nil), (2, 100), (3, 200)] as [(Int, Int?)] {
            let payload = "88b50\(mark)a5"
            let found = frames.filter { $0.hex.contains(payload) }
            #expect(found.count == 1, "\(what), mark \(mark): \(frames)", sourceLocation: location)
            guard let frame = found.first else { continue }
            #expect(frame.vlan == vlan, "\(what): \(frame)", sourceLocation: location)
            if mark == 1 { #expect(frame.hex == sent[0], "\(what): \(frame)", sourceLocation: location) }
            let payloads = (frame.hex, sent[mark - 1])
            #expect(
                payloads.0.suffix(80) == payloads.1.suffix(80), "\(what): \(frame)", sourceLocation: location)
        }
    }

    /// This kernel may know no VLANs; the guests' kernel does, and the networks pass them.
    @Test func twoGuestsShareAVLAN() async throws {
        try await NetworkNode.connected { pods in
            for (number, pod) in [(1, pods.a), (2, pods.b)] {
                let said = try await Place.guest(pod).run(
                    """
                    modprobe 8021q
                    ip link add link eth1 name vlan7 type vlan id 7
                    ip addr add 192.0.2.\(number)/24 dev vlan7
                    ip link set dev vlan7 up
                    """)
                #expect(said.isEmpty, "\(said)")
            }
            let guest = Place.guest(pods.a)
            let frames = try await Place.links(of: pods.b).capture("eth1") {
                let answers = try await guest.probe(["tcp 192.0.2.2 5201 3000000", "udp 192.0.2.2 5201 8968"])
                expectTCP(answers[0], "over the VLAN")
                #expect(answers[1] == "udp 8968 of 8968 same")
            }
            let tagged = frames.filter { $0.vlan == 7 }
            #expect(tagged.count > 100 && tagged.contains { $0.length >= 9000 }, "\(tagged.count) of \(frames.count)")
        }
    }

    @Test(arguments: ["eth0", "eth2", "eth5"])
    func multicastPassesBothWays(_ link: String) async throws {
        try await NetworkNode.connected { pods in
            let guest = Place.guest(pods.a)
            // On the third there is the gateway alone.
            let (peer, far) = link == "eth5" ? (pods.gateway, "g") : (try Place.links(of: pods.cnf), link)
            for group in ["239.83.76.87", "ff15::534c:5750"] {
                let toGuest = try await heard(by: guest, link, group) {
                    _ = try await peer.probe(["cast \(far) \(group) 5300 to-guest"])
                }
                #expect(toGuest == "heard to-guest", "\(link) \(group): \(toGuest)")
                let fromGuest = try await heard(by: peer, far, group) {
                    _ = try await guest.probe(["cast \(link) \(group) 5300 from-guest"])
                }
                #expect(fromGuest == "heard from-guest", "\(link) \(group): \(fromGuest)")
            }
        }
    }

    private func heard(
        by place: Place, _ link: String, _ group: String, _ send: () async throws -> Void
    ) async throws -> String {
        let file = "/tmp/slipway-heard-\(UUID().uuidString)"
        try await place.run(
            """
            netprobe join \(link) \(group) 5300 10 >\(file) 2>&1 </dev/null &
            while [ ! -s \(file) ]; do sleep 0.01; done
            """)
        try await send()
        let text = try await place.run(
            """
            for i in $(seq 300); do [ $(wc -l <\(file)) -ge 2 ] && break; sleep 0.01; done
            cat \(file)
            rm \(file)
            """)
        return String(text.split(separator: "\n").last ?? "")
    }

    /// Segments that are put together and taken apart, and checksums that are promised: they cross as they are while both
    /// ends can do it, and are right when the drivers on the way have to compute them.
    @Test func largeSegmentsAndTheirChecksumsAreRight() async throws {
        try await NetworkNode.connected { pods in
            let guest = Place.guest(pods.a)
            let links = try Place.links(of: pods.a)
            let (near, far) = (try await guest.mac("eth5"), try await pods.gateway.mac("g"))
            for peer in ["\(pods.v4[5]).1", "\(pods.v6[5])::1"] {
                let whole = try await pods.gateway.capture("g") {
                    expectTCP(try await guest.probe(["tcp \(peer) 5201 3000000"])[0], peer)
                }
                for source in [near, far] {
                    let longest = whole.filter { $0.source == source }.map(\.length).max() ?? 0
                    #expect(longest > 9000, "\(peer): the longest segment from \(source) has \(longest) bytes")
                }
                for (place, link) in [(links, "eth5"), (pods.gateway, "g")] {
                    #expect(try await place.probe(["offloads \(link) off"]) == ["offloads off"])
                }
                let apart = try await pods.gateway.capture("g") {
                    expectTCP(try await guest.probe(["tcp \(peer) 5201 3000000"])[0], peer)
                }
                for (place, link) in [(links, "eth5"), (pods.gateway, "g")] {
                    #expect(try await place.probe(["offloads \(link) on"]) == ["offloads on"])
                }
                for source in [near, far] {
                    let frames = apart.filter { $0.source == source && ["0800", "86dd"].contains($0.type) }
                    let right = frames.count { $0.checksum == "ok" && $0.length <= 1514 }
                    let odd = frames.filter { $0.checksum == "bad" || $0.checksum == "short" || $0.length > 1514 }
                    #expect(right > 500 && odd.isEmpty, "\(peer) from \(source): \(right) right; \(odd.prefix(3))")
                }
            }
        }
    }

    @Test(arguments: ["eth0", "eth1", "eth2"])
    func noPodSeesAnothersFrames(_ link: String) async throws {
        try await NetworkNode.connected { pods in
            let guest = Place.guest(pods.a)
            let (cnf, other) = (try Place.links(of: pods.cnf), try Place.links(of: pods.b))
            let own = try await Place.links(of: pods.a).addresses(link)
            let peers = try await cnf.addresses(link)
            let (mine, theirs) = (try await guest.mac(link), try await cnf.mac(link))
            let ofOther = try await Place.guest(pods.b).mac(link)
            // Switches learn, and neighbours are resolved.
            let warm = try await guest.probe(peers.map { "udp \($0) 5201 64" })
            #expect(warm.allSatisfy { $0.hasSuffix("same") }, "\(warm)")
            var seenByPeer: [Frame] = []
            var seenByGuest: [Frame] = []
            let seenByOther = try await other.capture(link) {
                seenByPeer = try await cnf.capture(link) {
                    seenByGuest = try await Place.guest(pods.b).capture(link) {
                        for answer in try await guest.probe(peers.map { "tcp \($0) 5201 3000000" }) {
                            expectTCP(answer, link)
                        }
                    }
                }
            }
            // Its own answers to neighbours that look whether it is still there are no strangers'.
            let strangers = (seenByOther + seenByGuest).filter {
                [mine, theirs].contains($0.destination) && $0.source != ofOther
            }
            #expect(strangers.isEmpty, "\(link) of net-b: \(strangers.prefix(3))")
            // What comes from the guest's addresses bears its link's Ethernet address, and nothing else does.
            let arrived = seenByPeer.filter { !$0.isOutgoing && $0.isUnicast && ["0800", "86dd"].contains($0.type) }
            let sources = Set(arrived.filter { frame in own.contains { frame.isFrom($0) } }.map(\.source))
            #expect(sources == [mine], "\(link) of the CNF: \(sources), \(arrived.count) frames")
        }
    }

    /// Links that are made by hand in a wild order: names decide, digits by value, and nothing later changes it.
    @Test func sixteenNICsKeepTheirOrder() async throws {
        let before = Node.remains()
        try await Node.connected { runtime in
            var pod = try await Pod(runtime, "sixteen")
            let path = try #require(try pod.record.networkNamespace)
            let order = (0..<4).map { "eth\($0)" } + (1...12).map { "net\($0)" }
            let made = try await Place.namespace("sixteen", path: path).run(
                """
                for i in 7 12 3 1 10 5 2 11 8 4 9 6; do
                    ip link add net$i address 02:53:4c:00:00:$(printf %02x $((200 - i))) type veth peer name peer$i
                    ip link set dev net$i up
                    ip link set dev peer$i netns /run/netns/\(NetworkNode.gatewayName) && echo moved
                done
                """)
            #expect(made.components(of: "moved") == 12, "\(made)")
            try await pod.start(image: "slipway.local/net-vnf:latest", memory: 160 << 20)
            await pod.expect("tiny-vnf: ready")
            let expected = try await expected(pod, order)
            let found = try await nics(pod)
            #expect(found == expected)

            _ = try await pod.run("/bin/sh", "-c", "(sleep 0.2; reboot -f) >/dev/null 2>&1 &")
            await pod.expect("tiny-vnf: ready", count: 2)
            let rebooted = try await nics(pod)
            #expect(rebooted == expected, "after a reboot of the guest")

            try await pod.runtime.stopContainer(pod.container, grace: 0)
            try await pod.start(image: "slipway.local/net-vnf:latest", memory: 160 << 20, attempt: 1)
            await pod.expect("tiny-vnf: ready", count: 3)
            let restarted = try await nics(pod)
            #expect(restarted == expected, "after a restart of the container")
            try await pod.remove()
        }
        await Node.expectNothingLeft(since: before)
    }
}

extension Frame {
    /// Whether an IPv4 or IPv6 packet comes from an address.
    func isFrom(_ address: String) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 16)
        let (family, size, at) = type == "0800" ? (AF_INET, 4, 14 + 12) : (AF_INET6, 16, 14 + 8)
        guard inet_pton(family, address, &bytes) == 1 else { return false }
        let text = bytes.prefix(size).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        return hex.dropFirst(at * 2).prefix(size * 2) == text
    }
}

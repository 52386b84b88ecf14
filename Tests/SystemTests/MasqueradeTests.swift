import CRIProtocol
import FoundationEssentials
import LinuxSystem
import StateDirectory
import SwiftProtobuf
import TestSupport
import Testing

/// A guest with an address of its own behind its pod's (`binding=masquerade`).
@Suite(.serialized, .timeLimit(.minutes(5))) struct MasqueradeTests {
    private func expectTCP(_ answer: String, _ what: String, _ location: SourceLocation = #_sourceLocation) {
        #expect(
            answer.contains("up 300000 of 300000") && answer.contains("down 300000 of 300000"), "\(what): \(answer)",
            sourceLocation: location)
    }

    @Test func aGuestBehindItsPodsAddress() async throws {
        let before = Node.remains()
        try await Node.connected { runtime in
            var other = try await Pod(runtime, "masquerade-peer", handler: "")
            try await other.start(image: "slipway.local/net-cnf:latest")
            try await withPod(
                "masquerade",
                annotations: ["slipway.dev/interfaces": "eth0: binding=masquerade ports=tcp/5201,udp/5201,tcp/80"],
                image: "slipway.local/net-vnf:latest"
            ) { pod in
                await pod.expect("tiny-vnf: ready 10.0.2.2")
                let (guest, links, peer) = (Place.guest(pod), try Place.links(of: pod), try Place.links(of: other))
                #expect(try await guest.addresses("eth0") == ["10.0.2.2", "fd10:0:2::2"])
                let own = try await links.addresses("eth0")
                let peers = try await peer.addresses("eth0")
                try #require(own.count == 2 && peers.count == 2, "\(own), \(peers)")

                // Outward, in the pod's name.
                let frames = try await peer.capture("eth0") {
                    for answer in try await guest.probe(peers.map { "tcp \($0) 5201 300000" }) {
                        expectTCP(answer, "outward")
                    }
                }
                let arrived = frames.filter { !$0.isOutgoing && ["0800", "86dd"].contains($0.type) }
                #expect(own.allSatisfy { address in arrived.count { $0.isFrom(address) } > 10 }, "\(arrived.prefix(9))")
                #expect(!arrived.contains { $0.isFrom("10.0.2.2") || $0.isFrom("fd10:0:2::2") })
                let ping = try await guest.run(peers.map { "ping -c 2 \($0)" }.joined(separator: "\n"))
                #expect(ping.components(of: " 0% packet loss") == 2, "\(ping)")

                // Inward on the named ports alone.
                for (address, answer) in zip(own, try await peer.probe(own.map { "tcp \($0) 5201 300000" })) {
                    expectTCP(answer, "inward to \(address)")
                }
                let datagrams = try await peer.probe(own.map { "udp \($0) 5201 1000" })
                #expect(datagrams == ["udp 1000 of 1000 same", "udp 1000 of 1000 same"])
                try await guest.run("netprobe serve 5202 >/dev/null 2>&1 </dev/null &")
                #expect(
                    try await eventually { try await guest.probe(["tcp 10.0.2.2 5202 10"])[0].contains("10 of 10") })
                for answer in try await peer.probe(own.map { "tcp \($0) 5202 10" }) {
                    #expect(answer.contains("Connection refused"), "\(answer)")
                }

                try await localhostIsTheGuest(pod, links)
            }
            try await Node.connected { runtime in try await Pod(runtime, adopting: other).remove() }
        }
        await Node.expectNothingLeft(since: before)
    }

    /// As probes inside of the pod and `kubectl port-forward` reach it.
    private func localhostIsTheGuest(_ pod: Pod, _ links: Place) async throws {
        expectTCP(try await links.probe(["tcp 127.0.0.1 5201 300000"])[0], "the pod's localhost")
        let page = try await links.run("curl -s -m 10 http://127.0.0.1/")
        #expect(page.contains("masquerade"), "\(page)")

        let forwarded = try StreamConnection(
            try await pod.runtime.portForward(
                .with {
                    $0.podSandboxID = pod.id
                    $0.port = [80]
                }))
        // Channel 0 is the first port's data, and begins with its number.
        try forwarded.send("GET / HTTP/1.0\r\n\r\n")
        var answer = ""
        let isServed = try await eventually(within: .seconds(20)) {
            answer = try forwarded.text(.stdin)
            return answer.contains(" 200 OK") && answer.contains("masquerade")
        }
        let complaint = try forwarded.text(.stdout)
        #expect(isServed, "\(answer); \(complaint)")
        forwarded.detach()
    }
}

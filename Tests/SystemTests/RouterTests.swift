import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import TestSupport
import Testing

/// examples/router: a machine with two NICs joins two networks of containers, and BGP tells them.
@Suite(.serialized, .timeLimit(.minutes(5))) struct RouterTests {
    private static let example =
        #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" } + "/examples/router"

    /// The network namespace of a pod's container.
    private func namespace(_ pod: String) async throws -> Place {
        var id = ""
        try await Node.connected { runtime in
            let containers = try await runtime.listContainers()
            id = containers.first { $0.labels["io.kubernetes.pod.name"] == pod }?.id ?? ""
        }
        let tasks = try Node.ctr("task", "ls").output.split(separator: "\n").map { $0.split(separator: " ") }
        let pid = try #require(tasks.first { $0.count > 1 && $0[0] == id }?[1], "\(pod) \(id): \(tasks)")
        return .namespace(pod, path: "/proc/\(pid)/ns/net")
    }

    @Test func containersReachEachOtherThroughTheMachineAlone() async throws {
        try await Node.withOwn(networks: "router-networks", images: ["pause", "router", "bgp-cnf"]) {
            for pod in ["left", "right"] { _ = try Node.slipway("run", "-f", "\(Self.example)/\(pod).yaml") }
            let (left, right) = (try await namespace("left"), try await namespace("right"))
            let alone = try await left.run("ping -c 1 -W 1 10.77.102.1; ip route")
            #expect(alone.contains(" 100% packet loss") && !alone.contains("proto bgp"), "\(alone)")

            _ = try Node.slipway(
                "run", "-f", "\(Self.example)/router.yaml", "--wait-ready", "tiny-vnf: ready", milliseconds: 120_000)
            var routes = ""
            let learned = try await eventually(within: .seconds(60)) {
                routes = try await left.run("ip route show proto bgp")
                return routes.contains("10.77.102.1 ") && routes.contains("via 10.77.1.1 ")
            }
            let console = try Node.slipway("logs", "router").suffix(1000)
            #expect(learned, "\(routes); the router: \(console)")
            #expect(routes.contains("10.77.2.0/24 "), "the machine's own network is announced as well: \(routes)")
            let back = try await eventually(within: .seconds(30)) {
                try await right.run("ip route show proto bgp").contains("10.77.101.1 ")
            }
            #expect(back)

            for (place, far) in [(left, "10.77.102.1"), (right, "10.77.101.1")] {
                // One hop less than the 64 that the other container gives it.
                let ping = try await place.run("ping -c 3 -i 0.2 -W 2 \(far)")
                #expect(ping.contains(" 0% packet loss") && ping.components(of: "ttl=63") == 3, "\(ping)")
                let page = try await place.run("curl -s -m 10 http://\(far):8080/")
                #expect(page == "served from \(far)/32\n")
            }

            // With the machine goes the way.
            _ = try Node.slipway("rm", "router")
            let forgotten = try await eventually(within: .seconds(30)) {
                try await left.run("ip route show proto bgp").isEmpty
            }
            #expect(forgotten)
            for pod in ["left", "right"] { _ = try Node.slipway("rm", pod, "--grace", "1") }
        }
    }
}

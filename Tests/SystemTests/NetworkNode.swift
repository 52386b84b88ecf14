import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import StateDirectory
import TestSupport
import Testing

/// A node of a suite's own, whose pods hang on networks of several kinds (Tests/node/networks), with the pods that its
/// tests share. It lasts as long as the suite.
///
/// | link | network | of pods |
/// |---|---|---|
/// | eth0 | bridge, the default route | all |
/// | eth1 | bridge with an MTU of 9000 | all |
/// | eth2 | macvlan over a veth whose other end `m` is in the gateway's namespace | all |
/// | eth3 | ptp | all |
/// | eth4 | host-device: the end of a veth without addresses, the other end is the gateway's `h` | net-a |
/// | eth5 | the end of a veth, moved there by hand; the other end is the gateway's `g`, which routes | net-a |
struct NetworkNode: SuiteTrait, TestScoping {
    /// The pods that tests share, and the namespace that plays the gateway.
    struct Pods: Sendable {
        var a: Pod
        var b: Pod
        var cnf: Pod
        var gateway: Place
        /// What begins the subnets of a network's number: "10.1.2" and "fd51:1:2".
        var v4: [String]
        var v6: [String]
    }

    @TaskLocal static var pods: Pods?

    /// The gateway's namespace in /run/netns.
    static var gatewayName: String { "\(Node.setting("name") ?? "")gw" }

    /// Runs a test's body with the shared pods on a connection of its own.
    static func connected(_ body: (Pods) async throws -> Void) async throws {
        let shared = try #require(pods)
        try await Node.connected { runtime in
            var mine = shared
            mine.a = Pod(runtime, adopting: shared.a)
            mine.b = Pod(runtime, adopting: shared.b)
            mine.cnf = Pod(runtime, adopting: shared.cnf)
            try await body(mine)
        }
    }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await Node.withOwn(networks: "networks", images: ["pause", "net-vnf", "net-cnf"]) {
            try await withPods(function)
        }
    }

    private func withPods(_ body: @Sendable () async throws -> Void) async throws {
        let name = try #require(Node.setting("name"))
        let subnet = try #require(Node.setting("subnet").flatMap { Int($0) })
        let tag = try #require(Node.setting("tag").flatMap { Int($0) })
        let v4 = (0..<8).map { "10.\((subnet + $0) >> 8).\((subnet + $0) & 255)" }
        let v6 = (0..<8).map { "fd51:\(String(tag, radix: 16)):\($0)" }
        let gateway = Place.namespace("gateway", path: "/run/netns/\(name)gw")
        let host = Place.namespace("host", path: "/proc/self/ns/net")
        defer { _ = try? Spawn("/usr/sbin/ip", ["netns", "delete", "\(name)gw"]).run() }
        let made = try await host.run(
            """
            set -e
            ip netns add \(name)gw
            ip link add \(name)m type veth peer name m netns \(name)gw
            ip link set dev \(name)m up
            ip link add \(name)h type veth peer name h netns \(name)gw
            """)
        try #require(made.isEmpty, "\(made)")
        let set = try await gateway.run(
            """
            set -e
            for link in lo m h; do ip link set dev $link up; done
            ip addr add \(v4[2]).254/24 dev m
            ip addr add \(v6[2])::fe/64 dev m nodad
            ip addr add 198.51.100.1/32 dev lo
            """)
        try #require(set.isEmpty, "\(set)")
        let server = try Spawn(
            "/usr/bin/nsenter", ["--net=/run/netns/\(name)gw", "\(Node.images)/netprobe", "serve", "5201"]
        ).start()
        defer {
            try? server.signal(SIGKILL)
            _ = try? server.wait()
        }
        try await Node.connected { runtime in
            var pods = try await start(runtime, gateway, v4, v6)
            for pod in [pods.a, pods.b] { await pod.expect("tiny-vnf: ready") }
            try await Self.$pods.withValue(pods) { try await body() }
            // The pods are removed on a connection that has not seen the tests.
            try await Node.connected { runtime in
                pods.a = Pod(runtime, adopting: pods.a)
                for pod in [pods.a, Pod(runtime, adopting: pods.b), Pod(runtime, adopting: pods.cnf)] {
                    try await pod.remove()
                }
            }
        }
    }

    private func start(_ runtime: CRIClient, _ gateway: Place, _ v4: [String], _ v6: [String]) async throws -> Pods {
        var a = try await Pod(runtime, "net-a")
        // Between the sandbox and its machine, as any agent of the node may do it.
        let path = try #require(try a.record.networkNamespace)
        let moved = try await gateway.run(
            """
            set -e
            ip link add g type veth peer name eth5
            ip link set dev g up
            ip addr add \(v4[5]).1/24 dev g
            ip addr add \(v6[5])::1/64 dev g nodad
            ip link set dev eth5 netns \(path)
            """)
        try #require(moved.isEmpty, "\(moved)")
        let addressed = try await Place.links(of: a).run(
            """
            set -e
            ip link set dev eth5 up
            ip addr add \(v4[5]).2/24 dev eth5
            ip addr add \(v6[5])::2/64 dev eth5 nodad
            ip route add 198.51.100.0/24 via \(v4[5]).1
            """)
        try #require(addressed.isEmpty, "\(addressed)")
        try await a.start(image: "slipway.local/net-vnf:latest", memory: 160 << 20)
        var cnf = try await Pod(runtime, "net-c", handler: "")
        try await cnf.start(image: "slipway.local/net-cnf:latest")
        var b = try await Pod(runtime, "net-b")
        try await b.start(image: "slipway.local/net-vnf:latest", memory: 160 << 20)
        return Pods(a: a, b: b, cnf: cnf, gateway: gateway, v4: v4, v6: v6)
    }
}

extension Trait where Self == NetworkNode {
    /// The suite's tests share a node with networks of every kind, and its pods.
    static var networkNode: Self { NetworkNode() }
}

import CLinux
import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import PodNetwork
import StateDirectory
import TestSupport
import Testing

/// A node of a suite's own with a switch in user space, Open vSwitch with DPDK (Tests/node/ovs.sh), and pods, which last
/// as long as the suite.
///
/// | pod | eth1, a port of the switch | the guest's RAM |
/// |---|---|---|
/// | vhost-a | QEMU connects to the switch's socket | huge pages |
/// | vhost-b | the switch connects to QEMU's socket | a memfd |
/// | vhost-c | none yet | a memfd, as its annotation wants it |
struct SwitchNode: SuiteTrait, TestScoping {
    /// What tests share.
    struct Shared: Sendable {
        var a: Pod
        var b: Pod
        var c: Pod
        let ovs: OVS
    }

    @TaskLocal static var shared: Shared?

    /// Runs a test's body with the shared pods on a connection of its own.
    static func connected(_ body: (Shared, CRIClient) async throws -> Void) async throws {
        let shared = try #require(shared)
        try await Node.connected { runtime in
            var mine = shared
            mine.a = Pod(runtime, adopting: shared.a)
            mine.b = Pod(runtime, adopting: shared.b)
            mine.c = Pod(runtime, adopting: shared.c)
            try await body(mine, runtime)
        }
    }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await Node.withOwn(networks: "switch-networks", images: ["pause", "net-vnf"]) {
            let ovs = OVS(directory: "\(try Node.directory)/switch")
            try ovs.run("up")
            defer { _ = try? ovs.run("down") }
            try File.makeDirectory(ovs.sockets, mode: 0o755)
            // As large as the pods' frames.
            try ovs.run("vsctl", "set", "Interface", "br0", "mtu_request=2000")
            let server = try Spawn(
                "/usr/bin/nsenter", ["--net=\(ovs.directory)/netns", "\(Node.images)/netprobe", "serve", "5201"]
            ).start()
            defer {
                try? server.signal(SIGKILL)
                _ = try? server.wait()
            }
            try await withPods(ovs, function)
        }
    }

    private func withPods(_ ovs: OVS, _ body: @Sendable () async throws -> Void) async throws {
        try await Node.connected { runtime in
            let settings = ["slipway.dev/interfaces": "eth1: mtu=2000"]
            // As large as they can be.
            let more = ["slipway.dev/interfaces": "eth1: mtu=2000 rx-ring=1024 tx-ring=1024"]
            var a = try await Pod(runtime, "vhost-a", annotations: more)
            try await a.start(image: "slipway.local/net-vnf:latest", memory: 400 << 20) { $0.grant(pages: 80) }
            var b = try await Pod(runtime, "vhost-b", annotations: settings)
            try await b.start(image: "slipway.local/net-vnf:latest", memory: 160 << 20)
            var c = try await Pod(runtime, "vhost-c", annotations: ["slipway.dev/shared-memory": "true"])
            try await c.start(image: "slipway.local/net-vnf:latest", memory: 160 << 20)
            for pod in [a, b, c] { await pod.expect("tiny-vnf: ready") }
            try await Self.$shared.withValue(Shared(a: a, b: b, c: c, ovs: ovs)) { try await body() }
            // The pods are removed on a connection that has not seen the tests.
            try await Node.connected { runtime in
                for pod in [a, b, c] { try await Pod(runtime, adopting: pod).remove() }
            }
            #expect(try ovs.granted == [:], "access lists are left")
            #expect(try File.list(ovs.sockets) == [], "sockets are left")
            let devices = (try? File.list(DeviceInformation.cniDirectory)) ?? []
            #expect(!devices.contains { file in [a, b, c].contains { file.contains($0.id) } }, "\(devices)")
        }
    }
}

extension Trait where Self == SwitchNode {
    /// The suite's tests share a node with a switch in user space, and its pods.
    static var switchNode: Self { SwitchNode() }
}

/// Open vSwitch as Tests/node/ovs.sh starts it.
struct OVS: Sendable {
    let directory: String

    /// Where pods make the sockets to which the switch connects.
    var sockets: String { "\(directory)/sockets" }
    /// The network namespace of the bridge's own port, 192.0.2.1.
    var bridge: Place { .namespace("the bridge's port", path: "\(directory)/netns") }

    /// The switch itself.
    var daemon: LinuxSystem.Process {
        get throws {
            let text = try File.text("\(directory)/run/vswitchd.pid")
            return try Process(pid: #require(Int32(text.prefix { $0.isNumber })))
        }
    }

    /// Runs a verb of the script.
    @discardableResult
    func run(_ words: String...) throws -> String {
        let arguments = ["\(Node.scripts)/ovs.sh", words.first ?? "", directory] + words.dropFirst()
        let (status, output) = try Spawn(
            "/usr/bin/bash", arguments, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        )
        .run(milliseconds: 60_000)
        #expect(status == .exited(0), "ovs.sh \(words): \(output)")
        return output
    }

    /// How many users an access control list (acl(5)) lets in to each of the switch's sockets, and to its directories.
    var granted: [String: Int] {
        get throws {
            let run = try File.list("\(directory)/run").map { "\(directory)/run/\($0)" }
            var users: [String: Int] = [:]
            for place in run + ["\(directory)/run", sockets] {
                let descriptor = slipway_open_plain_path(place)
                defer { close(descriptor) }
                var list = [UInt8](repeating: 0, count: 4096)
                let count = Int(slipway_attribute_get(descriptor, "system.posix_acl_access", &list, list.count))
                // Entries of eight octets after a header of four; the tag 2 is ACL_USER.
                let entries = stride(from: 4, to: max(count, 4), by: 8).count { list[$0] == 2 }
                if entries > 0 { users[place] = entries }
            }
            return users
        }
    }
}

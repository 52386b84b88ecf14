import CLinux
import CNI
import Glibc
import LinuxSystem
import TestSupport
import Testing

/// Debian's plugins, in a namespace that plays the node and one that plays the pod.
@Suite(.timeLimit(.minutes(2))) struct RealPluginTests {
    private let node: NetworkNamespace
    private let pod: NetworkNamespace
    private let directory: TemporaryDirectory

    private static func namespace() throws -> NetworkNamespace {
        try Thread.runAndWait("unshare") {
            try check(slipway_unshare(0x4000_0000), "unshare")
            return try NetworkNamespace(path: "/proc/thread-self/ns/net")
        }
    }

    init() throws {
        (node, pod) = (try Self.namespace(), try Self.namespace())
        directory = try TemporaryDirectory()
        try shell(
            "ip link set lo up; ip link add d0 type veth peer name d1; ip link set d0 up; ip link set d1 up", in: node)
    }

    private var path: String { "/proc/\(getpid())/fd/\(pod.descriptor.raw)" }
    private var attachments: Attachments { Attachments(directory: directory("attachments")) }

    @discardableResult
    private func shell(_ script: String, in namespace: NetworkNamespace) throws -> String {
        var spawn = Spawn("/bin/sh", ["-ec", script])
        spawn.networkNamespace = namespace.descriptor
        let (status, output) = try spawn.run(milliseconds: 30_000)
        #expect(status == .exited(0), "\(script): \(output)")
        return output
    }

    /// Addresses that host-local has given out.
    private func leases() throws -> [String] {
        try File.list(directory("leases/lan")).filter { $0 != "lock" && !$0.hasPrefix("last_reserved_ip") }
    }

    private func list(_ version: String, _ plugins: String) throws -> NetworkConfiguration {
        let ipam = """
            {"type": "host-local", "dataDir": "\(directory("leases"))", "routes": [{"dst": "10.99.0.0/16", "gw": "10.1.0.1"}],
             "ranges": [[{"subnet": "10.1.0.0/16"}], [{"subnet": "fd00:1::/64"}]]}
            """
        return try network(
            """
            {"cniVersion": "\(version)", "name": "lan", "plugins": [\(plugins.replacing("IPAM", with: ipam))]}
            """)
    }

    private func attach(_ network: NetworkConfiguration, _ interface: String = "net1") throws -> CNI.Attachment {
        let given = PluginArguments.pod(
            sandbox: "abc123", namespace: path, interface: interface, podName: "router", podNamespace: "edge",
            podUID: "u", mac: interface == "net1" ? "0a:58:0a:01:00:77" : "0a:58:0a:01:00:78")
        return try node.runAndWait {
            try attachments.attach(network, given, by: PluginRunner(path: ["/usr/lib/cni"]))
        }
    }

    @Test(
        arguments: [
            #"{"type": "bridge", "bridge": "br0", "isGateway": true, "mtu": 1400, "ipam": IPAM}"#,
            #"{"type": "macvlan", "master": "d0", "ipam": IPAM}"#,
            #"{"type": "ptp", "ipam": IPAM}"#,
            #"{"type": "bridge", "bridge": "br0", "ipam": IPAM}, {"type": "tuning", "capabilities": {"mac": true}, "mtu": 1300}"#,
        ], ["0.3.1", "0.4.0", "1.0.0"])
    func addCheckAndDelete(plugins: String, version: String) throws {
        let made = try attach(list(version, plugins))
        let result = try #require(made.result)
        #expect(result.addresses.map { $0.address.split(separator: "/")[0] } == ["10.1.0.2", "fd00:1::2"])
        #expect(result.interfaces.contains { $0.name == "net1" && $0.sandbox == path && $0.mac != nil })
        let links = try shell("ip -o addr show net1; ip link show net1", in: pod)
        #expect(links.contains("10.1.0.2/") && links.contains("fd00:1::2/"), "\(links)")
        if plugins.contains("tuning") { #expect(links.contains("0a:58:0a:01:00:77") && links.contains("mtu 1300")) }
        #expect(try leases().count == 2)

        if version != "0.3.1" {
            try node.runAndWait { try attachments.check("net1", namespace: path) }
            try shell("ip addr flush dev net1", in: pod)
            let gone = #expect(throws: CNIError.self) {
                try node.runAndWait { try attachments.check("net1", namespace: path) }
            }
            guard case .notAsMade? = gone else {
                Issue.record("CHECK without the address said \(String(describing: gone))")
                return
            }
        }

        try node.runAndWait { try attachments.detach("net1", namespace: path) }
        #expect(try leases() == [])
        #expect(try !shell("ip -o link", in: pod).contains("net1"))
        #expect(try !shell("ip -o link", in: node).contains(": veth"))
        #expect(attachments.interfaces == [])
    }

    /// The namespace is gone before anybody detaches: the address is given back all the same.
    @Test(arguments: [
        #"{"type": "bridge", "bridge": "br0", "ipam": IPAM}"#, #"{"type": "macvlan", "master": "d0", "ipam": IPAM}"#,
        #"{"type": "ptp", "ipam": IPAM}"#,
    ])
    func theNamespaceIsGone(plugins: String) throws {
        _ = try attach(list("1.0.0", plugins))
        // ptp makes a route to the gateway, which a second link of the same network cannot have too.
        if !plugins.contains("ptp") { _ = try attach(list("1.0.0", plugins), "net2") }
        #expect(try leases().count == (plugins.contains("ptp") ? 2 : 4))
        #expect(try node.runAndWait { attachments.detachAll(namespace: nil, milliseconds: 20_000) } == [])
        #expect(try leases() == [])
    }

    /// A name that is taken in the pod: the plugin's own words, and no address is kept.
    @Test func aLinkOfTheNameIsThere() throws {
        try shell("ip link add net1 type veth peer name x", in: pod)
        let error = #expect(throws: CNIError.self) {
            try attach(list("1.0.0", #"{"type": "ptp", "ipam": IPAM}"#))
        }
        let description = try #require(error?.description)
        #expect(description.hasPrefix("plugin ptp, ADD of net1 (lan): "), "\(description)")
        #expect(description.contains("already exists"), "\(description)")
        #expect(try leases() == [])
        #expect(attachments.interfaces == [])
    }
}

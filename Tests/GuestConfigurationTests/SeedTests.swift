import Glibc
import GuestConfiguration
import LinuxSystem
import Testing

let identity = GuestIdentity(
    hostname: "upf-0", instanceID: "6f1c0c9e-51fb-4ad5-8f44-0a9f5f1c0d11", namespace: "core", name: "upf-0")

let network = GuestNetwork(interfaces: [
    .init(
        name: "eth0", mac: "0a:58:0a:f4:01:05", mtu: 1450, addresses: ["10.244.1.5/24", "fd00:10:244:1::5/64"],
        routes: [
            .init(to: "0.0.0.0/0", via: "10.244.1.1"), .init(to: "::/0", via: "fd00:10:244:1::1"),
            .init(to: "10.244.0.0/16", via: "10.244.1.1"),
        ],
        nameservers: ["10.96.0.10"], search: ["core.svc.cluster.local", "svc.cluster.local"],
        pciAddress: "0000:01:00.0", tags: ["eth0"]),
    .init(
        name: "net1", mac: "02:00:00:00:00:01", mtu: 9000, addresses: ["192.0.2.7/32"],
        routes: [
            .init(to: "169.254.1.1/32"), .init(to: "198.51.100.0/24", via: "169.254.1.1"),
            .init(to: "203.0.113.0/24", via: "192.0.2.1", onLink: true), .init(to: "233.252.0.0/24"),
        ], pciAddress: "0000:02:00.0", tags: ["core/n3", "net1"], isTrusted: true),
    .init(name: "net2", mac: "02:00:00:00:00:02", tags: ["core/l2", "net2"]),
    .init(
        name: "net3", mac: "02:00:00:00:00:03", addresses: ["198.18.0.5/15", "198.18.0.6/15", "2001:db8::5/61"],
        routes: [
            .init(to: "0.0.0.0/0", via: "198.18.0.1"), .init(to: "::/0", via: "2001:db8::1", metric: 4096),
            .init(to: "2001:db8:8000::/33", via: "fe80::1"),
        ], pciAddress: "0000:04:00.0", tags: ["core/backup", "net3"], vlan: 7, isUp: false),
])

let awkward = [
    "PATH=/bin:/usr/bin", "EMPTY=", "QUOTES=a \"b\" 'c' `d` $e \\f", "LINES=first\nsecond\r\n\tthird\n",
    "UNICODE=åäö 🚢 \u{feff}\u{85}", "EQUALS=a=b=\u{301}c", "DASH=-n", "dotted.name=\"x", "odd\nname=y",
    "HEREDOC=EOF\nEOF\n'\n", "PERCENT=%s%n",
]

@Suite struct SeedTests {
    @Test(arguments: CloudInitSeed.File.allCases, SeedKind.allCases)
    func golden(file: CloudInitSeed.File, kind: SeedKind) throws {
        let seed = try CloudInitSeed(
            kind, identity: identity, network: network,
            machine: GuestMachine(
                vcpus: 4, threadsPerCore: 2, isPinned: true, realtime: "2-3", pageSize: 1 << 30,
                cells: [
                    GuestMachine.Cell(vcpus: "0-1", memory: 2 << 30), GuestMachine.Cell(vcpus: "2-3", memory: 1 << 30),
                ]),
            environment: awkward, command: ["/bin/upf", "--name", "it's \"1\"\n"])
        let directory = #filePath.split(separator: "/").dropLast().joined(separator: "/")
        let path = "/\(directory)/Golden/\(kind.name(file))"
        if getenv("SLIPWAY_WRITE_GOLDEN") != nil {
            try File.replace(path, with: seed.files[file] ?? [], mode: 0o644)
        }
        #expect(try String(decoding: seed.files[file] ?? [], as: UTF8.self) == File.text(path))
    }

    @Test func overridesStandByteByByte() throws {
        let bytes: [UInt8] = [0, 0xff, 13, 10]
        let seed = try CloudInitSeed(identity: identity, network: network, overrides: [.userData: bytes])
        #expect(seed.files[.userData] == bytes)
        #expect(seed.files[.vendorData]?.isEmpty == false)
        let plain = try CloudInitSeed(identity: identity, network: network)
        #expect(plain.files[.userData] == Array("#cloud-config\n".utf8))
    }

    @Test func refused() throws {
        #expect(throws: GuestConfigurationError.nul(field: "process.env[1]")) {
            try CloudInitSeed(identity: identity, network: network, environment: ["A=b", "B=\0"])
        }
        #expect(throws: GuestConfigurationError.environment(index: 0)) {
            try CloudInitSeed(identity: identity, network: network, environment: ["=b"])
        }
        #expect(throws: GuestConfigurationError.environment(index: 0)) {
            try CloudInitSeed(identity: identity, network: network, environment: ["b"])
        }
        #expect(throws: GuestConfigurationError.nul(field: "process.args[0]")) {
            try CloudInitSeed(identity: identity, network: network, command: ["\0"])
        }
        var other = identity
        other.hostname = "a\0"
        #expect(throws: GuestConfigurationError.nul(field: "hostname")) {
            try CloudInitSeed(identity: other, network: network)
        }
    }

    /// The boot hook, run by a real shell, leaves files that a real shell reads back to the same values.
    @Test func environmentSurvivesTheShell() throws {
        let directory = try TemporaryDirectory()
        let seed = try CloudInitSeed(
            identity: identity, network: network, environment: awkward, command: ["a b", "it's\n", "åäö"])
        let script = String(decoding: seed.files[.vendorData] ?? [], as: UTF8.self)
        let moved = script.split(separator: "/etc/slipway", omittingEmptySubsequences: false)
            .joined(separator: "\(directory.path)/slipway")
        try directory.write("hook", moved.utf8)
        try run("/bin/sh", "\(directory.path)/hook")
        let back = try run(
            "/bin/sh", "-ec", "set -a; . \"$0\"; exec /usr/bin/env -0", "\(directory.path)/slipway/environment")
        let values = Set(back.split(separator: "\0").map { Array($0.utf8) })
        for entry in awkward where !entry.hasPrefix("dotted") && !entry.hasPrefix("odd") {
            #expect(values.contains(Array(entry.utf8)), "\(entry)")
        }
        #expect(!back.contains("dotted"))
        let command = try run(
            "/usr/bin/python3", "-c", "import json, sys; print(ascii(json.load(open(sys.argv[1]))))",
            "\(directory.path)/slipway/command")
        #expect(command == "['a b', \"it's\\n\", '\\xe5\\xe4\\xf6']\n")
        let mode = try run("/usr/bin/stat", "-c", "%a", "\(directory.path)/slipway/environment")
        #expect(mode == "600\n")
    }

    /// Whatever text stands in the metadata, PyYAML (which cloud-init reads with) reads it back to the same text.
    @Test func yamlReadsBack() throws {
        var scalars: [Unicode.Scalar] = (1...0x2ff).compactMap(Unicode.Scalar.init)
        scalars += [
            "\u{2028}", "\u{2029}", "\u{feff}", "\u{fffe}", "\u{ffff}", "\u{fffd}", "\u{d7ff}", "\u{e000}",
            "\u{1f6a2}", "\u{10ffff}",
        ]
        let text = scalars.reduce(into: "") { $0.unicodeScalars.append($1) }
        let seed = try CloudInitSeed(
            identity: GuestIdentity(hostname: "yes", instanceID: "0x10", namespace: text, name: "~"),
            network: network)
        let directory = try TemporaryDirectory()
        try directory.write("meta-data", seed.files[.metaData] ?? [])
        let read = try run(
            "/usr/bin/python3", "-c",
            """
            import sys, yaml
            value = yaml.safe_load(open(sys.argv[1], "rb").read())
            assert value["local-hostname"] == "yes" and value["instance-id"] == "0x10"
            assert value["slipway"]["pod"] == "~"
            print(" ".join(str(ord(c)) for c in value["slipway"]["namespace"]))
            """, "\(directory.path)/meta-data")
        #expect(read == scalars.map { String($0.value) }.joined(separator: " ") + "\n")
    }

    /// cloud-init's own code reads the network-config and renders it for each kind of guest.
    @Test(arguments: ["netplan", "networkd", "sysconfig", "network-manager", "eni"])
    func cloudInitRenders(kind: String) throws {
        let directory = try TemporaryDirectory()
        let seed = try CloudInitSeed(identity: identity, network: network)
        try directory.write("network-config", seed.files[.networkConfig] ?? [])
        try File.makeDirectory("\(directory.path)/out")
        let rendered = try run(
            "/usr/bin/python3", "-c",
            """
            import os, sys, yaml
            from cloudinit.distros import rhel
            from cloudinit.net import network_state, renderers
            config = yaml.safe_load(open(sys.argv[1] + "/network-config"))
            renderer = renderers.NAME_TO_RENDERER[sys.argv[2]]
            settings = rhel.Distro.renderer_configs["sysconfig"] if sys.argv[2] == "sysconfig" else {}
            renderer = getattr(renderer, "Renderer")(settings)
            try:
                state = network_state.parse_net_config_data(config, renderer=renderer)
            except TypeError:
                state = network_state.parse_net_config_data(config)
            renderer.render_network_state(state, target=sys.argv[1] + "/out")
            for root, _, names in os.walk(sys.argv[1] + "/out"):
                for name in sorted(names):
                    print("##", name)
                    print(open(os.path.join(root, name)).read())
            """, directory.path, kind)
        if getenv("SLIPWAY_SHOW") != nil { print(rendered) }
        let lower = rendered.lowercased()
        for expected in [
            "10.244.1.5", "fd00:10:244:1::5", "10.244.1.1", "192.0.2.7", "169.254.1.1", "10.96.0.10", "233.252.0.0",
        ] {
            #expect(lower.contains(expected), "\(kind) lost \(expected): \(rendered)")
        }
        #expect(lower.contains("0a:58:0a:f4:01:05") || kind == "eni", "\(rendered)")
        // A default route in each family, and none that became something else on the way.
        #expect(lower.contains("fd00:10:244:1::1") && !lower.contains("=::/64"), "\(rendered)")
        #expect(!lower.contains("dhcp=yes") && !lower.contains("bootproto=dhcp"), "\(rendered)")
    }
}

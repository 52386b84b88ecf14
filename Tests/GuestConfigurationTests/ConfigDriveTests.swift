import Glibc
import GuestConfiguration
import LinuxSystem
import Testing

/// The files of an OpenStack config drive, read by cloud-init's own code.
@Suite struct ConfigDriveTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// Writes the image and takes its files out again, below `drive`.
    private func drive(_ seed: CloudInitSeed) throws {
        let image = "\(directory.path)/seed.iso"
        try seed.writeImage(to: image)
        try run("/usr/bin/xorriso", "-osirrox", "on", "-indev", image, "-extract", "/", "\(directory.path)/drive")
        try run("/bin/chmod", "-R", "u+rwX", "\(directory.path)/drive")
    }

    private func python(_ script: String, _ arguments: String...) throws -> String {
        try directory.write("script", script.utf8)
        let (status, output) = try Spawn(
            "/usr/bin/python3", ["\(directory.path)/script", directory.path] + arguments
        ).run(milliseconds: 60_000, limit: 1 << 22)
        guard status == .exited(0) else { throw SystemError("\(script): \(output)", code: EIO) }
        return output
    }

    @Test func cloudInitReads() throws {
        let seed = try CloudInitSeed(
            .configDrive, identity: identity, network: network,
            machine: GuestMachine(
                vcpus: 2, threadsPerCore: 1, isPinned: true, realtime: "", pageSize: 4096,
                cells: [GuestMachine.Cell(vcpus: "0-1", memory: 1 << 30)]),
            environment: awkward, command: ["/bin/upf"], overrides: [.userData: Array("#!/bin/sh\n".utf8)])
        try drive(seed)
        let vendorData = try CloudInitSeed(
            identity: identity, network: network, environment: awkward, command: ["/bin/upf"]
        ).files[.vendorData]
        try directory.write("vendor-data", vendorData ?? [])
        let output = try python(
            """
            import json, sys
            from cloudinit import sources
            from cloudinit.sources.DataSourceConfigDrive import read_config_drive
            found = read_config_drive(sys.argv[1] + "/drive")
            assert found["version"] == 2
            data = found["metadata"]
            assert data["instance-id"] == data["uuid"] == "6f1c0c9e-51fb-4ad5-8f44-0a9f5f1c0d11", data
            assert data["local-hostname"] == data["name"] == "upf-0", data
            assert data["dedicated_cpus"] == [0, 1] and data["project_id"] == "core", data
            assert data["slipway"]["machine"]["vcpus"] == 2, data
            assert found["userdata"] == b"#!/bin/sh\\n", found
            boothook = sources.convert_vendordata(found["vendordata"])
            assert boothook == open(sys.argv[1] + "/vendor-data", encoding="utf-8", newline="").read(), boothook
            print(json.dumps([[d["address"], d["mac"], d["tags"], d["vf_trusted"], d.get("vlan")]
                              for d in data["devices"]]))
            """)
        #expect(
            output == """
                [["0000:01:00.0", "0a:58:0a:f4:01:05", ["eth0"], false, null], \
                ["0000:02:00.0", "02:00:00:00:00:01", ["core/n3", "net1"], true, null], \
                ["none", "02:00:00:00:00:02", ["core/l2", "net2"], false, null], \
                ["0000:04:00.0", "02:00:00:00:00:03", ["core/backup", "net3"], false, 7]]

                """)
    }

    /// Both seeds say the same about the network: what is rendered of them has the same addresses, routes and servers.
    @Test(arguments: ["netplan", "networkd", "sysconfig", "network-manager", "eni"])
    func cloudInitRenders(kind: String) throws {
        try drive(try CloudInitSeed(.configDrive, identity: identity, network: network))
        try File.makeDirectory("\(directory.path)/out")
        let rendered = try python(
            """
            import json, os, sys, yaml
            from cloudinit.distros import rhel
            from cloudinit.net import network_state, renderers
            from cloudinit.sources.helpers import openstack
            data = json.load(open(sys.argv[1] + "/drive/openstack/latest/network_data.json"))
            macs = {link["ethernet_mac_address"]: "ens%d" % number for number, link in enumerate(data["links"])}
            config = openstack.convert_net_json(data, known_macs=macs)
            renderer = renderers.NAME_TO_RENDERER[sys.argv[2]]
            settings = rhel.Distro.renderer_configs["sysconfig"] if sys.argv[2] == "sysconfig" else {}
            state = network_state.parse_net_config_data(config)
            getattr(renderer, "Renderer")(settings).render_network_state(state, target=sys.argv[1] + "/out")
            for root, _, names in os.walk(sys.argv[1] + "/out"):
                for name in sorted(names):
                    print("##", name)
                    print(open(os.path.join(root, name)).read())
            """, kind)
        if getenv("SLIPWAY_SHOW") != nil { print(rendered) }
        let lower = rendered.lowercased()
        for expected in [
            "10.244.1.5", "fd00:10:244:1::5", "10.244.1.1", "fd00:10:244:1::1", "192.0.2.7", "169.254.1.1",
            "10.96.0.10", "203.0.113.0", "192.0.2.1", "233.252.0.0", "198.18.0.6", "2001:db8:8000::",
            "core.svc.cluster.local", "9000", "ens3",
        ] {
            #expect(lower.contains(expected), "\(kind) lost \(expected): \(rendered)")
        }
        #expect(!lower.contains("=::/64") && !lower.contains("dhcp=yes"), "\(rendered)")
        #expect(!lower.contains("bootproto=dhcp"), "\(rendered)")
    }
}

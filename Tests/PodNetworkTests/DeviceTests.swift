import Netlink
import Testing

@testable import PodNetwork

@Suite struct DeviceTests {
    func device(_ text: String) throws -> DeviceInformation { try DeviceInformation(Array(text.utf8), name: "file") }

    @Test func everyType() throws {
        #expect(
            try device(
                """
                {"type": "pci", "version": "1.1.0",
                 "pci": {"pci-address": "0000:3B:02.1", "pf-pci-address": "0000:3b:00.0", "representor-device": "eth3"}}
                """) == .pci(address: "0000:3b:02.1"))
        #expect(
            try device(
                """
                {"type": "vdpa", "version": "1.0.0", "vdpa": {"parent-device": "vdpa1", "driver": "vhost",
                 "path": "/dev/vhost-vdpa-1", "pci-address": "0000:65:00.3"}}
                """) == .vdpa(path: "/dev/vhost-vdpa-1", driver: .vhost, pciAddress: "0000:65:00.3"))
        #expect(
            try device(
                "{\"type\":\"vhost-user\",\"version\":\"1.1.0\",\"vhost-user\":{\"mode\":\"server\",\"path\":\"/a/s\"}}"
            )
                == .vhostUser(path: "/a/s", mode: .server))
        #expect(
            try device("{\"type\":\"memif\",\"memif\":{\"role\":\"master\",\"path\":\"/m\",\"mode\":\"ip\"}}")
                == .memif(path: "/m"))
    }

    @Test(arguments: [
        ("[]", ""), ("{}", "type"), ("{\"type\":\"rdma\"}", "device-info.type"),
        ("{\"type\":\"pci\"}", "device-info.pci"),
        ("{\"type\":\"pci\",\"pci\":{}}", "pci.pci-address"),
        ("{\"type\":\"pci\",\"pci\":{\"pci-address\":\"3b:02.1\"}}", "device-info.pci.pci-address"),
        ("{\"type\":\"pci\",\"pci\":{\"pci-address\":\"0000:3b:20.1\"}}", "device-info.pci.pci-address"),
        ("{\"type\":\"pci\",\"pci\":{\"pci-address\":\"0000:3b:02.8\"}}", "device-info.pci.pci-address"),
        ("{\"type\":\"pci\",\"pci\":{\"pci-address\":\"0000:3b:02.1/../x\"}}", "device-info.pci.pci-address"),
        ("{\"type\":\"pci\",\"version\":\"2.0.0\",\"pci\":{\"pci-address\":\"0000:3b:02.1\"}}", "device-info.version"),
        ("{\"type\":\"vhost-user\",\"vhost-user\":{\"mode\":\"x\",\"path\":\"/s\"}}", "device-info.vhost-user.mode"),
        (
            "{\"type\":\"vhost-user\",\"vhost-user\":{\"mode\":\"client\",\"path\":\"s\"}}",
            "device-info.vhost-user.path"
        ),
        (
            "{\"type\":\"vhost-user\",\"vhost-user\":{\"mode\":\"client\",\"path\":\"/a/../s\"}}",
            "device-info.vhost-user.path"
        ),
        ("{\"type\":\"vdpa\",\"vdpa\":{\"driver\":\"uio\",\"path\":\"/dev/x\"}}", "device-info.vdpa.driver"),
    ])
    func refusals(text: String, field: String) throws {
        let refusal = #expect(throws: AnnotationRefusal.self) { try device(text) }
        #expect(refusal?.annotation == "file" && refusal?.field == field, "\(refusal?.description ?? "none")")
    }

    @Test func fileNames() {
        #expect(
            DeviceInformation.fileName(resource: "intel.com/sriov", device: "0000:3b:02.1")
                == "intel.com-sriov-0000:3b:02.1-device.json")
        let sandbox = String(repeating: "5a", count: 32)
        let name = DeviceInformation.fileName(network: "ns/sriov-a", sandbox: sandbox, interface: "net_1")
        #expect(name == "ns-sriov-a-\(sandbox)_net_1")
        #expect(DeviceInformation.interface(ofFile: name, sandbox: sandbox) == "net_1")
        #expect(DeviceInformation.interface(ofFile: name, sandbox: String(sandbox.dropLast()) + "b") == nil)
        for text in ["", "-\(sandbox)_", "\(sandbox)_net1", "a-\(sandbox)_a/b", "a-\(sandbox)", "a-\(sandbox)_\(name)"]
        {
            #expect(DeviceInformation.interface(ofFile: text, sandbox: sandbox) == nil)
        }
        #expect(DeviceInformation.interface(ofFile: "a-_b", sandbox: "") == nil)
    }

    @Test func environment() {
        let environment = [
            "PATH=/bin", "PCIDEVICE_INTEL_COM_SRIOV=0000:03:02.1,0000:03:04.3", "PCIDEVICE_X_AUX=mlx5_core.sf.4",
            "PCIDEVICE_INTEL_COM_SRIOV_INFO={\"0000:03:02.1\":{\"generic\":{\"deviceID\":\"0000:03:02.1\"},"
                + "\"vfio\":{\"vfio-dev-mount\":\"/dev/vfio/169\"}},\"0000:03:04.3\":{}}",
            "OTHER=0000:03:02.1", "PCIDEVICE_NONE", "PCIDEVICE_UPPER=0000:AF:00.2",
        ]
        #expect(DeviceEnvironment.addresses(environment) == ["0000:03:02.1", "0000:03:04.3", "0000:af:00.2"])
        // The first function's guest address is the second one's on the host.
        let map = ["0000:03:02.1": "0000:03:04.3", "0000:03:04.3": "0000:00:0a.0", "0000:af:00.2": "0000:02:00.0"]
        #expect(
            DeviceEnvironment.rewriting(environment, map) == [
                "PATH=/bin", "PCIDEVICE_INTEL_COM_SRIOV=0000:03:04.3,0000:00:0a.0", "PCIDEVICE_X_AUX=mlx5_core.sf.4",
                "PCIDEVICE_INTEL_COM_SRIOV_INFO={\"0000:03:04.3\":{\"generic\":{\"deviceID\":\"0000:03:04.3\"},"
                    + "\"vfio\":{\"vfio-dev-mount\":\"/dev/vfio/169\"}},\"0000:00:0a.0\":{}}",
                "OTHER=0000:03:02.1", "PCIDEVICE_NONE", "PCIDEVICE_UPPER=0000:02:00.0",
            ])
        #expect(DeviceEnvironment.rewriting(environment, [:]) == environment)
        let near = ["PCIDEVICE_X=0000:03:02.10,10000:03:02.1,x0000:03:02.1"]
        #expect(DeviceEnvironment.rewriting(near, map) == near)
    }

    @Test func networkStatus() throws {
        let status = try NetworkStatus(
            """
            [{"name": "cbr0", "interface": "eth0", "ips": ["10.244.1.4"], "mac": "42:f0:71:5c:4b:2e", "mtu": 1450,
              "default": true, "dns": {}, "gateway": ["10.244.1.1"]},
             {"name": "ns/sriov", "interface": "net1", "ips": ["10.56.217.3/24", "fd00::3"], "mac": "CA:FE:C0:FF:EE:02",
              "gateway": ["<nil>", ""],
              "dns": {"nameservers": ["10.0.0.10", "x\\nsearch evil"], "domain": "a.b", "search": ["c.d"]},
              "device-info": {"type": "pci", "version": "1.1.0", "pci": {"pci-address": "0000:18:02.1"}}},
             {"name": "ns/none", "dns": {}}, {"name": "ns/ib", "interface": "ib0",
              "mac": "00:00:10:49:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:50:d9:f2"}]
            """)
        #expect(status.elements.map(\.interface) == ["eth0", "net1", nil, "ib0"])
        let first = try #require(status[interface: "eth0"])
        #expect(first.result.addresses.map(\.description) == ["10.244.1.4/32"] && first.result.mtu == 1450)
        let gateway = try ipAddress("10.244.1.1")
        #expect(first.result.routes == [RoutePlan(.everything(.v4), via: gateway)])
        let second = try #require(status[interface: "net1"])
        #expect(second.network == "ns/sriov" && second.device == .pci(address: "0000:18:02.1"))
        #expect(second.result.mac?.description == "ca:fe:c0:ff:ee:02" && second.result.routes.isEmpty)
        #expect(second.result.dns.nameservers.map(\.description) == ["10.0.0.10"])
        #expect(second.result.dns.search == ["c.d"])
        #expect(status[interface: "ib0"]?.result.mac == nil)
    }

    @Test(arguments: [
        ("{}", "", ""), ("[{\"name\":\"a\",\"mtu\":-1}]", "", ""),
        ("[{\"name\":\"a\",\"mtu\":\"x\"}]", "element 1", "mtu"),
        ("[{\"name\":\"a\"},{\"name\":\"a\",\"ips\":[\"x\"]}]", "element 2", "ips"),
        ("[{\"name\":\"a\",\"mac\":\"x\"}]", "element 1", "mac"),
        ("[{\"name\":\"a\",\"gateway\":[\"x\"]}]", "element 1", "gateway"),
        ("[{\"name\":\"a\",\"interface\":\"a/b\"}]", "element 1", "interface"),
        ("[{\"name\":\"a\",\"device-info\":{\"type\":\"magic\"}}]", "element 1", "device-info.type"),
        ("[{\"name\":\"a\",\"device-info\":{}}]", "element 1", "device-info.type"),
    ])
    func statusRefusals(text: String, element: String, field: String) throws {
        let refusal = #expect(throws: AnnotationRefusal.self) { try NetworkStatus(text) }
        #expect(refusal?.element == element && refusal?.field == field, "\(refusal?.description ?? "none")")
    }
}

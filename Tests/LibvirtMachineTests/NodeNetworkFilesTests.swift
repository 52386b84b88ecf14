import CNI
import LinuxSystem
import Netlink
import PodNetwork
import TestSupport
import Testing

@testable import LibvirtMachine

struct NodeNetworkFilesTests {
    private let directory: TemporaryDirectory
    private let files: NodeNetworkFiles

    init() throws {
        directory = try TemporaryDirectory()
        files = NodeNetworkFiles(
            devices: directory("devices"),
            progress: AttachmentProgress(
                attachments: Attachments(directory: directory("attachments")),
                results: ResultCache(directory("results")),
                sandbox: "abc"))
    }

    private func write(_ path: String, for name: String) throws {
        try directory.write(
            "devices/\(name)", #"{"type": "vhost-user", "vhost-user": {"mode": "client", "path": "\#(path)"}}"#)
    }

    @Test func whatIsThereNowCounts() throws {
        var request = NetworkRequest()
        #expect(files.complete(&request) == [])
        #expect(request == NetworkRequest())
        try write("/run/a", for: "lan-abc_net1")
        try write("/run/b", for: "lan-other_net2")
        try directory.write("results/lan-abc-net1", #"{"cniVersion": "1.0.0", "ips": [{"address": "10.5.0.9/24"}]}"#)
        #expect(files.complete(&request) == [])
        #expect(request.devices == ["net1": .vhostUser(path: "/run/a", mode: .client)])
        #expect(request.results["net1"]?.addresses.map { "\($0)" } == ["10.5.0.9/24"])
        #expect(files.progress.isComplete("net1") == true && files.progress.isComplete("net2") == nil)
        try File.remove(directory("devices/lan-abc_net1"))
        #expect(files.complete(&request) == [])
        #expect(request == NetworkRequest())
    }

    @Test func whatWasAttachedByHandHasItsResultInItsRecord() throws {
        try directory.write(
            "bin/fake",
            """
            #!/bin/sh
            [ $CNI_COMMAND != ADD ] || echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.5.0.9/24"}],
                "interfaces": [{"name": "net1", "mac": "0a:58:0a:05:00:09", "sandbox": "/n"}]}'
            """, mode: 0o755)
        let network = try NetworkConfiguration(
            parsing: Array(#"{"cniVersion": "1.0.0", "name": "lan", "type": "fake"}"#.utf8), source: "lan.conf")
        _ = try files.progress.attachments.attach(
            network, PluginArguments(container: "abc", namespace: "/n", interface: "net1"),
            by: PluginRunner(path: [directory("bin")]))
        try write("/run/a", for: "lan-abc_net1")
        var request = NetworkRequest()
        #expect(files.complete(&request) == [])
        #expect(request.results["net1"]?.mac == MACAddress("0a:58:0a:05:00:09"))
        #expect(files.progress.isComplete("net1") == true)
        try files.progress.attachments.detach("net1", namespace: nil)
        #expect(files.progress.isComplete("net1") == nil)
    }

    @Test func aFileThatCannotBeUsedIsSaid() throws {
        try directory.write("devices/lan-abc_net1", #"{"type": "rdma"}"#)
        try write("/run/b", for: "lan-abc_net2")
        try directory.write("results/lan-abc-net2", "{")
        var request = NetworkRequest()
        let problems = files.complete(&request)
        #expect(problems.map(\.link) == ["net1", "net2"])
        let said = problems.first?.description
        #expect(
            said == "the device information of interface net1 is left out: \(directory("devices/lan-abc_net1")), "
                + "device-info.type: found \"rdma\"; accepted: pci, vdpa, vhost-user, memif")
        #expect(request.devices.keys.sorted() == ["net2"] && request.results.isEmpty)
    }
}

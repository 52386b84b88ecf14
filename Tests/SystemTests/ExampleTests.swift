import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import TestSupport
import Testing

/// Every example's pod.yaml, played by the `slipway` command as a reader of the README would.
@Suite(.serialized, .timeLimit(.minutes(15))) struct ExampleTests {
    private static let root = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }

    @Test func tinyVNF() async throws {
        let before = Node.remains()
        _ = try Node.slipway(
            "run", "-f", "\(Self.root)/examples/tiny-vnf/pod.yaml", "--wait-ready", "tiny-vnf: ready",
            milliseconds: 120_000)
        #expect(try Node.slipway("ps").contains("tiny-vnf"))
        #expect(try Node.slipway("logs", "tiny-vnf").contains("SeaBIOS"))
        let xml = try Node.slipway("plan", "-f", "\(Self.root)/examples/tiny-vnf/pod.yaml", "-o", "xml")
        #expect(xml.contains("<domain type="))
        _ = try Node.slipway("rm", "tiny-vnf")
        await Node.expectNothingLeft(since: before)
    }

    /// A distribution with real cloud-init: its user-data comes from the ConfigMap in the pod's file, on either kind of
    /// seed.
    @Test(arguments: [("nocloud", "DataSourceNoCloud"), ("configdrive", "DataSourceConfigDrive")])
    func debianVNF(seed: String, source: String) async throws {
        let before = Node.remains()
        let text = try File.text("\(Self.root)/examples/debian-vnf/pod.yaml")
        let labels = try #require(text.firstRange(of: "  labels:\n"))
        let pod = "\(try Node.directory)/debian-vnf-\(seed).yaml"
        let annotations = "  annotations: {slipway.dev/cloud-init: \(seed)}\n"
        try File.replace(pod, with: Array((text[..<labels.lowerBound] + annotations + text[labels.lowerBound...]).utf8))
        defer { try? File.remove(pod) }
        // cloud-init's last line on the console names where it has found the seed.
        _ = try Node.slipway(
            "run", "-f", pod, "--timeout", "600", "--wait-ready", "Datasource \(source)", milliseconds: 660_000)
        let row = try Node.slipway("ps", "-o", "json")
        let address = row.firstRange(of: "\"ip\" : \"").map { row[$0.upperBound...].prefix { $0 != "\"" } } ?? ""
        let served = try await eventually(within: .seconds(60)) {
            try Spawn("/usr/bin/curl", ["-sf", "-m", "5", "http://\(address)/"]).run().status == .exited(0)
        }
        #expect(served, "what runcmd of the user-data starts answers at \(address)")
        _ = try Node.slipway("rm", "debian-vnf", milliseconds: 120_000)
        await Node.expectNothingLeft(since: before)
    }
}

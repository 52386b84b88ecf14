import ArgumentParser
import CRIProtocol
import FoundationEssentials
import PodManifest
import SwiftProtobuf
import Testing

@testable import SlipwayCommand

@Suite struct RenderingTests {
    private let rows = [
        PodRow(
            name: "tiny", namespace: "default", id: "0123456789abcdef", uid: "u", state: "running", ip: "10.0.0.2",
            additionalIPs: [], runtime: "slipway-hp", cpuMillis: 1500, memoryBytes: 512 << 20,
            hugePages: ["hugepages-1GB": 4 << 30], createdAt: 1, ageSeconds: 61,
            containers: [
                .init(id: "c", name: "vnf", image: "i:1", state: "exited", exitCode: 70, reason: "Error", attempt: 0)
            ]),
        PodRow(
            name: "a-longer-name", namespace: "x", id: "f", uid: "u", state: "starting", ip: nil, additionalIPs: [],
            runtime: "", cpuMillis: nil, memoryBytes: nil, hugePages: [:], createdAt: 1, ageSeconds: 90_000,
            containers: []),
    ]

    @Test func tables() throws {
        #expect(
            try Rendering.text(rows, as: .table) == """
                NAME            NAMESPACE   STATE      IP         RUNTIME      CPU     MEMORY           AGE    POD ID
                tiny            default     running    10.0.0.2   slipway-hp   1500m   512Mi+4Gi(1GB)   61s    0123456789abc
                a-longer-name   x           starting   -          -            -       -                1d1h   f
                """)
        let wide = try Rendering.text(rows, as: .wide).split(separator: "\n")
        #expect(wide[1].hasSuffix("0123456789abc   vnf=exited(70)   i:1"))
        #expect(PodRow.columns.count == rows[0].cells.count)
    }

    @Test func jsonIsAnArrayAlsoWithoutPods() throws {
        let text = try Rendering.text(rows, as: .json)
        let decoded = try JSONDecoder().decode([Part].self, from: Data(text.utf8))
        #expect(decoded == [Part(name: "tiny", ip: "10.0.0.2", memoryBytes: 512 << 20), Part(name: "a-longer-name")])
        let none = try JSONDecoder().decode([Part].self, from: Data(Rendering.text([PodRow](), as: .json).utf8))
        #expect(none.isEmpty)
    }

    private struct Part: Decodable, Equatable {
        var name: String
        var ip: String?
        var memoryBytes: Int64?
    }

    @Test(
        arguments: [
            (-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m0s"), (600, "10m"), (7200, "2h"), (86_400, "1d0h"),
            (172_800, "2d"),
        ] as [(Int64, String)])
    func ages(seconds: Int64, text: String) {
        #expect(Rendering.age(seconds: seconds) == text)
    }

    @Test func whatWasAskedIsReadFromTheVerboseStatus() {
        let json = """
            {"pid":1,"config":{"linux":{"resources":{"cpu_period":100000,"cpu_quota":150000,
            "memory_limit_in_bytes":536870912,"hugepage_limits":[{"page_size":"2MB"},{"page_size":"1GB","limit":5}]}}}}
            """
        let asked = AskedResources(.with { $0.info = ["info": json] })
        #expect(asked.cpuMillis == 1500 && asked.memoryBytes == 512 << 20 && asked.hugePages == ["hugepages-1GB": 5])
        #expect(AskedResources(.with { $0.info = ["info": "[]"] }) == AskedResources())
        #expect((asked + asked).hugePages == ["hugepages-1GB": 10])
    }

    @Test func exitCodesAreAllExplained() {
        for status in ExitStatus.allCases { #expect(ExitStatus.table.contains("\(status.rawValue)  ")) }
        for code in CRIError.Code.allCases where code != .cancelled {
            let failure = CommandFailure(CRIError(.version, code, "words"))
            #expect(failure?.status != .ok && failure?.description.contains("words") == true)
        }
        #expect(CommandFailure(CRIError(.version, .unavailable, ""))?.status == .unreachable)
        #expect(CommandFailure(CRIError(.runPodSandbox, .invalidArgument, ""))?.status == .refused)
    }

    @Test func everyVerbParsesAndHasExamples() throws {
        for command in Slipway.configuration.subcommands {
            #expect(command.configuration.discussion.contains("EXAMPLES"), "\(command)")
        }
        _ = try Slipway.parseAsRoot(["run", "-f", "pod.yaml", "--pull", "never"])
        #expect(throws: (any Error).self) { try Slipway.parseAsRoot(["run"]) }
        #expect(throws: (any Error).self) { try Slipway.parseAsRoot(["rm", "--grace", "-1", "a"]) }
        #expect(throws: (any Error).self) { try Slipway.parseAsRoot(["console"]) }
    }

    @Test(arguments: [
        ("", false), ("{}", false),
        (#"{"containerd":{"runtimes":{"runc":{"options":{"SystemdCgroup":true}}}}}"#, true),
        (#"{"containerd":{"runtimes":{"runc":{"options":{"SystemdCgroup":false}},"x":{"options":null}}}}"#, false),
        (#"{"systemdCgroup":true}"#, true),
    ])
    func cgroupDriver(json: String, isSystemd: Bool) {
        #expect((CgroupDriverSetting.driver(configuration: json) == .systemd) == isSystemd)
    }
}

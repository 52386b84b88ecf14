import TestSupport
import Testing

@testable import PodNetwork

@Suite struct SettingsTests {
    @Test func everyField() throws {
        let settings = try InterfaceSettings.parse(
            """

              eth0:binding=masquerade ports=tcp/80,udp/53,sctp/36412
            net1: binding=macvtap queues=4 rx-ring=1024 tx-ring=256\tmtu=9000 link=down trust=true\r
             ; net2: binding=tap link=up trust=false; net-3: queues=256
            """)
        #expect(settings.keys.sorted() == ["eth0", "net-3", "net1", "net2"])
        var first = InterfaceSettings()
        first.binding = .masquerade
        first.ports = [.init(.tcp, 80), .init(.udp, 53), .init(.sctp, 36412)]
        #expect(settings["eth0"] == first)
        var second = InterfaceSettings()
        second.binding = .macvtap
        (second.queues, second.rxRing, second.txRing, second.mtu) = (4, 1024, 256, 9000)
        (second.isUp, second.isTrusted) = (false, true)
        #expect(settings["net1"] == second)
        #expect(settings["net-3"]?.queues == 256)
        #expect(try InterfaceSettings.parse("\n ; ;\n").isEmpty)
    }

    @Test func fieldsReadBack() throws {
        var random = SeededGenerator(3)
        for _ in 0..<300 {
            var settings = InterfaceSettings()
            settings.binding = [nil, .tap, .masquerade, .macvtap].randomElement(using: &random) ?? nil
            settings.queues = Bool.random(using: &random) ? Int.random(in: 1...256, using: &random) : nil
            settings.rxRing = [nil, 256, 512, 1024].randomElement(using: &random) ?? nil
            settings.txRing = [nil, 256, 512, 1024].randomElement(using: &random) ?? nil
            settings.mtu = Bool.random(using: &random) ? UInt32.random(in: 68...65535, using: &random) : nil
            settings.isUp = Bool.random(using: &random)
            settings.isTrusted = Bool.random(using: &random)
            if settings.binding == .masquerade {
                settings.ports = [.init(.tcp, .random(in: 1...65535, using: &random))]
            }
            let fields = settings.fields
            if fields.isEmpty {
                #expect(settings == InterfaceSettings())
                continue
            }
            #expect(try InterfaceSettings(fields: fields, element: "") == settings)
        }
    }

    @Test(arguments: [
        ("net1", "line 1", ""), ("queues=4", "line 1", ""), ("net1: queues=4\n: mtu=9000", "line 2", ""),
        ("a b: mtu=9000", "line 1", ""), ("net1:", "line 1 (net1)", ""), ("net1: quues=4", "line 1 (net1)", ""),
        ("net1: queues", "line 1 (net1)", ""), ("net1: queues=", "line 1 (net1)", "queues"),
        ("net1: queues=0", "line 1 (net1)", "queues"), ("net1: queues=257", "line 1 (net1)", "queues"),
        ("net1: queues=+4", "line 1 (net1)", "queues"),
        ("net1: queues=99999999999999999999", "line 1 (net1)", "queues"),
        ("net1: queues=4 queues=4", "line 1 (net1)", "queues"), ("net1: rx-ring=300", "line 1 (net1)", "rx-ring"),
        ("net1: tx-ring=2048", "line 1 (net1)", "tx-ring"), ("net1: mtu=67", "line 1 (net1)", "mtu"),
        ("net1: mtu=65536", "line 1 (net1)", "mtu"), ("net1: link=UP", "line 1 (net1)", "link"),
        ("net1: trust=yes", "line 1 (net1)", "trust"), ("net1: binding=bridge", "line 1 (net1)", "binding"),
        ("eth0: ports=tcp/80", "line 1 (eth0)", "ports"),
        ("eth0: binding=masquerade ports=tcp/0", "line 1 (eth0)", "ports"),
        ("eth0: binding=masquerade ports=tcp/80,", "line 1 (eth0)", "ports"),
        ("eth0: binding=masquerade ports=icmp/1", "line 1 (eth0)", "ports"),
        ("eth0: binding=masquerade ports=tcp/80,tcp/80", "line 1 (eth0)", "ports"),
        ("eth0: binding=masquerade ports=80", "line 1 (eth0)", "ports"),
        ("net1: mtu=9000;net2: mtu=9000\nnet1: queues=1", "line 3 (net1)", ""),
    ])
    func refusals(text: String, element: String, field: String) throws {
        let refusal = #expect(throws: AnnotationRefusal.self) { try InterfaceSettings.parse(text) }
        #expect(refusal?.element == element && refusal?.field == field, "\(refusal?.description ?? "none")")
    }

    @Test func message() throws {
        let refusal = #expect(throws: AnnotationRefusal.self) { try InterfaceSettings.parse("net1: rx-ring=300") }
        #expect(
            refusal?.description
                == "slipway.dev/interfaces, line 1 (net1), rx-ring: found \"300\"; accepted: 256, 512, 1024")
    }

    @Test func bounds() {
        let lines = (1...65).map { "net\($0): mtu=1500" }
        #expect(throws: AnnotationRefusal.self) { try InterfaceSettings.parse(lines.joined(separator: ";")) }
        #expect((try? InterfaceSettings.parse(lines.dropLast().joined(separator: ";")).count) == 64)
        #expect(throws: AnnotationRefusal.self) { try InterfaceSettings.parse(String(repeating: "\n", count: 1 << 15)) }
        let ports = (1...65).map { "tcp/\($0)" }.joined(separator: ",")
        #expect(throws: AnnotationRefusal.self) {
            try InterfaceSettings.parse("eth0: binding=masquerade ports=\(ports)")
        }
    }
}

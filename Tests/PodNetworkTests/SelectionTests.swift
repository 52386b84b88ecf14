import Netlink
import TestSupport
import Testing

@testable import PodNetwork

@Suite struct SelectionTests {
    func names(_ text: String) throws -> [String] {
        try NetworkSelection(text, namespace: "default").elements.map { "\($0.network)@\($0.interface)" }
    }

    @Test func shortForm() throws {
        #expect(try names("a") == ["default/a@net1"])
        #expect(try names(" ns/b@up0 , c ,other/d") == ["ns/b@up0", "default/c@net2", "other/d@net3"])
        #expect(try names("ns / a") == ["ns/a@net1"])
    }

    @Test func jsonForm() throws {
        let selection = try NetworkSelection(
            """
            [ {"name": "a", "unknown": {"x": [1, {"y": null}]}, "cni-args": {"k": {"deep": [true]}}},
              {"name": "b", "namespace": "ns", "interface": "data0", "mac": "0A-58-00-00-00-01",
               "ips": ["10.1.0.5/24", "fd00::5"], "default-route": ["10.1.0.1"], "deviceID": "0000:3b:02.1"},
              {"name": "c", "namespace": "", "interface": "", "mac": ""},
              {"name": "d", "interfaceRequest": "old0", "default-route": []} ]
            """, namespace: "default")
        #expect(selection.elements.map(\.interface) == ["net1", "data0", "net3", "old0"])
        #expect(selection.elements.map(\.network) == ["default/a", "ns/b", "default/c", "default/d"])
        let second = try #require(selection[interface: "data0"])
        #expect(second.mac?.description == "0a:58:00:00:00:01")
        #expect(second.addresses.map(\.description) == ["10.1.0.5/24", "fd00::5/128"])
        #expect(second.defaultRoutes?.map(\.description) == ["10.1.0.1"])
        #expect(second.deviceID == "0000:3b:02.1")
        #expect(selection.elements[0].defaultRoutes == nil && selection.elements[3].defaultRoutes == [])
        #expect(try NetworkSelection("[]", namespace: "default").elements.isEmpty)
    }

    @Test(arguments: [
        ("", "element 1", ""), ("a,,b", "element 2", ""), ("a/b/c", "element 1", ""), ("a,b@c@d", "element 2", ""),
        ("/a", "element 1", ""), ("a,B", "element 2", "name"), ("Ns/a", "element 1", "namespace"),
        ("-a", "element 1", "name"), ("a@sixteen-letters0", "element 1", "interface"),
        ("a@x:y", "element 1", "interface"),
        ("a@..", "element 1", "interface"), ("a@net2,b", "element 2", "interface"),
        ("{\"name\": \"a\"}", "", ""), ("[", "", ""), ("[null]", "element 1", ""), ("[{}]", "element 1", "name"),
        ("[{\"name\": 5}]", "element 1", "name"), ("[{\"name\":\"a\"},[]]", "element 2", ""),
        ("[{\"name\":\"a\",\"ips\":\"10.0.0.1\"}]", "element 1", "ips"),
        ("[{\"name\":\"a\",\"ips\":[\"10.0.0.1\",7]}]", "element 1", "ips.[1]"),
        ("[{\"name\":\"a\",\"ips\":[\"10.0.0.1/33\"]}]", "element 1", "ips"),
        ("[{\"name\":\"a\",\"mac\":\"01:00:5e:00:00:01\"}]", "element 1", "mac"),
        ("[{\"name\":\"a\",\"mac\":\"zz\"}]", "element 1", "mac"),
        ("[{\"name\":\"a\",\"default-route\":[\"gw\"]}]", "element 1", "default-route"),
        ("[{\"name\":\"a\",\"interface\":\"a b\"}]", "element 1", "interface"),
    ])
    func refusals(text: String, element: String, field: String) throws {
        let refusal = #expect(throws: AnnotationRefusal.self) { try NetworkSelection(text, namespace: "default") }
        #expect(refusal?.annotation == NetworkSelection.annotation)
        #expect(refusal?.element == element && refusal?.field == field, "\(refusal?.description ?? "none")")
    }

    @Test func bounds() throws {
        #expect(try names((1...64).map { "n\($0)" }.joined(separator: ",")).last == "default/n64@net64")
        let hostile = [
            (1...65).map { "n\($0)" }.joined(separator: ","), String(repeating: "a", count: 1 << 17),
            String(repeating: "[", count: 60_000), String(repeating: ",", count: 60_000),
            "[{\"name\":\"\(String(repeating: "a", count: 254))\"}]",
            "[{\"name\":\"a\",\"ips\":[\(Array(repeating: "\"10.0.0.1\"", count: 33).joined(separator: ","))]}]",
            "[{\"name\":\"a\u{0}\"}]", "a\u{301}", "[{\"name\":\"\\ud800\"}]",
        ]
        for text in hostile {
            let refusal = #expect(throws: AnnotationRefusal.self) { try NetworkSelection(text, namespace: "default") }
            #expect((refusal?.description.utf8.count ?? 0) < 400)
        }
    }

    /// Any text is read or refused.
    @Test func anyText() {
        var random = SeededGenerator(7)
        let pieces = [
            "[", "]", "{", "}", "\"", ":", ",", "name", "ips", "mac", "/", "@", "net1", "1", "-1e999", "null", " ",
            "\\u00",
            "é", "interface", "default-route", "\u{0}",
        ]
        for _ in 0..<3000 {
            let text = (0..<Int.random(in: 0...16, using: &random)).compactMap { _ in
                pieces.randomElement(using: &random)
            }
            .joined()
            _ = try? NetworkSelection(text, namespace: "default")
            _ = try? NetworkStatus(text)
            _ = try? InterfaceSettings.parse(text)
            _ = try? DeviceInformation(Array(text.utf8), name: "x")
            _ = DeviceEnvironment.rewriting(["PCIDEVICE_X=\(text)"], ["0000:00:00.0": "0000:01:00.0"])
        }
    }
}

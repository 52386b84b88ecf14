import CNI
import TestSupport
import Testing

@Suite struct ResultTests {
    private func decode(_ json: String, version: String? = nil) throws(ResultError) -> CNIResult {
        try CNIResult(parsing: Array(json.utf8), version: version)
    }

    /// The same attachment in the forms of all versions.
    @Test(arguments: [
        """
        {"cniVersion": "0.2.0", "ip4": {"ip": "10.1.0.5/16", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
         "ip6": {"ip": "fd00::5/64"}, "dns": {"nameservers": ["10.1.0.1"], "domain": "a.example"}}
        """,
        """
        {"cniVersion": "0.3.1", "ips": [{"version": "4", "address": "10.1.0.5/16", "gateway": "10.1.0.1"},
         {"version": "6", "address": "fd00::5/64", "gateway": ""}], "routes": [{"dst": "0.0.0.0/0"}],
         "dns": {"nameservers": ["10.1.0.1"], "domain": "a.example"}}
        """,
        """
        {"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.5/16", "gateway": "10.1.0.1"}, {"address": "fd00::5/64"}],
         "routes": [{"dst": "0.0.0.0/0", "gw": null}], "dns": {"nameservers": ["10.1.0.1"], "domain": "a.example"}}
        """,
    ])
    func allVersionsMeanTheSame(json: String) throws {
        #expect(
            try decode(json)
                == CNIResult(
                    addresses: [.init("10.1.0.5/16", gateway: "10.1.0.1"), .init("fd00::5/64")],
                    routes: [.init("0.0.0.0/0")], dns: .init(nameservers: ["10.1.0.1"], domain: "a.example")))
    }

    @Test func everyField() throws {
        let result = try decode(
            """
            {"cniVersion": "1.1.0",
             "interfaces": [{"name": "br0"}, {"name": "net1", "mac": "0a:58:0a:01:00:05", "mtu": 9000,
                "sandbox": "/run/netns/x", "pciID": "0000:3b:02.1", "socketPath": "/run/vpp/1.sock"}],
             "ips": [{"address": "10.1.0.5/16", "interface": 1}],
             "routes": [{"dst": "fd00:9::/48", "gw": "fd00::1", "mtu": 1400, "advmss": 1300, "priority": 7,
                "table": 100, "scope": 253}],
             "dns": {"search": ["a", "b"], "options": ["ndots:5"]}, "unknown": {}}
            """)
        #expect(
            result
                == CNIResult(
                    interfaces: [
                        .init(name: "br0"),
                        .init(
                            name: "net1", mac: "0a:58:0a:01:00:05", mtu: 9000, sandbox: "/run/netns/x",
                            pciID: "0000:3b:02.1", socketPath: "/run/vpp/1.sock"),
                    ],
                    addresses: [.init("10.1.0.5/16", interface: 1)],
                    routes: [
                        .init(
                            "fd00:9::/48", gateway: "fd00::1", mtu: 1400, advmss: 1300, priority: 7, table: 100,
                            scope: 253)
                    ], dns: .init(search: ["a", "b"], options: ["ndots:5"])))
    }

    @Test(arguments: [
        ("", "nothing was printed"),
        ("Segmentation fault\u{1b}[31m\n", #"byte 0: no value begins like this, in "Segmentation fault [31m""#),
        ("[]", "is an array; an object is accepted"),
        (#"{"cniVersion": "2.0.0"}"#, #"cniVersion: "2.0.0" was found; accepted are 0.1.0"#),
        (#"{"cniVersion": 1}"#, "cniVersion: 1 was found, a string is accepted"),
        (#"{"ips": [{"address": "10.1.0.5"}]}"#, #"ips[0].address: "10.1.0.5" was found"#),
        (#"{"ips": [{"address": "10.1.0.5/33"}]}"#, #"ips[0].address: "10.1.0.5/33" was found"#),
        (#"{"ips": [{"address": "10.1.0.5/99999999999999999999"}]}"#, "ips[0].address: "),
        (#"{"ips": [{"address": "x/1"}]}"#, "ips[0].address: "),
        (#"{"ips": [{}]}"#, "ips[0].address: is missing"),
        (#"{"ips": [{"address": "fd00::/64", "gateway": "none"}]}"#, #"ips[0].gateway: "none" was found"#),
        (#"{"ips": [{"address": "fd00::/64", "interface": 0}]}"#, "ips[0].interface: 0 was found; the result has 0"),
        (#"{"interfaces": [{"name": "a"}], "ips": [{"address": "fd00::/64", "interface": -1}]}"#, "ips[0].interface"),
        (#"{"interfaces": {}}"#, "interfaces: {} was found, an array is accepted"),
        (#"{"interfaces": [7]}"#, "interfaces[0]: 7 was found, an object is accepted"),
        (#"{"interfaces": [{"name": ["x"]}]}"#, #"interfaces[0].name: ["x"] was found, a string is accepted"#),
        (#"{"interfaces": [{"name": "x", "mtu": 1.5}]}"#, "interfaces[0].mtu: 1.5 was found, a whole number"),
        (#"{"interfaces": [{"name": "x", "mtu": 99999999999999999999}]}"#, "interfaces[0].mtu: "),
        (#"{"routes": [{"dst": "default"}]}"#, #"routes[0].dst: "default" was found"#),
        (#"{"dns": {"nameservers": [1]}}"#, "dns.nameservers[0]: 1 was found"),
    ])
    func liesAreRefusedByName(json: String, problem: String) throws {
        let error = #expect(throws: ResultError.self) { try decode(json, version: "1.0.0") }
        let description = try #require(error?.description)
        #expect(description.hasPrefix(problem), "\(description)")
    }

    @Test func countsAreBounded() throws {
        let one = #"{"name":"x"}"#
        func list(_ count: Int) -> String {
            #"{"interfaces": ["# + Array(repeating: one, count: count).joined(separator: ",") + "]}"
        }
        #expect(try decode(list(256), version: "1.0.0").interfaces.count == 256)
        #expect(throws: ResultError.self) { try decode(list(257), version: "1.0.0") }
    }

    @Test func theCacheOfOthersIsRead() throws {
        let directory = try TemporaryDirectory()
        let result = #"{"cniVersion": "0.3.1", "interfaces": [{"name": "net1", "mac": "0a:00:00:00:00:01"}]}"#
        try directory.write(
            "sriov-abc-net1",
            """
            {"kind": "cniCacheV1", "containerId": "abc", "config": "e30=", "ifName": "net1", "networkName": "sriov",
             "capabilityArgs": {"deviceID": "0000:3b:02.1", "x": null}, "result": \(result)}
            """)
        try directory.write("old-plain-abc-net2", #"{"ip4": {"ip": "10.1.0.5/16"}}"#)
        try directory.write("sriov-abcd-net1", "not asked for")
        try directory.write("garbage-abc-net3", "{")
        try directory.write("null-abc-net4", #"{"kind": "cniCacheV1", "result": null}"#)
        let cache = ResultCache(directory.path)

        let entry = try #require(try cache.entries(container: "abc", interface: "net1").first)
        #expect(entry.network == "sriov" && entry.capabilities["deviceID"] == .string("0000:3b:02.1"))
        #expect(
            try cache.result(container: "abc", interface: "net1")
                == CNIResult(interfaces: [.init(name: "net1", mac: "0a:00:00:00:00:01")]))
        #expect(try cache.entries(container: "abc", interface: "net2").map(\.network) == ["old-plain"])
        #expect(try cache.result(container: "abc", interface: "net2")?.addresses == [.init("10.1.0.5/16")])
        #expect(try cache.result(container: "abc", interface: "eth0") == nil)
        #expect(try cache.result(container: "../abc", interface: "net1") == nil)
        #expect(try cache.result(container: "abc", interface: "/net1") == nil)
        #expect(try ResultCache("/nowhere").result(container: "abc", interface: "net1") == nil)
        let garbage = #expect(throws: CNIError.self) { try cache.result(container: "abc", interface: "net3") }
        #expect(garbage?.description.hasPrefix("\(directory.path)/garbage-abc-net3: is no JSON") == true)
        #expect(throws: CNIError.self) { try cache.result(container: "abc", interface: "net4") }
    }
}

import CNI
import TestSupport
import Testing

@Suite struct ConfigurationTests {
    @Test func aListIsRead() throws {
        let list = try network(
            """
            {"cniVersion": "1.0.0", "name": "lan", "disableCheck": "TRUE", "other": 1, "plugins": [
                {"type": "bridge", "mtu": 9000},
                {"type": "tuning", "capabilities": {"mac": true, "x": false}}]}
            """)
        #expect(list.name == "lan" && list.version == .v1_0_0 && list.disablesCheck)
        #expect(list.plugins.map(\.type) == ["bridge", "tuning"])
        #expect(list.plugins[1].capabilities == ["mac"])
        #expect(try NetworkConfiguration(list.json, source: "again") == list)
    }

    @Test func aSinglePluginIsAListOfOne() throws {
        let single = try network(#"{"cniVersion": "0.3.1", "name": "x", "type": "ptp", "ipam": {}}"#)
        #expect(single.plugins.map(\.type) == ["ptp"] && single.version == .v0_3_1)
        #expect(try NetworkConfiguration(single.json, source: "again") == single)
        // A NetworkAttachmentDefinition's name stands for a missing one.
        #expect(try network(#"{"cniVersion": "0.4.0", "type": "ptp"}"#, name: "nad").name == "nad")
    }

    /// 1.1.0: the newest that both sides know.
    @Test func versionsAreNegotiated() throws {
        let list = try network(
            #"{"cniVersion": "0.4.0", "cniVersions": ["1.0.0", "9.9.9", "0.3.1"], "name": "x", "type": "ptp"}"#)
        #expect(list.version == .v1_0_0)
    }

    @Test(arguments: [
        ("[]", "is an array; an object is accepted"),
        ("{", "is no JSON: byte 1: a key is expected"),
        (#"{"cniVersion": "1.0.0", "type": "x"}"#, "name: is missing"),
        (#"{"cniVersion": "1.0.0", "name": "../x", "type": "x"}"#, #"name: "../x" was found"#),
        (#"{"name": "x", "type": "x"}"#, "cniVersion: is missing; accepted are 0.3.1, 0.4.0, 1.0.0, 1.1.0"),
        (#"{"cniVersion": "0.2.0", "name": "x", "type": "x"}"#, #"cniVersion: "0.2.0" was found; accepted are 0.3.1"#),
        (#"{"cniVersion": "1.0.0", "name": "x"}"#, "type: is missing"),
        (#"{"cniVersion": "1.0.0", "name": "x", "type": "../../bin/sh"}"#, #"type: "../../bin/sh" was found"#),
        (#"{"cniVersion": "1.0.0", "name": "x", "type": ".."}"#, #"type: ".." was found"#),
        (#"{"cniVersion": "1.0.0", "name": "x", "type": ""}"#, #"type: "" was found"#),
        (#"{"cniVersion": "1.0.0", "name": "x", "plugins": []}"#, "plugins: has 0 elements; 1 to 32 are accepted"),
        (#"{"cniVersion": "1.0.0", "name": "x", "plugins": 5}"#, "plugins: is a number; an array is accepted"),
        (#"{"cniVersion": "1.0.0", "name": "x", "plugins": [{"type": "a"}, 5]}"#, "plugins[1]: is a number"),
        (#"{"cniVersion": "1.0.0", "name": "x", "plugins": [{}]}"#, "plugins[0].type: is missing"),
        (#"{"cniVersion": "1.0.0", "name": "x", "type": "x", "disableCheck": 1}"#, "disableCheck: 1 was found"),
    ])
    func refusalsNameTheField(json: String, problem: String) throws {
        let error = #expect(throws: CNIError.self) { try network(json) }
        let description = try #require(error?.description)
        #expect(description.hasPrefix("lan.conflist: \(problem)"), "\(description)")
    }

    @Test func networksAreFoundInTheNodesDirectory() throws {
        let directory = try TemporaryDirectory()
        func write(_ file: String, _ name: String, _ type: String) throws {
            try directory.write(file, #"{"cniVersion": "1.0.0", "name": "\#(name)", "type": "\#(type)"}"#)
        }
        try write("10-a.conf", "lan", "single")
        try directory.write(
            "20-b.conflist", #"{"cniVersion": "1.0.0", "name": "lan", "plugins": [{"type": "list"}]}"#)
        try write("wan.conf", "outside", "ptp")
        try write("vlan.conf", "wan", "vlan")
        try directory.write("broken.conf", "{")
        try directory.write("note.txt", "no network")
        let networks = NetworkDirectory(directory.path)
        #expect(try networks.find("lan").plugins[0].type == "list", "lists come first, as in libcni")
        #expect(try networks.find("wan").plugins[0].type == "vlan", "a name wins over a file's")
        #expect(try networks.find("outside").plugins[0].type == "ptp")
        #expect(try networks.find("20-b").plugins[0].type == "list")
        #expect(try networks.find("20-b.conflist").plugins[0].type == "list")
        let broken = #expect(throws: CNIError.self) { try networks.find("broken") }
        #expect(broken?.description == "\(directory.path)/broken.conf: is no JSON: byte 1: a key is expected")
        let missing = #expect(throws: CNIError.self) { try networks.find("dmz") }
        #expect(
            missing?.description
                == "no network \"dmz\" in \(directory.path); there are lan, lan, broken.conf, which cannot be read, wan, "
                + "outside")
        #expect(throws: CNIError.noNetwork(name: "x", directory: "/nowhere", others: [])) {
            try NetworkDirectory("/nowhere").find("x")
        }
    }
}

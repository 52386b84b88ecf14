import CNI
import LinuxSystem
import TestSupport
import Testing

/// What plugins are given, byte by byte, as libcni 1.1 gives it.
@Suite(.timeLimit(.minutes(2))) struct ProtocolTests {
    private let plugins: FakePlugins

    init() throws {
        plugins = try FakePlugins()
        try plugins.add("one", result: #"{"cniVersion": "1.0.0"}"#)
    }

    private func environment(_ command: String, namespace: String = "/var/run/netns/x") -> String {
        """
        CNI_COMMAND=\(command)
        CNI_CONTAINERID=abc123
        CNI_NETNS=\(namespace)
        CNI_IFNAME=net1
        CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=router
        CNI_PATH=\(plugins.path)

        """
    }

    /// ADD, CHECK and DEL of a chain of two in every version.
    @Test(arguments: ["0.3.1", "0.4.0", "1.0.0", "1.1.0"])
    func aChain(version: String) throws {
        let address =
            version.hasPrefix("0")
            ? #"{"address":"10.1.0.5/16","gateway":"10.1.0.1","interface":0,"version":"4"}"#
            : #"{"address":"10.1.0.5/16","gateway":"10.1.0.1","interface":0}"#
        let mtu = version == "1.1.0" ? #""mtu":1500,"# : ""
        let first =
            #"{"cniVersion":"\#(version)","interfaces":[{\#(mtu)"name":"net1","sandbox":"/var/run/netns/x"}],"#
            + #""ips":[\#(address)]}"#
        let second = #"{"cniVersion":"\#(version)","dns":{"nameservers":["10.1.0.1"]},"routes":[{"dst":"::/0"}]}"#
        try plugins.add("one", result: first)
        try plugins.add("two", result: second)
        let list = try network(
            """
            {"cniVersion": "\(version)", "name": "lan", "plugins": [
                {"type": "one", "ipam": {"a": [1.50, null]}, "capabilities": {"mac": true, "ips": false}},
                {"type": "two", "name": "other", "cniVersion": "0.1.0", "capabilities": {"deviceID": true}}]}
            """)
        var given = arguments
        given.capabilities = [
            "mac": .string("0a:00:00:00:00:01"), "ips": .array([]), "CNIDeviceInfoFile": .string("/x"),
            "deviceID": .string("0000:3b:02.1"),
        ]

        func one(_ previous: String?) -> String {
            #"{"capabilities":{"ips":false,"mac":true},"cniVersion":"\#(version)","ipam":{"a":[1.50,null]},"name":"lan","#
                + (previous.map { #""prevResult":\#($0),"# } ?? "")
                + #""runtimeConfig":{"mac":"0a:00:00:00:00:01"},"type":"one"}"# + "\n"
        }
        func two(_ previous: String?) -> String {
            #"{"capabilities":{"deviceID":true},"cniVersion":"\#(version)","name":"lan","#
                + (previous.map { #""prevResult":\#($0),"# } ?? "")
                + #""runtimeConfig":{"deviceID":"0000:3b:02.1"},"type":"two"}"# + "\n"
        }

        let result = try plugins.runner().add(list, given)
        #expect(result.routes == [.init("::/0")] && result.dns.nameservers == ["10.1.0.1"])
        #expect(try plugins.calls() == environment("ADD") + one(nil) + environment("ADD") + two(first))

        if version == "0.3.1" {
            #expect(throws: CNIError.cannotCheck(network: "lan", version: .v0_3_1)) {
                try plugins.runner().check(list, given, result: result)
            }
        } else {
            try plugins.runner().check(list, given, result: result)
            #expect(try plugins.calls() == environment("CHECK") + one(second) + environment("CHECK") + two(second))
        }

        given.namespace = nil
        try plugins.runner().delete(list, given, result: result)
        // 0.3.1 has no prevResult at DEL.
        let previous = version == "0.3.1" ? nil : second
        #expect(
            try plugins.calls() == environment("DEL", namespace: "") + two(previous)
                + environment("DEL", namespace: "") + one(previous))
    }

    /// A plugin that speaks an older version than its list is understood, and the next one gets the list's.
    @Test func resultsAreConverted() throws {
        try plugins.add("one", result: #"{"cniVersion": "0.2.0", "ip4": {"ip": "10.1.0.5/16"}}"#)
        try plugins.add("two", result: #"{"ips": [{"address": "10.1.0.5/16"}]}"#)
        let result = try plugins.runner().add(try chain("1.0.0", "one", "two"), arguments)
        #expect(result == CNIResult(addresses: [.init("10.1.0.5/16")]))
        #expect(
            try plugins.calls().contains(#""prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.5/16"}]}"#))
    }

    @Test func checkIsNotAskedWhereTheNetworkForbidsIt() throws {
        let list = try network(
            #"{"cniVersion": "1.0.0", "name": "lan", "disableCheck": true, "plugins": [{"type": "one"}]}"#)
        try plugins.runner().check(list, arguments, result: CNIResult())
        #expect(try plugins.calls() == "")
    }

    @Test func pluginsAreLookedForInOrder() throws {
        let other = try FakePlugins()
        try other.add("one", "exit 7")
        try other.directory.write("two", "not executable")
        try File.makeDirectory(other.directory("three"), mode: 0o755)
        try plugins.add("two", result: #"{"cniVersion": "1.0.0"}"#)
        let runner = PluginRunner(path: ["/nowhere", other.path, plugins.path])
        #expect(throws: Never.self) { try runner.add(try chain("1.0.0", "two"), arguments) }
        #expect(throws: CNIError.self) { try runner.add(try chain("1.0.0", "one"), arguments) }
        _ = try plugins.calls()
        let missing = #expect(throws: CNIError.self) { try runner.add(try chain("1.0.0", "two", "three"), arguments) }
        #expect(
            missing?.description
                == "plugin three, ADD of net1 (lan): there is no executable file of this name in /nowhere or \(other.path)"
                + " or \(plugins.path); install it, or name its directory")
        #expect(try plugins.calls() == "", "what is missing is found before the first plugin is called")
    }

    @Test(arguments: [
        ("abc/../x", "net1", "x"), ("", "net1", "x"), ("abc", "", "x"), ("abc", "net/1", "x"), ("abc", "..", "x"),
        ("abc", "sixteencharacters", "x"), ("abc", "net 1", "x"), ("abc", "net1", "x;MAC=y"), ("abc", "net1", "x\ny"),
    ])
    func argumentsThatMeanSomethingElseAreRefused(container: String, interface: String, word: String) throws {
        let bad = PluginArguments(
            container: container, namespace: nil, interface: interface, values: [.init("K8S_POD_NAME", word)])
        #expect(throws: CNIError.self) { try plugins.runner().add(try chain("1.0.0", "one"), bad) }
        #expect(try plugins.calls() == "")
    }

    @Test func podsAreDescribedAsContainerRuntimesDo() {
        let pod = PluginArguments.pod(
            sandbox: "abc", namespace: "/n", interface: "net1", podName: "router", podNamespace: "edge", podUID: "u",
            mac: "0a:00:00:00:00:01", addresses: ["10.0.0.5/24", "fd00::5/64"])
        #expect(
            pod.values.map { "\($0.key)=\($0.value)" } == [
                "IgnoreUnknown=1", "K8S_POD_NAMESPACE=edge", "K8S_POD_NAME=router", "K8S_POD_INFRA_CONTAINER_ID=abc",
                "K8S_POD_UID=u", "MAC=0a:00:00:00:00:01", "IP=10.0.0.5/24",
            ])
        #expect(
            JSONValue.object(pod.capabilities).text
                == #"{"ips":["10.0.0.5/24","fd00::5/64"],"mac":"0a:00:00:00:00:01"}"#)
    }
}

import CNI
import Glibc
import LinuxSystem
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct AttachmentTests {
    private let plugins: FakePlugins
    private let directory: TemporaryDirectory
    private let attachments: Attachments
    private let result = CNIResult(
        interfaces: [.init(name: "net1", mtu: 1400, sandbox: "/x", pciID: "0000:3b:02.1")],
        addresses: [.init("10.1.0.5/16", interface: 0)])

    init() throws {
        plugins = try FakePlugins()
        directory = try TemporaryDirectory()
        attachments = Attachments(directory: directory("attachments"))
        try plugins.add(
            "good",
            result: """
                {"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.5/16", "interface": 0}],
                 "interfaces": [{"name": "net1", "mtu": 1400, "sandbox": "/x", "pciID": "0000:3b:02.1"}]}
                """)
    }

    @Test func theRecordIsEnoughToDetach() throws {
        var given = arguments
        given.capabilities = ["mac": .string("0a:00:00:00:00:01")]
        let list = try network(
            #"{"cniVersion": "1.0.0", "name": "lan", "type": "good", "capabilities": {"mac": true}, "x": [1.50]}"#)
        let made = try attachments.attach(list, given, by: plugins.runner())
        #expect(made.result == result)
        _ = try plugins.calls()

        var read = try #require(try attachments.read("net1"))
        #expect(attachments.interfaces == ["net1"])
        #expect(read.arguments.namespace == nil, "who deletes knows where the namespace is, if anywhere")
        read.arguments.namespace = given.namespace
        #expect(read == made)

        try attachments.check("net1", namespace: "/n")
        try attachments.detach("net1", namespace: nil)
        let calls = try plugins.calls()
        #expect(calls.contains("CNI_COMMAND=CHECK\nCNI_CONTAINERID=abc123\nCNI_NETNS=/n\nCNI_IFNAME=net1\n"))
        #expect(calls.contains("CNI_COMMAND=DEL\nCNI_CONTAINERID=abc123\nCNI_NETNS=\nCNI_IFNAME=net1\n"))
        #expect(calls.contains(#""runtimeConfig":{"mac":"0a:00:00:00:00:01"},"type":"good","x":[1.50]}"#))
        #expect(attachments.interfaces == [])
        #expect(try attachments.read("net1") == nil)
    }

    /// Plugins may leave it to whoever named the file.
    @Test func theFileAboutADeviceGoesWithTheAttachment() throws {
        let file = directory("device")
        try plugins.add("device", "echo {} >\(file)\n[ $CNI_COMMAND != ADD ] || echo '{\"cniVersion\": \"1.0.0\"}'")
        try plugins.add("broken", "[ $CNI_COMMAND != ADD ] || exit 1")
        var given = arguments
        given.deviceInformation = file
        _ = try attachments.attach(try chain("1.0.0", "device"), given, by: plugins.runner())
        #expect(File.exists(file))
        try attachments.detach("net1", namespace: nil)
        #expect(!File.exists(file))
        #expect(throws: CNIError.self) {
            try attachments.attach(try chain("1.0.0", "device", "broken"), given, by: plugins.runner())
        }
        #expect(!File.exists(file) && attachments.interfaces == [])
    }

    @Test func aNameIsTakenOnce() throws {
        let list = try chain("1.0.0", "good")
        _ = try attachments.attach(list, arguments, by: plugins.runner())
        let second = #expect(throws: CNIError.self) {
            try attachments.attach(list, arguments, by: plugins.runner())
        }
        #expect(
            second?.description == "net1: is attached to lan already; detach it first, or choose another name")
        #expect(attachments.interfaces == ["net1"])
        let missing = #expect(throws: CNIError.self) { try attachments.detach("net2", namespace: nil) }
        #expect(missing?.description == "net2: was not attached by hand; net1 was")
        for name in ["../x", "", "net1.lock/", "a/b"] {
            #expect(throws: CNIError.self) { try attachments.detach(name, namespace: nil) }
            #expect(try attachments.read(name) == nil)
        }
    }

    @Test func aFailedAttachLeavesNoRecord() throws {
        try plugins.add("bad", "[ $CNI_COMMAND = DEL ] || exit 1")
        #expect(throws: CNIError.self) {
            try attachments.attach(try chain("1.0.0", "good", "bad"), arguments, by: plugins.runner())
        }
        #expect(attachments.interfaces == [])
        #expect(try plugins.order() == ["good ADD", "bad ADD", "bad DEL", "good DEL"])
    }

    @Test func whatIsNotUndoneStaysListed() throws {
        try plugins.add("bad", #"echo "{\"code\": 7, \"msg\": \"no $CNI_COMMAND\"}"; exit 1"#)
        #expect(throws: CNIError.self) {
            try attachments.attach(try chain("1.0.0", "bad"), arguments, by: plugins.runner())
        }
        guard case .failed(let reason)? = try attachments.read("net1")?.phase else {
            Issue.record("the record says \(String(describing: try attachments.read("net1")))")
            return
        }
        #expect(reason.contains("no ADD (code 7)") && reason.contains("no DEL (code 7)"))
        #expect(throws: CNIError.self) { try attachments.check("net1", namespace: "/n") }
        #expect(throws: CNIError.self) { try attachments.detach("net1", namespace: nil) }
        #expect(attachments.interfaces == ["net1"], "for another try")
        try plugins.add("bad", "")
        try attachments.detach("net1", namespace: nil)
        #expect(attachments.interfaces == [])
    }

    /// kill -9 in the middle of ADD: the plugin ends with its caller, and the record leads to DEL.
    @Test func aKilledAttachIsDeleted() async throws {
        try plugins.add(
            "killer", "[ $CNI_COMMAND = ADD ] || exit 0\necho $$ >\(plugins.path)/pid; kill -9 $PPID; exec sleep 1000")
        let (path, state) = (plugins.path, directory("attachments"))
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, state = state as String] in
            let list = try NetworkConfiguration(
                parsing: Array(#"{"cniVersion": "1.0.0", "name": "lan", "type": "killer"}"#.utf8), source: "test")
            let arguments = PluginArguments(container: "abc123", namespace: "/n", interface: "net1")
            _ = try Attachments(directory: state).attach(list, arguments, by: PluginRunner(path: [path]))
        }
        let pid = try #require(Int32(try File.text(plugins.directory("pid")).dropLast()))
        if let plugin = try? LinuxSystem.Process(pid: pid) {
            #expect(try plugin.waitForEnd(milliseconds: 10_000), "the plugin outlives its caller")
        }
        #expect(try attachments.read("net1")?.phase == .adding)
        #expect(attachments.detachAll(namespace: nil, milliseconds: 10_000) == [])
        #expect(try plugins.order() == ["killer ADD", "killer DEL"])
        #expect(attachments.interfaces == [])
    }

    /// At the end of a pod one plugin that hangs takes neither time nor order from the others.
    @Test func theEndOfAPodIsBounded() throws {
        try plugins.add("hang", "[ $CNI_COMMAND = ADD ] && echo '{\"cniVersion\": \"1.0.0\"}' || exec sleep 1000")
        for (interface, list) in [
            ("net1", try chain("1.0.0", "good", "hang")), ("net2", try chain("1.0.0", "good")),
            ("net3", try chain("1.0.0", "hang")),
        ] {
            var given = arguments
            given.interface = interface
            _ = try attachments.attach(list, given, by: plugins.runner())
        }
        _ = try plugins.calls()
        let begin = Clock.milliseconds
        let problems = attachments.detachAll(namespace: nil, milliseconds: 2_000)
        let taken = Clock.milliseconds - begin
        #expect(taken < 3_000, "\(taken) ms")
        #expect(problems.count == 2)
        #expect(problems.allSatisfy { $0.contains("plugin hang, DEL of") && $0.contains("ms and was killed") })
        #expect(attachments.interfaces == ["net1", "net3"], "for another try")
        #expect(try plugins.order().filter { $0 == "good DEL" }.count >= 1)
    }

    /// An attachment in other hands is left to them.
    @Test func oneProcessAtATime() throws {
        _ = try attachments.attach(try chain("1.0.0", "good"), arguments, by: plugins.runner())
        let lock = try File.lock(directory("attachments/net1.lock"))
        #expect(
            attachments.detachAll(namespace: nil, milliseconds: 50) == [
                "detach net1: net1: another process is attaching or detaching it at this moment"
            ])
        lock.close()
        #expect(attachments.detachAll(namespace: nil, milliseconds: 10_000) == [])
    }

    /// The pod's directory goes while ADD runs: the attachment is deleted by whoever made it.
    @Test func aPodThatEndsMeanwhile() throws {
        try plugins.add(
            "slow",
            "[ $CNI_COMMAND = ADD ] || exit 0\nrm -r \(directory.path)/attachments\necho '{\"cniVersion\": \"1.0.0\"}'")
        let error = #expect(throws: CNIError.self) {
            try attachments.attach(try chain("1.0.0", "slow"), arguments, by: plugins.runner())
        }
        #expect(error?.description == "net1: the pod ended while it was attached")
        #expect(try plugins.order() == ["slow ADD", "slow DEL"])
    }

    @Test(arguments: ["", "{}", "[1]", #"{"version": 2}"#, #"{"version": 1, "container": "a", "interface": "b"}"#])
    func recordsThatAreNoneAreNamed(text: String) throws {
        try directory.write("attachments/net1.json", text)
        let error = #expect(throws: CNIError.self) { try attachments.read("net1") }
        #expect(error?.description.hasPrefix("\(directory.path)/attachments/net1.json: ") == true)
        #expect(attachments.detachAll(namespace: nil, milliseconds: 1000).count == 1)
    }
}

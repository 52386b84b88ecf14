import ArgumentParser
import CNI
import Foundation
import Glibc
import LinuxSystem
import Netlink
import PodNetwork
import StateDirectory
import TestSupport
import Testing

@testable import SlipwayCommand

@Suite(.timeLimit(.minutes(2))) struct NetTests {
    /// A sandbox whose process is the test's, in a namespace of its own.
    private struct Pod {
        let root: TemporaryDirectory
        let directory: StateDirectory
        let namespace: NetworkNamespace

        init(isRunning: Bool = true) async throws {
            root = try TemporaryDirectory()
            directory = StateDirectory(root: root.path, namespace: "k8s.io", sandbox: "abc123")
            let process = try Spawn("/bin/true").start()
            var spawn = Spawn("/bin/sleep", ["1000"])
            spawn.newNetworkNamespace = true
            spawn.diesWithParent = false
            let holder = try spawn.start()
            namespace = try NetworkNamespace(path: "/proc/\(holder.pid)/ns/net")
            try holder.signal(SIGKILL)
            _ = try holder.wait()
            var record = SandboxRecord(namespace: "k8s.io", id: "abc123", bundle: root("bundle"))
            record.podName = "router"
            record.podNamespace = "edge"
            record.podUID = "uid"
            record.networkNamespace = "/proc/\(getpid())/fd/\(namespace.descriptor.raw)"
            let own = try SandboxRecord.ProcessIdentity(pid: isRunning ? getpid() : process.pid)
            record.process = own
            record.machine = SandboxRecord.Machine(container: "c", containerName: "vnf", user: 7)
            _ = try process.wait()
            try File.makeDirectory(directory.path)
            try record.write(to: directory)
            try root.write(
                "bin/fake",
                """
                #!/bin/sh
                { echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS $CNI_ARGS"; cat; echo; } >>\(root.path)/calls
                [ $CNI_COMMAND != CHECK ] || [ ! -e \(root.path)/broken ] || { echo '{"code": 9, "msg": "broken"}'; exit 1; }
                [ $CNI_COMMAND != ADD ] || echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.5.0.9/24"}]}'
                """, mode: 0o755)
            try root.write("net.d/lan.conf", #"{"cniVersion": "1.0.0", "name": "lan", "type": "fake"}"#)
        }

        func status(_ nics: [InterfaceReport]) throws {
            try NetworkReport(interfaces: nics).write(to: directory.network)
        }

        func run(_ words: String...) async throws { try await run(words) }

        private func run(_ words: [String]) async throws {
            var all = ["net"] + words + ["--root", root.path]
            if words[0] == "attach" { all += ["--cni-conf-dir", root("net.d"), "--cni-bin-dir", root("bin")] }
            var command = try #require(try Slipway.parseAsRoot(all) as? any AsyncParsableCommand)
            try await command.run()
        }

        func failure(_ words: String...) async throws -> CommandFailure {
            do {
                try await run(words)
            } catch {
                return try #require(CommandFailure(error), "\(error)")
            }
            throw CommandFailure(.ok, "\(words) succeeded")
        }

        var calls: [String] {
            get throws { try File.text(root("calls")).split(separator: "\n").map(String.init) }
        }
    }

    private func nic(
        _ link: String, _ state: InterfaceReport.State, number: Int = 1
    ) throws -> InterfaceReport {
        let mac = try #require(MACAddress("0a:58:0a:05:00:09"))
        return InterfaceReport(
            link: link, number: number, binding: "tap", mac: mac, mtu: 1500,
            addresses: IPPrefix("10.5.0.9/24").map { [$0] } ?? [], state: state, guestAddress: "0000:05:00.0")
    }

    @Test func attachCheckListDetach() async throws {
        let pod = try await Pod()
        try pod.status([nic("net1", .up)])
        try await pod.run("attach", "router", "lan", "--mac", "0A:58:0a:05:00:09", "--ip", "10.5.0.9/24")
        let namespace = "/proc/\(getpid())/fd/\(pod.namespace.descriptor.raw)"
        #expect(
            try pod.calls == [
                "ADD abc123 net1 \(namespace) IgnoreUnknown=1;K8S_POD_NAMESPACE=edge;K8S_POD_NAME=router;"
                    + "K8S_POD_INFRA_CONTAINER_ID=abc123;K8S_POD_UID=uid;MAC=0a:58:0a:05:00:09;IP=10.5.0.9/24",
                #"{"cniVersion":"1.0.0","name":"lan","type":"fake"}"#,
            ])
        try await pod.run("ls", "router", "-o", "json")
        try await pod.run("check", "edge/router")
        try pod.root.write("broken", "")
        let broken = try await pod.failure("check", "abc")
        #expect(broken == CommandFailure(.failure, "plugin fake, CHECK of net1 (lan): broken (code 9)"))
        let taken = try await pod.failure("attach", "router", "lan", "--interface", "net1")
        #expect(taken.status == .usage)
        try pod.status([])
        try await pod.run("detach", "router", "net1")
        #expect(try pod.calls.filter { $0.hasPrefix("DEL abc123 net1 \(namespace) ") }.count == 1)
        #expect(Attachments(directory: pod.directory.attachments).interfaces == [])
        let missing = try await pod.failure("detach", "router", "net1")
        #expect(missing == CommandFailure(.failure, "net1: was not attached by hand, nor is any other"))
    }

    /// As Multus names it; the plugin takes it if its network says so.
    @Test func aPluginIsToldWhereToDescribeItsDevice() async throws {
        let pod = try await Pod()
        try pod.root.write(
            "net.d/switch.conf",
            #"{"cniVersion": "1.0.0", "name": "switch", "type": "fake", "capabilities": {"CNIDeviceInfoFile": true}}"#)
        try await pod.run("attach", "router", "switch", "--no-wait")
        let file = "/var/run/k8s.cni.cncf.io/devinfo/cni/switch-abc123_net1"
        let said = try #require(try pod.calls.last)
        #expect(said.contains(#""runtimeConfig":{"CNIDeviceInfoFile":"\#(file)"}"#), "\(said)")
    }

    /// What the sandbox says of the NIC decides how attach ends; the attachment stays.
    @Test func theGuestDecides() async throws {
        let pod = try await Pod()
        try pod.status([nic("net1", .failed(reason: "no root port is free")), nic("net2", .plugging, number: 2)])
        let refused = try await pod.failure("attach", "router", "lan")
        #expect(refused.status == .failure && refused.description.contains("no root port is free"), "\(refused)")
        let late = try await pod.failure("attach", "router", "lan", "--timeout", "0.1")
        #expect(late.status == .timedOut && late.description.hasPrefix("net2: the guest does not have it"), "\(late)")
        try await pod.run("attach", "router", "lan", "--no-wait")
        #expect(Attachments(directory: pod.directory.attachments).interfaces == ["net1", "net2", "net3"])
        let still = try await pod.failure("detach", "router", "net2", "--timeout", "0.1")
        #expect(still.status == .timedOut)

        let entry = try SandboxEntry.find("router", root: pod.root.path)
        let (rows, notes) = InterfaceRow.rows(try entry.status())
        #expect(
            try Rendering.text(rows, as: .table)
                == """
                NIC   LINK   NETWORK   BINDING   MAC                 MTU    ADDRESSES     STATE
                1     net1   lan       tap       0a:58:0a:05:00:09   1500   10.5.0.9/24   failed
                2     net2   -         tap       0a:58:0a:05:00:09   1500   10.5.0.9/24   plugging
                -     net3   lan       -         -                   -      -             attached
                """)
        #expect(notes == ["net1: no root port is free"])

        var named = try nic("net1", .up)
        (named.guestAddress, named.guestName, named.dropped) = ("0000:02:00.0", "enp2s0", 7)
        let wide = try Rendering.text(InterfaceRow.rows(NetworkReport(interfaces: [named])).rows, as: .wide)
        #expect(wide.contains("STATE   GUEST PCI      GUEST    DROPPED\n"), "\(wide)")
        #expect(wide.hasSuffix("up      0000:02:00.0   enp2s0   7"), "\(wide)")
    }

    private func function(_ link: String, _ address: String) throws -> InterfaceReport {
        var nic = try nic(link, .up)
        nic.binding = "hostdev \(address)"
        return nic
    }

    /// The plugins want the link of a function, which the guest has until it has let go.
    @Test func aFunctionLeavesTheGuestBeforeItsPluginsAreCalled() async throws {
        let pod = try await Pod()
        try pod.status([nic("net1", .up)])
        try await pod.run("attach", "router", "lan")
        try pod.status([try function("net1", "0000:3b:02.1")])
        try await pod.run("check", "router")
        #expect(try !pod.calls.contains { $0.hasPrefix("CHECK") })
        let late = try await pod.failure("detach", "router", "net1", "--timeout", "0.1")
        #expect(late.status == .timedOut && late.description.contains("has not let go"), "\(late)")
        try await pod.run("detach", "router", "net1", "--no-wait")
        #expect(pod.directory.releasedInterfaces == ["net1"])
        #expect(try !pod.calls.contains { $0.hasPrefix("DEL") })

        let released = Task {
            // As the sandbox does when the link is back.
            let isAsked = await eventually { pod.directory.releasedInterfaces == ["net1"] }
            #expect(isAsked)
            #expect(try !pod.calls.contains { $0.hasPrefix("DEL") })
            try pod.status([])
        }
        try await pod.run("detach", "router", "net1")
        try await released.value
        #expect(try pod.calls.contains { $0.hasPrefix("DEL") })
        #expect(pod.directory.releasedInterfaces == [])
    }

    /// One that is asked for by hand: Multus' words for the plugins, and no function that is not the pod's to have.
    @Test func aSpareFunctionIsGivenToTheNetwork() async throws {
        let pod = try await Pod()
        let (spare, driven, taken, absent) = ("0000:3b:02.1", "0000:3b:02.2", "0000:3b:02.3", "0000:3b:02.4")
        let variable = "PCIDEVICE_LAB=\([spare, driven, taken, absent].joined(separator: ","))"
        try pod.root.write("c/config.json", #"{"ociVersion": "1.0.2", "process": {"env": ["\#(variable)"]}}"#)
        try pod.root.write("sys/bus/pci/devices/\(spare)/net/ens1v1/mtu", "1500")
        try File.makeDirectory(pod.root("sys/bus/pci/devices/\(driven)"))
        #expect(symlink("../../drivers/vfio-pci", pod.root("sys/bus/pci/devices/\(driven)/driver")) == 0)
        try File.makeDirectory(pod.root("sys/bus/pci/devices/\(taken)"))
        let entry = try SandboxEntry.find("router", root: pod.root.path)
        func problem(_ text: String) -> String {
            do {
                return try SpareFunction(text, of: entry, sysfs: pod.root("sys")).address
            } catch {
                return "\(error)"
            }
        }
        #expect(problem("0000:3B:02.1") == spare)
        #expect(problem("ens1") == "--device ens1: a PCI address such as 0000:3b:02.1 is accepted")
        #expect(
            problem("0000:00:01.0").contains("is none of the PCI functions that the pod was given (PCIDEVICE_…): 0"))
        #expect(problem(driven).contains("is bound to vfio-pci"))
        #expect(problem(taken).contains("has no link in the node's network namespace"))
        #expect(problem(absent).hasSuffix("is not on this node"))

        let network = try NetworkSource.parse(
            Array(#"{"cniVersion": "1.0.0", "name": "wan", "type": "sriov", "capabilities": {"deviceID": true}}"#.utf8),
            nil, source: "wan.conf", directory: NetworkDirectory(pod.root("net.d")))
        let given = try network.giving(device: spare)
        #expect(given.plugins[0].members["deviceID"] == .string(spare))
        #expect(given.plugins[0].members["pciBusID"] == .string(spare) && given.name == "wan")
        let arguments = PluginArguments.pod(
            sandbox: "s", namespace: nil, interface: "net1", podName: "", podNamespace: "", podUID: "", device: spare)
        #expect(arguments.capabilities == ["deviceID": .string(spare)])
    }

    @Test func linksAreSet() async throws {
        let pod = try await Pod()
        try await pod.namespace.run { try RTNetlink().createVeth("net1", peer: "p1") }
        try await pod.run("set", "router", "net1", "--mtu", "1400", "--mac", "0a:58:0a:05:00:01", "--link", "up")
        let link = try #require(
            try await pod.namespace.run { try RTNetlink().links().first { $0.name == "net1" } })
        #expect(link.mtu == 1400 && link.mac == MACAddress("0a:58:0a:05:00:01") && link.flags.contains(.up))
        for name in ["lo", "net9"] {
            let failure = try await pod.failure("set", "router", name, "--mtu", "1400")
            #expect(failure.status == .notFound && failure.description.contains("it has "))
        }
    }

    /// Linux takes routes and IPv6 addresses off a link that is switched off; what the command has switched off comes back
    /// as it was, as CNI's bridge and its ptp leave a link.
    @Test(arguments: [
        """
        ip addr add 10.1.0.5/24 dev net1; ip addr add fd00:1::5/64 dev net1 nodad
        ip route add 198.51.100.0/24 via 10.1.0.1 metric 7; ip route add default via 10.1.0.1 table 1000
        ip -6 route add fd00:2::/64 via fd00:1::1
        """,
        """
        ip addr add 10.1.0.5/24 dev net1; ip route del 10.1.0.0/24 dev net1
        ip route add 10.1.0.1 dev net1; ip route add 10.1.0.0/24 via 10.1.0.1; ip route add 203.0.113.9 via inet6 fe80::1 dev net1
        ip addr add fd00:1::5/64 dev net1 nodad noprefixroute
        ip -6 route add fd00:1::1 dev net1; ip -6 route add fd00:1::/64 via fd00:1::1
        """,
    ]) func whatWasSwitchedOffComesBack(setUp: String) async throws {
        let pod = try await Pod()
        @Sendable func shell(_ script: String) async throws -> String {
            var spawn = Spawn("/bin/sh", ["-ec", script])
            spawn.networkNamespace = pod.namespace.descriptor
            let (status, output) = try spawn.run(milliseconds: 10_000)
            #expect(status == .exited(0), "\(script): \(output)")
            return output
        }
        let routes =
            "ip -o addr show dev net1 scope global; ip route show table all dev net1 type unicast;"
            + " ip -6 route show table all dev net1 type unicast | grep -v fe80"
        _ = try await shell(
            "ip link add net1 type veth peer name far; ip link set far up; ip link set net1 up\n" + setUp)
        let before = try await shell(routes)
        for _ in 0..<2 {
            try await pod.run("set", "router", "net1", "--link", "down")
            let off = try await shell("ip route show table all dev net1 type unicast; ip -6 addr show dev net1")
            #expect(off.isEmpty)
            // It is off already, which is nothing to note.
            try await pod.run("set", "router", "net1", "--link", "down")
            try await pod.run("set", "router", "net1", "--link", "up")
            #expect(try await shell(routes) == before)
            #expect(!File.exists(pod.directory.switchedOff("net1")))
        }
        // A link that was made anew meanwhile has what it was given then.
        try await pod.run("set", "router", "net1", "--link", "down")
        _ = try await shell("ip link delete net1; ip link add net1 type veth peer name far")
        try await pod.run("set", "router", "net1", "--link", "up")
        #expect(try await shell("ip route show table all dev net1 type unicast").isEmpty)
        #expect(!File.exists(pod.directory.switchedOff("net1")))
    }

    /// A pod that has ended: nothing is attached any more, but what is left can be detached, and goes with the rest.
    @Test func aPodThatHasEnded() async throws {
        let pod = try await Pod(isRunning: false)
        let failure = try await pod.failure("attach", "router", "lan")
        #expect(
            failure == CommandFailure(.failure, "pod edge/router has ended; its networks cannot be changed any more"))
        let list = try NetworkConfiguration(
            parsing: Array(#"{"cniVersion": "1.0.0", "name": "lan", "type": "fake"}"#.utf8), source: "test")
        _ = try Attachments(directory: pod.directory.attachments).attach(
            list, PluginArguments(container: "abc123", namespace: "/n", interface: "net1"),
            by: PluginRunner(path: [pod.root("bin")]))
        try await pod.run("detach", "router", "net1")
        #expect(!File.exists(pod.directory.path))
    }

    @Test func unknownPodsAndNetworks() async throws {
        let pod = try await Pod()
        #expect(try await pod.failure("ls", "other").status == .notFound)
        let network = try await pod.failure("attach", "router", "wan")
        #expect(network == CommandFailure(.notFound, "no network \"wan\" in \(pod.root("net.d")); there are lan"))
    }

    @Test(arguments: [
        ["net", "attach", "router"], ["net", "attach", "router", "lan", "--mac", "01:00:5e:00:00:01"],
        ["net", "attach", "router", "lan", "--ip", "ten"], ["net", "attach", "router", "lan", "--cni-bin-dir", "bin"],
        ["net", "attach", "router", "lan", "--timeout", "-1"], ["net", "detach", "router"],
        ["net", "set", "router", "net1"],
        ["net", "set", "router", "net1", "--mtu", "67"], ["net", "set", "router", "net1", "--mtu", "65536"],
        ["net", "set", "router", "net1", "--mac", "x"], ["net", "set", "router", "net1", "--link", "maybe"],
        ["net", "ls", "-o", "yaml"],
    ])
    func whatIsNotParsed(words: [String]) {
        #expect(throws: (any Error).self) { try Slipway.parseAsRoot(words) }
    }

    @Test func whatIsParsed() throws {
        let attach = try #require(
            try Slipway.parseAsRoot([
                "net", "attach", "edge/router", "lan", "--interface", "net7", "--ip", "10.0.0.5/24", "--ip",
                "fd00::5/64",
                "--config", "f.yaml", "--no-wait",
            ]) as? NetAttachCommand)
        #expect(attach.pod == "edge/router" && attach.network == "lan" && attach.interface == "net7")
        #expect(attach.ip == ["10.0.0.5/24", "fd00::5/64"] && attach.config == "f.yaml" && attach.waiting.doesNotWait)
        #expect(attach.cniConfDir == "/etc/cni/net.d" && attach.cniBinDir == [] && attach.waiting.timeout == 10)
        let set = try #require(
            try Slipway.parseAsRoot(["net", "set", "r", "net1", "--link", "down", "--mtu", "9000"]) as? NetSetCommand)
        #expect(set.change == LinkChange(up: false, mtu: 9000))
        #expect(NetAttachCommand.firstFree(["eth0", "net1", "net3"]) == "net2")
        #expect(NetAttachCommand.firstFree([]) == "net1")
    }

    private func source(_ text: String, _ name: String? = nil) throws -> NetworkConfiguration {
        try NetworkSource.parse(Array(text.utf8), name, source: "f", directory: NetworkDirectory("/nowhere"))
    }

    @Test func filesOfEveryForm() throws {
        let conf = #"{"cniVersion": "1.0.0", "name": "lan", "type": "bridge"}"#
        let definition = """
            apiVersion: k8s.cni.cncf.io/v1
            kind: NetworkAttachmentDefinition
            metadata: {name: lan-def, namespace: edge}
            spec:
              config: |
                {"cniVersion": "0.3.1", "plugins": [{"type": "macvlan", "master": "eth1"}]}
            """
        #expect(try source(conf).name == "lan")
        #expect(try source(conf, "lan").plugins.map(\.type) == ["bridge"])
        #expect(throws: CNIError.self) { try source(conf, "wan") }
        // A definition's name stands for the missing one in its configuration, as in Multus.
        #expect(try source(definition).name == "lan-def")
        let two = definition + "\n---\n" + definition.replacing("lan-def", with: "wan-def")
        #expect(try source(two, "wan-def").name == "wan-def")
        #expect(try source(two, "edge/lan-def").version == .v0_3_1)
        #expect(#expect(throws: CommandFailure.self) { try source(two) }?.status == .usage)
        #expect(throws: CNIError.noNetwork(name: "x", directory: "f", others: ["edge/lan-def", "edge/wan-def"])) {
            try source(two, "x")
        }
        let json = #"{"kind": "NetworkAttachmentDefinition", "metadata": {"name": "j"}, "spec": {"config": "C"}}"#
        let config = #"{\"cniVersion\": \"1.0.0\", \"type\": \"ptp\"}"#
        #expect(try source(json.replacing("\"C\"", with: "\"\(config)\"")).name == "j")
        // Without a configuration it means the node's of its name.
        #expect(throws: CNIError.noNetwork(name: "lan-def", directory: "/nowhere", others: [])) {
            try source(String(definition.split(separator: "spec:")[0]))
        }
        for (text, problem) in [
            ("kind: Pod\nmetadata: {name: x}", "f: kind: \"Pod\" was found; NetworkAttachmentDefinition is accepted"),
            ("a: b", "f: kind: is missing"),
            ("a: [", "f: is neither JSON nor YAML"), ("---\n", "f: holds no NetworkAttachmentDefinition"),
            ("kind: NetworkAttachmentDefinition", "f: metadata.name: is missing"),
            (
                definition.replacing("macvlan", with: "../x"),
                "f: edge/lan-def: spec.config: plugins[0].type: \"../x\" was found"
            ),
        ] {
            let error = #expect(throws: CNIError.self) { try source(text) }
            #expect(error?.description.hasPrefix(problem) == true, "\(String(describing: error))")
        }
    }
}

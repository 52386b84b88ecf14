import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import PodNetwork
import StateDirectory
import TestSupport
import Testing

/// NICs whose frames a switch in user space moves.
@Suite(.serialized, .switchNode, .timeLimit(.minutes(5))) struct VhostUserTests {
    private static let bridge = "192.0.2.1"
    private static let image = "slipway.local/net-vnf:latest"

    // MARK: From the start

    @Test func bothModesCarryFramesWhole() async throws {
        try await SwitchNode.connected { shared, _ in
            let (a, b) = (Place.guest(shared.a), Place.guest(shared.b))
            let (ofA, ofB) = (try await a.addresses("eth1"), try await b.addresses("eth1"))
            try #require(ofA.count == 1 && ofB.count == 1, "\(ofA) \(ofB)")
            for (pod, place, own, peer) in [(shared.a, a, ofA[0], ofB[0]), (shared.b, b, ofB[0], ofA[0])] {
                // The bridge's own port, and the other guest.
                let seen = try await shared.ovs.bridge.capture("br0") {
                    for answer in try await place.probe(["tcp \(Self.bridge) 5201 3000000", "tcp \(peer) 5201 3000000"])
                    { expectTCP(answer, "\(place)") }
                }
                let mac = try #require(try report(pod, "eth1")?.mac)
                let arrived = seen.filter { !$0.isOutgoing && $0.type == "0800" }
                #expect(arrived.count > 100 && arrived.allSatisfy { $0.source == "\(mac)" }, "\(arrived.prefix(3))")
                #expect(try await place.mac("eth1") == "\(mac)")
                expectTCP(try await shared.ovs.bridge.probe(["tcp \(own) 5201 3000000"])[0], "to \(place)")
                let pings = try await place.run("ping -c 2 \(Self.bridge); ping -c 2 \(peer)")
                #expect(pings.components(of: " 0% packet loss") == 2, "\(pings)")
                let sizes = try await place.probe(["udp \(peer) 5201 1972", "udp \(peer) 5201 1973"])
                #expect(sizes[0] == "udp 1972 of 1972 same" && sizes[1].contains("Message too long"), "\(sizes)")
            }
            _ = try Node.slipwayItself(["verify"])
            // The switch has mapped both kinds of RAM.
            for (pod, kind) in [(shared.a, "kernelpagesize_kB=2048"), (shared.b, "file=/memfd:")] {
                let qemu = try #require(try pod.record.machine?.process?.pid)
                #expect(try File.text("/proc/\(qemu)/numa_maps", limit: 1 << 22).contains(kind), "\(kind)")
            }
        }
    }

    @Test func ringsAreAsLargeAsAskedFor() async throws {
        try await SwitchNode.connected { shared, _ in
            for (pod, size) in [(shared.a, 1024), (shared.b, 256)] {
                #expect(try await Place.guest(pod).probe(["rings eth1"]) == ["rings rx \(size) tx \(size)"])
            }
            // A switch is tried with a socket like this.
            let path = String(try report(shared.b, "eth1")?.binding?.split(separator: " ").last ?? "")
            var information = stat()
            #expect(stat(path, &information) == 0 && information.st_mode & 0o777 == 0o775, "\(information)")
            // Who runs such a switch is told that it has to filter.
            let (_, said) = try Node.command(["check"])
            #expect(said.contains("switches frames in user space"), "\(said)")
        }
    }

    @Test func aSwitchThatIsStartedAnewCarriesOn() async throws {
        try await SwitchNode.connected { shared, _ in
            let places = [Place.guest(shared.a), .guest(shared.b)]
            let before = try shared.ovs.granted
            for round in 1...3 {
                try shared.ovs.run("stop")
                for place in places {
                    let hasNoCarrier = try await eventually {
                        try await place.run("cat /sys/class/net/eth1/carrier") == "0\n"
                    }
                    #expect(hasNoCarrier, "\(place) without a switch, round \(round)")
                }
                let verified = try Node.command(["verify"])
                #expect(verified.status == .exited(3), "\(verified)")
                #expect(
                    verified.output.components(of: "found not connected; the switch does not run") == 2, "\(verified)")
                try shared.ovs.run("start")
                for place in places { try await expectPing(place, Self.bridge, "after new start \(round)") }
            }
            #expect(try shared.ovs.granted == before)
            // The guests have the devices of before.
            for pod in [shared.a, shared.b] { #expect(pod.output.components(of: "net-vnf: remove") == 0) }
            _ = try Node.slipwayItself(["verify"])
        }
    }

    // MARK: While the machine runs

    @Test func portsComeToARunningGuestAndLeave() async throws {
        try await SwitchNode.connected { shared, _ in
            let (pod, place) = (shared.c, Place.guest(shared.c))
            let before = try shared.ovs.granted
            for (interface, mode, network) in [("net1", "client", "198.51.100"), ("net2", "server", "203.0.113")] {
                let file = try configuration(shared.ovs, mode: mode, subnet: network, takesFile: true)
                let begin = ContinuousClock.now
                let said = try Node.slipwayItself(
                    ["net", "attach", "vhost-c", "--config", file, "--cni-bin-dir", "\(try Node.directory)/cni/bin"])
                print("a port was attached as \(mode) after \(ContinuousClock.now - begin)")
                #expect(said.contains("\(interface): attached to hot-\(mode), \(network).10/24"), "\(said)")
                #expect(said.contains("\(interface): NIC"), "\(said)")
                try await configure(place, pod, interface, "\(network).10")
                expectTCP(try await place.probe(["tcp \(network).1 5201 3000000"])[0], "\(interface), \(mode)")
            }
            // To the switch's socket; in the directory of the other QEMU has nothing more to do.
            #expect(try shared.ovs.granted.count == before.count + 1)

            // The second time what the first has set going is not done yet.
            for _ in 1...2 {
                try shared.ovs.run("stop")
                try shared.ovs.run("start")
            }
            // The switch comes back to QEMU as server by itself.
            try await expectPing(place, "203.0.113.1", "net2 after the switch's new start")
            // As client QEMU may have another device for the guest, who has to set it up anew.
            let isBack = try await eventually(within: .seconds(30)) {
                try await Task.sleep(for: .milliseconds(100))
                try await configure(place, pod, "net1", "198.51.100.10")
                return try await place.run("ping -c 1 -W 1 198.51.100.1").contains(" 0% packet loss")
            }
            let log = ((try? File.text(pod.state.log)) ?? "").suffix(1500)
            #expect(isBack, "net1 after the switch's new start: \(log)")
            _ = try Node.slipwayItself(["verify"])

            for interface in ["net1", "net2"] {
                let said = try Node.slipwayItself(["net", "detach", "vhost-c", interface])
                #expect(said == "\(interface): detached\n")
                #expect(try report(pod, interface) == nil)
            }
            #expect(try shared.ovs.granted == before)
            #expect(try devices(of: pod) == [])
        }
    }

    /// As plugins leave it, whoever calls them.
    @Test func aFileOfDeviceInformationIsEnough() async throws {
        try await SwitchNode.connected { shared, _ in
            let pod = shared.c
            let before = try shared.ovs.granted
            let file = try configuration(shared.ovs, mode: "client", subnet: "198.51.100", takesFile: false)
            try plugin("ADD", pod, "net5", file)
            let added = ContinuousClock.now
            let isThere = try await eventually { try report(pod, "net5")?.state == .up }
            #expect(isThere, "\((try? File.text(pod.state.log))?.suffix(1000) ?? "")")
            print("a file became a NIC of the guest after \(ContinuousClock.now - added)")
            try plugin("DEL", pod, "net5", file)
            let deleted = ContinuousClock.now
            #expect(try await eventually { try report(pod, "net5") == nil })
            print("a file that went took the NIC along after \(ContinuousClock.now - deleted)")
            #expect(try shared.ovs.granted == before)
        }
    }

    // MARK: What cannot be

    @Test func aSwitchThatIsNotThereIsRefused() async throws {
        try await SwitchNode.connected { shared, runtime in
            let before = try shared.ovs.granted
            let run = "\(shared.ovs.directory)/run"
            try UnixSocket.listen("\(run)/deaf").close()
            defer { unlink("\(run)/deaf") }
            let status = #"[{"name": "x", "interface": "net8", "device-info": \#(device("client", "\(run)/deaf"))}]"#
            var pod = try await Pod(runtime, "vhost-r", annotations: [NetworkStatus.annotation: status])
            var attempt: UInt32 = 0
            func expectRefusal(_ sentence: String) async throws {
                attempt += 1
                do {
                    try await pod.start(image: Self.image, attempt: attempt)
                    Issue.record("it was started, and not refused with \(sentence)")
                } catch let error as CRIError {
                    #expect(error.message.contains(sentence), "\(error)")
                }
                #expect(try shared.ovs.granted == before)
            }
            try await expectRefusal(
                "net8, which the pod was not given; accepted are devices of the pod's resource limits")
            for (mode, path, sentence) in [
                ("client", "\(run)/absent", "is not there; start the switch"),
                ("client", "\(run)/deaf", "has nobody who listens; start the switch"),
                ("server", "\(shared.ovs.sockets)/alone", "was offered, and no switch has connected to it in time"),
                ("server", "\(shared.ovs.directory)/absent/x", "is to be made in a directory that is not there"),
            ] {
                // The node's file about the interface counts more than the annotation.
                let file = try write(device(mode, path), for: pod, "net8")
                defer { remove(file) }
                try await expectRefusal("interface net8: the vhost-user socket \(path) \(sentence)")
            }
            #expect(try !File.list(shared.ovs.sockets).contains("alone"))
            try await pod.remove()
        }
    }

    /// QEMU would stand still for as long as the switch does, and the guest with it.
    @Test func aSwitchThatHangsDoesNotStopTheGuest() async throws {
        try await SwitchNode.connected { shared, _ in
            let (pod, before) = (shared.c, try shared.ovs.granted)
            let path = try String(shared.ovs.run("port", "hangs", "listen").dropLast())
            let server = "\(shared.ovs.sockets)/hangs-s"
            try shared.ovs.run("port", "hangs-s", "connect", server)
            let daemon = try shared.ovs.daemon
            try daemon.signal(SIGSTOP)
            defer { try? daemon.signal(SIGCONT) }
            let files = [
                try write(device("client", path), for: pod, "net6"),
                try write(device("server", server), for: pod, "net7"),
            ]
            defer { files.forEach(remove) }
            // Meanwhile the guest and the sandbox do what they always do.
            let begin = ContinuousClock.now
            for (interface, sentence) in [
                ("net6", "the vhost-user socket \(path) has a switch behind it that does not answer"),
                ("net7", "the vhost-user socket \(server) was offered, and no switch has connected to it in time"),
            ] {
                let isRefused = try await eventually(within: .seconds(20)) {
                    try await Task.sleep(for: .milliseconds(200))
                    #expect(try await pod.run("/bin/echo", "awake") == "awake\n")
                    return try report(pod, interface)?.state.reason?.contains(sentence) == true
                }
                let found = try report(pod, interface)?.state
                #expect(isRefused, "\(interface): \(found.map { "\($0)" } ?? "none")")
            }
            // Each takes three seconds, and none waits for the other.
            #expect(ContinuousClock.now - begin < .seconds(6))
            print("a switch that hangs was refused after \(ContinuousClock.now - begin)")
            #expect(try shared.ovs.granted == before)

            try daemon.signal(SIGCONT)
            for interface in ["net6", "net7"] {
                let isUp = try await eventually(within: .seconds(60)) { try report(pod, interface)?.state == .up }
                let found = try report(pod, interface)?.state
                #expect(isUp, "\(interface): \(found.map { "\($0)" } ?? "none")")
            }
            files.forEach(remove)
            let areGone = try await eventually {
                try ["net6", "net7"].allSatisfy { try report(pod, $0) == nil }
            }
            #expect(areGone)
            #expect(try shared.ovs.granted == before)
            for port in ["hangs", "hangs-s"] { try shared.ovs.run("unport", port) }
        }
    }

    @Test func aMachineWhoseMemoryIsItsOwnGetsNoPort() async throws {
        try await SwitchNode.connected { shared, runtime in
            let before = try shared.ovs.granted
            var pod = try await Pod(runtime, "vhost-m")
            try await pod.start(image: Self.image)
            let file = try configuration(shared.ovs, mode: "client", subnet: "198.51.100", takesFile: true)
            let (status, output) = try Node.command(
                ["net", "attach", "vhost-m", "--config", file, "--cni-bin-dir", "\(try Node.directory)/cni/bin"])
            #expect(status == .exited(1))
            #expect(
                output.contains(
                    "net1: the guest cannot have it: network, link net1: is a vhost-user socket, and the machine's memory "
                        + "is not shared; start the pod with slipway.dev/shared-memory: \"true\""), "\(output)")
            #expect(try shared.ovs.granted == before)
            #expect(try await eventually { try report(pod, "eth0")?.state == .up })
            _ = try Node.slipwayItself(["net", "detach", "vhost-m", "net1"])
            #expect(try devices(of: pod) == [])
            try await pod.remove()
        }
    }

    // MARK: The end

    /// An annotation names the one socket, which is in a directory that the pod was given; a file the other.
    @Test func aSandboxThatIsKilledLeavesNobodyLetIn() async throws {
        try await SwitchNode.connected { shared, runtime in
            let ovs = shared.ovs
            let before = try ovs.granted
            let (client, server) = (try ovs.run("port", "killed-c", "listen").dropLast(), "\(ovs.sockets)/killed-s")
            try ovs.run("port", "killed-s", "connect", server)
            let status =
                #"[{"name": "x", "interface": "net1", "device-info": \#(device("client", String(client)))}]"#
            var pod = try await Pod(runtime, "vhost-k", annotations: [NetworkStatus.annotation: status])
            let file = try write(device("server", server), for: pod, "net2")
            defer { remove(file) }
            try await pod.start(image: Self.image, mounts: [(of: "\(ovs.directory)/run", at: "/run/switch")])
            let areThere = try await eventually {
                try report(pod, "net1")?.binding == "vhost-user \(client)"
                    && report(pod, "net2")?.binding == "vhost-user \(server)"
            }
            #expect(areThere, "\((try? File.text(pod.state.network)) ?? "none")")
            #expect(try ovs.granted.count == before.count + 1 && ovs.granted[ovs.sockets] == nil)
            #expect(try File.list(ovs.sockets).contains("killed-s"))

            try #require(try pod.record.process?.process).signal(SIGKILL)
            let isTakenBack = try await eventually(within: .seconds(20)) {
                try ovs.granted == before && !File.list(ovs.sockets).contains("killed-s")
            }
            let left = try ovs.granted
            #expect(isTakenBack, "\(left), before \(before)")
            try await pod.remove()
            for port in ["killed-c", "killed-s"] { try ovs.run("unport", port) }
        }
    }
}

extension VhostUserTests {
    private func expectTCP(_ answer: String, _ what: String, _ location: SourceLocation = #_sourceLocation) {
        #expect(
            answer.contains("up 3000000 of 3000000") && answer.contains("down 3000000 of 3000000"),
            "\(what): \(answer)", sourceLocation: location)
    }

    private func expectPing(
        _ place: Place, _ peer: String, _ what: String, _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let answers = try await eventually(within: .seconds(20)) {
            try await place.run("ping -c 1 -W 1 \(peer)").contains(" 0% packet loss")
        }
        #expect(answers, "\(place), \(what)", sourceLocation: location)
    }

    /// What the sandbox says of an interface.
    private func report(_ pod: Pod, _ interface: String) throws -> InterfaceReport? {
        try NetworkReport(readingFrom: pod.state.network)?.interfaces.first { $0.link == interface }
    }

    /// Gives the guest's link of a NIC an address.
    private func configure(_ place: Place, _ pod: Pod, _ interface: String, _ address: String) async throws {
        guard let mac = try report(pod, interface)?.mac else { return }
        try await place.run(
            """
            for link in /sys/class/net/*; do
                [ "$(cat $link/address)" = \(mac) ] || continue
                ip addr replace \(address)/24 dev ${link##*/}
                ip link set dev ${link##*/} up
            done
            """)
    }

    /// A network of the switch's, for whoever attaches it by hand.
    private func configuration(_ ovs: OVS, mode: String, subnet: String, takesFile: Bool) throws -> String {
        let file = "\(try Node.directory)/hot-\(mode).conf"
        let text = """
            {"cniVersion": "1.0.0", "name": "hot-\(mode)", "type": "switch-port", "switch": "\(ovs.directory)",
             "mode": "\(mode)", "capabilities": {"CNIDeviceInfoFile": \(takesFile)},
             "ipam": {"type": "host-local", "dataDir": "\(try Node.directory)/cni/\(UUID().uuidString)",
                      "ranges": [[{"subnet": "\(subnet).0/24", "rangeStart": "\(subnet).10"}]]}}
            """
        try File.replace(file, with: Array(text.utf8))
        return file
    }

    /// Calls the network's plugin as a container runtime does.
    private func plugin(_ command: String, _ pod: Pod, _ interface: String, _ file: String) throws {
        let directory = "\(try Node.directory)/cni/bin"
        var spawn = Spawn("\(directory)/switch-port")
        spawn.environment = [
            "CNI_COMMAND=\(command)", "CNI_CONTAINERID=\(pod.id)", "CNI_IFNAME=\(interface)",
            "CNI_NETNS=\(try pod.record.networkNamespace ?? "")", "CNI_PATH=\(directory)",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        ]
        spawn.descriptors[0] = try FileDescriptor.open(file, O_RDONLY)
        let (status, output) = try spawn.run(milliseconds: 30_000)
        try #require(status == .exited(0), "\(command): \(output)")
    }

    private func device(_ mode: String, _ path: String) -> String {
        #"{"type": "vhost-user", "version": "1.1.0", "vhost-user": {"mode": "\#(mode)", "path": "\#(path)"}}"#
    }

    /// Writes device information as a plugin does; the file's path.
    private func write(_ text: String, for pod: Pod, _ interface: String) throws -> String {
        let file = "\(DeviceInformation.cniDirectory)/x-\(pod.id)_\(interface)"
        try File.makeDirectory(DeviceInformation.cniDirectory, mode: 0o755)
        try File.replace(file, with: Array(text.utf8))
        return file
    }

    /// Removes it, with directories that are empty then.
    private func remove(_ file: String) {
        unlink(file)
        for part in ["/devinfo/cni", "/devinfo", ""] { rmdir("/run/k8s.cni.cncf.io\(part)") }
    }

    /// Files of device information about a pod.
    private func devices(of pod: Pod) throws -> [String] {
        guard File.exists(DeviceInformation.cniDirectory) else { return [] }
        return try File.list(DeviceInformation.cniDirectory).filter { $0.contains(pod.id) }
    }
}

import FoundationEssentials
import Glibc
import LinuxSystem
import PodNetwork
import StateDirectory
import TestSupport
import Testing

/// `slipway net` on a running machine, with Debian's CNI plugins.
@Suite(.serialized, .timeLimit(.minutes(5))) struct NetCommandTests {
    /// Networks of this machine, with the addresses that host-local has given out.
    private final class Networks: Sendable {
        static let v4 = "10.95.7"
        static let v6 = "fd51:95:7:"
        let directory: TemporaryDirectory
        let bridge = "slipnet\(getpid() % 100_000)"

        init() throws {
            directory = try TemporaryDirectory()
            let addresses = """
                {"type": "host-local", "dataDir": "\(directory("leases"))", "routes": [{"dst": "198.51.100.0/24", "gw": "\(Self.v4).1"}],
                 "ranges": [[{"subnet": "\(Self.v4).0/24"}], [{"subnet": "\(Self.v6):/64"}]]}
                """
            let plugin = """
                {"type": "bridge", "bridge": "\(bridge)", "isGateway": true, "mtu": 1400, "ipam": \(addresses),
                 "capabilities": {"mac": true, "ips": true}}
                """
            try directory.write(
                "net.d/lan.conflist", #"{"cniVersion": "1.0.0", "name": "lan", "plugins": [\#(plugin)]}"#)
            for type in ["fails", "hangs"] {
                try directory.write(
                    "net.d/\(type).conf", #"{"cniVersion": "1.0.0", "name": "\#(type)", "type": "\#(type)"}"#)
            }
            try directory.write(
                "lan.yaml",
                """
                apiVersion: k8s.cni.cncf.io/v1
                kind: NetworkAttachmentDefinition
                metadata: {name: second, namespace: edge}
                spec:
                  config: |
                    {"cniVersion": "0.4.0", "plugins": [\(plugin.replacing("\n", with: " "))]}
                """)
            try directory.write(
                "bin/fails",
                """
                #!/bin/sh
                [ $CNI_COMMAND != ADD ] || { echo '{"code": 11, "msg": "try again later"}'; exit 1; }
                """, mode: 0o755)
            try directory.write("bin/hangs", "#!/bin/sh\n[ $CNI_COMMAND != ADD ] || exec sleep 1000\n", mode: 0o755)
        }

        func remove() { _ = try? Spawn("/usr/sbin/ip", ["link", "delete", bridge]).run() }

        /// The addresses that are somebody's, of all networks.
        var leases: [String] {
            get throws {
                let path = directory("leases")
                guard File.exists(path) else { return [] }
                return try File.list(path).flatMap { try File.list("\(path)/\($0)") }.filter {
                    $0 != "lock" && !$0.hasPrefix("last_reserved_ip")
                }
            }
        }

        /// Where `slipway net attach` looks.
        var words: [String] {
            ["--cni-conf-dir", directory("net.d"), "--cni-bin-dir", directory("bin"), "--cni-bin-dir", "/usr/lib/cni"]
        }
    }

    /// Runs `slipway net`; what it ends with and says.
    private func net(_ words: String...) async throws -> (status: LinuxSystem.Process.Status, output: String) {
        try await run(words)
    }

    private func attach(
        _ pod: String, _ words: String..., in networks: Networks
    ) async throws -> (status: LinuxSystem.Process.Status, output: String) {
        try await run(["attach", pod] + words + networks.words)
    }

    private func run(_ words: [String]) async throws -> (status: LinuxSystem.Process.Status, output: String) {
        let root = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }
        let spawn = Spawn("\(root)/.build/debug/slipway", ["net"] + words)
        return try await Thread.run("slipway") { try spawn.run(milliseconds: 60_000) }
    }

    /// The NICs as the sandbox reports them, without their names in the guest, which its agent tells when a NIC was plugged.
    private func report(_ pod: Pod) throws -> [InterfaceReport] {
        try #require(try NetworkReport(readingFrom: pod.state.network)).interfaces.map { nic in
            var nic = nic
            nic.guestName = nil
            return nic
        }
    }

    private let dhcp = """
        ip link set dev eth1 up
        udhcpc -q -n -t 5 -T 1 -A 1 -S -O staticroutes -O mtu -i eth1 -s /lib/slipway/udhcpc >/dev/null 2>&1
        """

    /// A guest that knows no cloud-init: what it learns of a network that came later is by DHCP and router advertisements.
    @Test func aNetworkIsAttachedLookedAtChangedAndDetached() async throws {
        let networks = try Networks()
        defer { networks.remove() }
        let (v4, v6) = ("\(Networks.v4).2", "\(Networks.v6):2")
        try await withPod(
            "net-command", annotations: ["slipway.dev/cloud-init": "none"], image: "slipway.local/net-vnf:latest"
        ) { pod in
            let (guest, links) = (Place.guest(pod), try Place.links(of: pod))
            let host = Place.namespace("host", path: "/proc/self/ns/net")
            await pod.expect("tiny-vnf: ready \(try await pod.address)")
            let before = (nics: try await guest.nics(), report: try report(pod))
            // It takes its time, and nothing waits for it.
            async let hanging = attach("net-command", "hangs", "--interface", "slow0", in: networks)

            let made = try await attach("net-command", "lan", in: networks)
            let mac = try await links.mac("net1")
            #expect(made.status == .exited(0), "\(made)")
            #expect(
                made.output == "net1: attached to lan, \(v4)/24 \(v6)/64\nnet1: NIC 1 of the guest, \(mac)\n")
            await pod.expect("net-vnf: add eth1 \(mac)")
            #expect(try await guest.nics() == before.nics + ["0000:02:00.0 eth1 \(mac)"])

            // By DHCP, and what a router advertisement says of the network; then by the NIC itself.
            try await guest.run(dhcp)
            #expect(try await guest.addresses("eth1").first == v4)
            let learned = try await eventually(within: .seconds(10)) {
                try await guest.run("ip -6 route show dev eth1").contains("\(Networks.v6):/64")
            }
            #expect(learned, "a router advertisement names the network")
            try await guest.run("ip addr add \(v6)/64 dev eth1")
            let link = try await guest.run("cat /sys/class/net/eth1/mtu; ip route show dev eth1")
            #expect(link.hasPrefix("1400\n") && link.contains("198.51.100.0/24 via \(Networks.v4).1"), "\(link)")
            for answer in try await host.probe(["tcp \(v4) 5201 300000", "tcp \(v6) 5201 300000"]) {
                #expect(answer.contains("up 300000 of 300000") && answer.contains("down 300000 of"), "\(answer)")
            }
            let ping = try await guest.run("ping -c 2 \(Networks.v4).1; ping -c 2 \(Networks.v6):1")
            #expect(ping.components(of: " 0% packet loss") == 2, "\(ping)")

            try await checkTellsWhatIsWrong(links)
            try await changesReachTheGuest(pod, guest, links)

            // A definition's file, an address and an Ethernet address of one's own.
            let second = try await attach(
                "net-command", "--config", networks.directory("lan.yaml"), "--ip", "\(Networks.v4).77/24", "--mac",
                "02:53:4c:00:77:02", in: networks)
            #expect(second.output.hasPrefix("net2: attached to second, \(Networks.v4).77/24"), "\(second)")
            #expect(second.output.hasSuffix("net2: NIC 2 of the guest, 02:53:4c:00:77:02\n"), "\(second)")
            await pod.expect("net-vnf: add eth2 02:53:4c:00:77:02")
            let list = try await net("ls", "net-command", "-o", "wide")
            #expect(list.output.components(of: " up ") == 3 && list.output.contains(" second "), "\(list)")

            for (name, output) in [("net2", "net2: detached\n"), ("net1", "net1: detached\n")] {
                let gone = try await net("detach", "net-command", name)
                #expect(gone.status == .exited(0) && gone.output == output, "\(gone)")
            }
            #expect(try await eventually { try await guest.nics() == before.nics })
            #expect(try networks.leases == [])

            try await failuresChangeNothing(pod, networks)
            let slow = try await hanging
            #expect(slow.status == .exited(1), "\(slow)")
            #expect(
                slow.output.contains(
                    "plugin hangs, ADD of slow0 (hangs): it had not ended after 30000 ms and was killed"),
                "\(slow)")
            #expect(try await guest.nics() == before.nics)
            // The guest has said its names meanwhile.
            let after = try report(pod).map { nic in
                var nic = nic
                nic.guestName = nil
                return nic
            }
            #expect(after == before.report)
            #expect(try await net("check", "net-command").output == "Nothing was attached by hand.\n")

            try await outlivesTheMachine(&pod, networks)
        }
        #expect(try await eventually { try networks.leases == [] })
    }

    private func checkTellsWhatIsWrong(_ links: Place) async throws {
        let good = try await net("check", "net-command", "net1")
        #expect(good.status == .exited(0) && good.output == "net1: as it was made\n", "\(good)")
        try await links.run("ip route del 198.51.100.0/24")
        let bad = try await net("check", "net-command", "net1")
        #expect(bad.status == .exited(1), "\(bad)")
        #expect(bad.output.contains("plugin bridge, CHECK of net1 (lan): "), "\(bad)")
        #expect(bad.output.contains("198.51.100.0"), "\(bad)")
        try await links.run("ip route add 198.51.100.0/24 via \(Networks.v4).1")
        #expect(try await net("check", "net-command", "net1").status == .exited(0))
    }

    private func changesReachTheGuest(_ pod: Pod, _ guest: Place, _ links: Place) async throws {
        func set(_ words: String...) async throws {
            let done = try await run(["set", "net-command", "net1"] + words)
            #expect(done.status == .exited(0) && done.output.isEmpty, "\(words): \(done)")
        }
        func carrier(_ value: String) async throws -> Bool {
            try await eventually { try await guest.run("cat /sys/class/net/eth1/carrier") == "\(value)\n" }
        }
        let told = try report(pod).first { $0.link == "net1" }?.addresses
        try await set("--link", "down")
        #expect(try await carrier("0"))
        #expect(try await net("ls", "net-command").output.contains(" down"))
        #expect(try await links.run("ip route show dev net1; ip -6 addr show dev net1").isEmpty, "as Linux does it")
        #expect(try report(pod).first { $0.link == "net1" }?.addresses == told, "the guest is told what it was told")
        try await set("--link", "up")
        #expect(try await carrier("1"))
        let checked = try await net("check", "net-command", "net1")
        #expect(checked.status == .exited(0), "routes and addresses are back: \(checked)")

        // What a guest asks for, it is told at once.
        try await set("--mtu", "1300")
        let isSmaller = try await eventually {
            try await guest.run("\(dhcp)\ncat /sys/class/net/eth1/mtu; ip route show dev eth1").hasPrefix("1300\n")
        }
        #expect(isSmaller)
        #expect(try await guest.run("ip route show dev eth1").contains("198.51.100.0/24"))

        // Another address of the link, and the first one again.
        for address in ["\(Networks.v4).66", "\(Networks.v4).2"] {
            try await links.run(
                """
                ip -4 addr flush dev net1; ip addr add \(address)/24 dev net1
                ip route add 198.51.100.0/24 via \(Networks.v4).1
                """)
            let isTold = try await eventually {
                _ = try await guest.run(dhcp)
                return try await guest.addresses("eth1").first == address
            }
            #expect(isTold, "\(address)")
            #expect(try await guest.run("ping -c 2 \(Networks.v4).1").contains(" 0% packet loss"))
        }

        // A guest's device takes no larger MTU than it was made with: another one takes its place.
        let mac = try await links.mac("net1")
        try await set("--mtu", "1600")
        await pod.expect("net-vnf: add eth1 \(mac)", count: 2)
        #expect(try await eventually { try await guest.nics().last == "0000:02:00.0 eth1 \(mac)" })
        try await guest.run(dhcp)
        #expect(try await guest.run("cat /sys/class/net/eth1/mtu") == "1600\n")
        try await set("--mtu", "1300")

        // A virtio NIC cannot change its address: another one takes its place.
        try await set("--mac", "02:53:4c:00:77:01")
        await pod.expect("net-vnf: add eth1 02:53:4c:00:77:01")
        #expect(try await eventually { try await guest.nics().last == "0000:02:00.0 eth1 02:53:4c:00:77:01" })
        try await guest.run(dhcp)
        #expect(try await guest.addresses("eth1").first == "\(Networks.v4).2")
        let checkedAgain = try await net("check", "net-command", "net1")
        #expect(checkedAgain.status == .exited(1) && checkedAgain.output.contains("CHECK of net1"), "\(checkedAgain)")

        let unknown = try await net("set", "net-command", "net9", "--mtu", "1300")
        #expect(unknown.status == .exited(4) && unknown.output.contains("it has eth0, net1"), "\(unknown)")
        #expect(try await net("set", "net-command", "net1", "--mtu", "1").status == .exited(2))
    }

    private func failuresChangeNothing(_ pod: Pod, _ networks: Networks) async throws {
        let failed = try await attach("net-command", "fails", in: networks)
        #expect(failed.status == .exited(1), "\(failed)")
        #expect(failed.output.contains("plugin fails, ADD of net1 (fails): try again later (code 11)"), "\(failed)")
        for (words, status, sentence) in [
            (["wan"], 4, "no network \"wan\" in \(networks.directory("net.d")); there are "),
            (["lan", "--interface", "eth0"], 2, "the pod has a link, a device or an attachment of this name already"),
            (["lan", "--ip", "ten"], 2, "--ip ten"),
        ] as [([String], Int32, String)] {
            let refused = try await run(["attach", "net-command"] + words + networks.words)
            #expect(refused.status == .exited(status) && refused.output.contains(sentence), "\(refused)")
        }
        let other = try await net("detach", "net-command", "eth0")
        #expect(other.status == .exited(1) && other.output.contains("eth0: was not attached by hand"), "\(other)")
        #expect(try await net("attach", "nobody", "lan").status == .exited(4))
        #expect(try networks.leases == [])
    }

    /// A guest that has powered off leaves its pod, which may start another machine: that has the network from its start.
    private func outlivesTheMachine(_ pod: inout Pod, _ networks: Networks) async throws {
        let again = try await attach("net-command", "lan", in: networks)
        #expect(again.status == .exited(0), "\(again)")
        _ = await pod.tryToRun("/bin/sh", "-c", "(sleep 0.2; poweroff -f) >/dev/null 2>&1 &")
        #expect(try await pod.exitCode() == 0)
        #expect(try networks.leases.count == 2)
        try await pod.start(image: "slipway.local/net-vnf:latest", attempt: 1)
        await pod.expect("tiny-vnf: ready", count: 2)
        let (nics, given) = (try await Place.guest(pod).nics(), try await Place.links(of: pod).addresses("net1"))
        #expect(nics.count == 2 && nics.last?.hasPrefix("0000:02:00.0 eth1 ") == true, "\(nics)")
        #expect(try await Place.guest(pod).addresses("eth1").first == given.first)
    }

    /// A machine without a place for it, and a sandbox that ends without a word.
    @Test func whatCannotBePluggedIsDetachedByTheEndOfThePod() async throws {
        let networks = try Networks()
        defer { networks.remove() }
        try await withPod(
            "net-full", annotations: ["slipway.dev/hot-nics": "0"], image: "slipway.local/net-vnf:latest"
        ) { pod in
            let refused = try await attach("net-full", "lan", in: networks)
            #expect(refused.status == .exited(1), "\(refused)")
            #expect(refused.output.contains("net1: the guest cannot have it: link net1 finds no place"), "\(refused)")
            #expect(refused.output.contains("larger slipway.dev/hot-nics"), "\(refused)")
            let nics = try report(pod)
            #expect(nics.map(\.link) == ["eth0", "net1"] && nics[0].state == .up && nics[1].state.word == "failed")
            let detached = try await net("detach", "net-full", "net1")
            #expect(detached.status == .exited(0), "\(detached)")
            #expect(try await eventually { try report(pod).map(\.link) == ["eth0"] })
            #expect(try networks.leases == [])

            let kept = try await attach("net-full", "lan", "--no-wait", in: networks)
            #expect(kept.status == .exited(0), "\(kept)")
            #expect(try networks.leases.count == 2)
            kill(try #require(try pod.record.process).pid, SIGKILL)
            #expect(try await eventually(within: .seconds(20)) { try networks.leases == [] })
            #expect(await eventually { !File.exists(pod.state.path) })
            let late = try await attach("net-full", "lan", in: networks)
            #expect(late.status == .exited(4) && late.output.contains("no machine \"net-full\""), "\(late)")
        }
        #expect(try networks.leases == [])
    }
}

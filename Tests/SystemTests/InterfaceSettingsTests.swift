import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import PodNetwork
import StateDirectory
import TestSupport
import Testing

/// What a pod asks of single NICs (`slipway.dev/interfaces`), given to a real machine.
@Suite(.serialized, .timeLimit(.minutes(5))) struct InterfaceSettingsTests {
    private static let settings = """
        eth0: mtu=1400
        net1: queues=4 rx-ring=1024 tx-ring=256
        net2: queues=1 link=down
        net3: trust=true
        """
    /// Nobody's.
    private static let stranger = "02:53:4c:00:00:99"

    @Test func everySettingReachesTheGuest() async throws {
        let before = Node.remains()
        try await Node.connected { runtime in
            var pod = try await Pod(runtime, "settings", annotations: ["slipway.dev/interfaces": Self.settings])
            let wires = try await HotplugTests.Wires(pod)
            defer { try? wires.remove() }
            for number in 1...3 { try await wires.change(wires.adding("net\(number)", mac: number)) }
            try await pod.start(image: "slipway.local/net-vnf:latest", memory: 160 << 20, cpus: 2)
            await pod.expect("tiny-vnf: ready")
            let guest = Place.guest(pod)
            try await guest.run("for link in eth1 eth2 eth3; do ip link set dev $link up; done")

            // What QEMU was told, and what became of it.
            let devices = try devices(of: pod)
            for (mac, parts) in [
                (1, [#""mq":true,"vectors":10"#, #""rx_queue_size":1024"#, #""tx_queue_size":256"#]), (2, []),
                (3, [#""mq":true,"vectors":6"#]),
            ] {
                let device = devices.first { $0.contains(":0\(mac)\"") } ?? "none"
                for part in parts { #expect(device.contains(part), "\(device)") }
                #expect(device.contains("mq") != parts.isEmpty, "\(device)")
            }
            // A guest uses no more pairs of queues than it has CPUs.
            let queues = try await guest.run("for i in 0 1 2 3; do ls /sys/class/net/eth$i/queues | wc -l; done")
            #expect(queues == "4\n4\n2\n4\n", "\(queues)")
            let rings = try await guest.probe((0...3).map { "rings eth\($0)" })
            #expect(rings == [256, 1024, 256, 256].map { "rings rx \($0) tx 256" })
            let mtus = try await guest.run("cat /sys/class/net/eth?/mtu")
            #expect(mtus == "1400\n1500\n1500\n1500\n")
            let carriers = try await guest.run("cat /sys/class/net/eth?/carrier")
            #expect(carriers == "1\n1\n0\n1\n")
            #expect(try report(pod).map(\.state) == [.up, .up, .down, .up])
            _ = try Node.slipwayItself(["verify", "settings"])

            // Who is trusted speaks in any name, and nobody else; what is dropped is counted.
            for (number, isTrusted) in [(1, false), (3, true)] {
                let far = Place.namespace("the far end", path: "/run/netns/\(wires.far)")
                let seen = try await far.capture("net\(number)") {
                    for source in [Self.stranger, try await guest.mac("eth\(number)")] {
                        let frame =
                            "ffffffffffff\(source)88b5".filter { $0 != ":" } + String(repeating: "a5", count: 46)
                        #expect(try await guest.probe(["frame eth\(number) \(frame)"]) == ["sent 60"])
                    }
                }
                let marked = seen.filter { $0.type == "88b5" }
                #expect(marked.count == (isTrusted ? 2 : 1), "net\(number): \(marked)")
                #expect(marked.contains { $0.source == Self.stranger } == isTrusted, "net\(number): \(marked)")
            }
            let table = try Node.slipwayItself(["net", "ls", "settings", "-o", "wide"]).split(separator: "\n")
            let dropped = table.map { $0.split(separator: " ").last.map(String.init) ?? "" }
            #expect(dropped == ["DROPPED", "0", "1", "0", "0"], "\(table)")
            try await pod.remove()
        }
        await Node.expectNothingLeft(since: before)
    }

    private func report(_ pod: Pod) throws -> [InterfaceReport] {
        try NetworkReport(readingFrom: pod.state.network)?.interfaces ?? []
    }

    /// QEMU's NICs, as its command line has them.
    private func devices(of pod: Pod) throws -> [String] {
        let qemu = try #require(try pod.record.machine?.process?.pid)
        return try File.read("/proc/\(qemu)/cmdline").split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            .filter { $0.contains("virtio-net") }
    }
}

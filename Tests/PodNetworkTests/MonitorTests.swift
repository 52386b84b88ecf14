import CLinux
import Glibc
import LinuxSystem
import Netlink
import Testing

@testable import PodNetwork

/// With the kernel's own links; needs root.
@Suite(.serialized, .timeLimit(.minutes(3))) struct MonitorTests {
    func monitor(_ lab: Lab) async throws -> NetworkMonitor {
        try await lab.pod.run { try NetworkMonitor.ofPod() }
    }

    /// Whether something relevant is told within a second.
    func tells(_ monitor: NetworkMonitor) throws -> Bool {
        while try monitor.descriptor.wait(for: Int16(POLLIN), milliseconds: 1000) {
            if try monitor.drain() { return true }
        }
        return false
    }

    @Test(arguments: [
        "ip link add net1 type bridge", "ip link set eth0 mtu 1400", "ip link set eth0 address 02:00:00:00:00:01",
        "ip addr add 10.88.0.6/16 dev eth0", "ip addr add fd00:88::6/64 dev eth0", "ip addr del 10.88.0.5/16 dev eth0",
        "ip route add 10.9.0.0/16 via 10.88.0.1", "ip -6 route add fd00:9::/64 via fd00:88::1", "ip link set eth0 down",
        "ip link del eth0",
    ]) func changes(script: String) async throws {
        let lab = try await Lab()
        let monitor = try await monitor(lab)
        _ = try monitor.drain()
        try shell(script, in: lab.pod)
        #expect(try tells(monitor))
    }

    @Test func ownLinksAreNoNews() async throws {
        let lab = try await Lab()
        _ = try await lab.bind()
        let monitor = try await monitor(lab)
        // What was there before, and what comes later.
        try shell("ip addr add 10.1.1.1/32 dev slwd0; ip link set slw0 down; ip link set slw0 up", in: lab.pod)
        #expect(try !tells(monitor))
        try await lab.pod.run {
            let owned = FileDescriptor(owning: try check(slipway_tap_create("slw7", 0, 0, 0), "create TAP"))
            try shellHere("ip link set slw7 up; ip addr add 10.1.1.2/24 dev slw7; ip route add 10.5.0.0/16 dev slw7")
            owned.close()
        }
        #expect(try !tells(monitor))
        // A tenant's link under such a name is news.
        try shell("ip link add slw3 type bridge", in: lab.pod)
        #expect(try tells(monitor))
    }

    @Test func moreThanTheSocketHolds() async throws {
        let lab = try await Lab()
        let monitor = try await monitor(lab)
        var size: Int32 = 2048
        #expect(
            setsockopt(monitor.descriptor.raw, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size)) == 0)
        try shell("for i in $(seq 1 50); do ip link set eth0 mtu $((1300 + i)); done", in: lab.pod)
        #expect(try monitor.drain())
        #expect(try !tells(monitor), "the overflow was told once")
        try shell("ip link set eth0 mtu 1500", in: lab.pod)
        #expect(try tells(monitor))
    }
}

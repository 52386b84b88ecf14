import CLinux
import Glibc
import LinuxSystem
import Netlink
import PodNetwork
import Testing

/// Three network namespaces without names: the pod's, and those of a gateway and of a neighbour, all on one bridge.
/// They vanish with the last reference.
struct Lab {
    let gateway: NetworkNamespace
    let pod: NetworkNamespace
    let neighbour: NetworkNamespace

    static let mac = "0a:58:0a:58:00:05"

    init(mtu: UInt32 = 1500) async throws {
        (gateway, pod, neighbour) = (try await Self.namespace(), try await Self.namespace(), try await Self.namespace())
        let (podFile, neighbourFile) = (pod.descriptor, neighbour.descriptor)
        try await gateway.run {
            let netlink = try RTNetlink()
            for (name, file) in [("p0", podFile), ("n0", neighbourFile)] {
                try netlink.createVeth(
                    name, LinkChange(mtu: mtu), peer: "eth0", LinkChange(mtu: mtu), peerNamespace: file)
            }
        }
        try shell(
            """
            ip link set lo up; ip link add br0 type bridge; ip link set br0 mtu \(mtu)
            for l in p0 n0; do ip link set $l master br0 up; done
            ip addr add 10.88.0.1/16 dev br0; ip addr add fd00:88::1/64 dev br0 nodad
            ip addr add fd00:99::1/128 dev lo; ip link set br0 up
            """, in: gateway)
        try shell(
            """
            ip link set eth0 up; ip addr add 10.88.0.9/16 dev eth0; ip addr add fd00:88::9/64 dev eth0 nodad
            """, in: neighbour)
        try shell(
            """
            ip link set lo up; ip link set eth0 address \(Self.mac) up
            ip addr add 10.88.0.5/16 dev eth0; ip addr add fd00:88::5/64 dev eth0 nodad
            ip route add default via 10.88.0.1; ip -6 route add default via fd00:88::1
            """, in: pod)
    }

    static func namespace() async throws -> NetworkNamespace {
        let namespace = try await Thread.run("unshare") {
            try check(slipway_unshare(0x4000_0000), "unshare")
            return try NetworkNamespace(path: "/proc/thread-self/ns/net")
        }
        try shell("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad", in: namespace)
        return namespace
    }

    /// Plans eth0 and binds it.
    func bind(answering: Bool = true) async throws -> (plan: NetworkPlan, service: [AddressServiceLink]) {
        try await pod.run {
            let plan = try NetworkPlan(
                reading: RTNetlink(),
                resolvConf: "nameserver 10.96.0.10\nnameserver fd00:96::a\nsearch a.example b.example")
            let binding = try NetworkBinding()
            let links = try plan.interfaces.compactMap { try binding.bind($0, owner: 0, answering: answering) }
            return (plan, links)
        }
    }

    func unbindAll() async throws {
        try await pod.run { try NetworkBinding().unbindAll() }
    }
}

/// Runs a script in a namespace and returns its output; a failure is the test's.
@discardableResult
func shell(_ script: String, in namespace: NetworkNamespace, seconds: Int32 = 30) throws -> String {
    var spawn = Spawn("/bin/sh", ["-ec", script])
    spawn.networkNamespace = namespace.descriptor
    let (status, output) = try spawn.run(milliseconds: seconds * 1000)
    guard status == .exited(0) else { throw ScriptFailure(script: script, status: status, output: output) }
    return output
}

struct ScriptFailure: Error {
    let script: String
    let status: LinuxSystem.Process.Status
    let output: String
}

/// Whether a script succeeds.
func succeeds(_ script: String, in namespace: NetworkNamespace) -> Bool {
    (try? shell(script, in: namespace)) != nil
}

/// A guest's network stack: a namespace whose eth0 is a TAP, and a thread that carries frames between it and the pod's
/// TAP, as QEMU and the guest's driver do.
final class Guest: Sendable {
    let namespace: NetworkNamespace
    private let stop: FileDescriptor
    private let ended: FileDescriptor

    /// - Parameter offloads: large segments and missing checksums pass, as between virtio-net and its driver.
    init(
        tap name: String, in pod: NetworkNamespace, mac: String = Lab.mac, mtu: UInt32 = 1500, offloads: Bool = false
    ) async throws {
        namespace = try await Lab.namespace()
        let podTap = try await pod.run {
            FileDescriptor(owning: try check(slipway_tap_create(name, 0, 1, 0), "open TAP", name))
        }
        let guestTap = try await namespace.run {
            FileDescriptor(owning: try check(slipway_tap_create("eth0", 0, 0, 0), "open TAP", "eth0"))
        }
        if offloads {
            for end in [podTap, guestTap] {
                // TUNSETOFFLOAD with TUN_F_CSUM, TUN_F_TSO4 and TUN_F_TSO6.
                guard ioctl(end.raw, 0x4004_54d0, 7) == 0 else { throw SystemError.last("TUNSETOFFLOAD", name) }
            }
        }
        let (stopRead, stopWrite) = try FileDescriptor.pipe()
        let (endRead, endWrite) = try FileDescriptor.pipe()
        (stop, ended) = (stopWrite, endRead)
        try Thread.start("relay") {
            while true {
                var entries = [stopRead, podTap, guestTap].map { pollfd(fd: $0.raw, events: Int16(POLLIN), revents: 0) }
                _ = poll(&entries, 3, -1)
                if entries[0].revents != 0 { break }
                if entries[1].revents & Int16(POLLERR) != 0 { break }
                if entries[1].revents != 0, let frame = try? podTap.read(upTo: 70000) { _ = try? guestTap.write(frame) }
                if entries[2].revents != 0, let frame = try? guestTap.read(upTo: 70000) { _ = try? podTap.write(frame) }
            }
            endWrite.close()
        }
        try shell("ip link set lo up; ip link set eth0 address \(mac) mtu \(mtu) up", in: namespace)
    }

    /// Ends the relay and waits for it: the pod's TAP is free for another guest.
    func end() {
        stop.close()
        _ = try? ended.read(upTo: 1)
    }

    deinit { end() }
}

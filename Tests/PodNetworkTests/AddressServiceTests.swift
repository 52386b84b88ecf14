import CLinux
import Foundation
import Glibc
import LinuxSystem
import Netlink
import Synchronization
import TestSupport
import Testing

@testable import PodNetwork

/// The real dnsmasq, the real busybox udhcpc, and Linux' own handling of router advertisements; needs root.
@Suite(.serialized, .timeLimit(.minutes(3))) struct AddressServiceTests {
    final class Running {
        let service: AddressService
        let process: LinuxSystem.Process

        init(_ links: [AddressServiceLink], _ dns: DNSConfiguration, in namespace: NetworkNamespace) throws {
            let directory = NSTemporaryDirectory() + "slipway-dns-\(UUID().uuidString)"
            try File.makeDirectory(directory)
            service = AddressService(directory: directory)
            let configuration = AddressServiceConfiguration(links, dns: dns, hostName: "vnf-0")
            process = try service.prepare(configuration, namespace: namespace.descriptor).start()
        }

        /// Ends it as `delete` does, by the directory, and reaps it.
        func end() throws -> LinuxSystem.Process.Status {
            try service.stop()
            defer { try? File.removeTree(service.directory) }
            return try process.wait()
        }
    }

    @Test func dhcpGivesThePodsAddress() async throws {
        let lab = try await Lab()
        let (plan, links) = try await lab.bind()
        let running = try Running(links, plan.dns, in: lab.pod)
        let guest = try await Guest(tap: "slw0", in: lab.pod)
        defer { guest.end() }
        let lease = try lease(guest)
        #expect(lease["ip"] == "10.88.0.5")
        #expect(lease["subnet"] == "255.255.0.0")
        #expect(lease["router"] == "10.88.0.1")
        #expect(lease["dns"] == "10.96.0.10")
        #expect(lease["mtu"] == "1500")
        #expect(lease["search"] == "a.example b.example")
        #expect(lease["domain"] == "a.example")
        #expect(lease["hostname"] == "vnf-0")
        #expect(lease["lease"] == "4294967295")
        #expect(lease["staticroutes"] == nil)
        // Another NIC gets nothing.
        try shell("ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:77 up", in: guest.namespace)
        #expect(!succeeds("busybox udhcpc -i eth0 -n -q -f -t 2 -T 1 -s /bin/true", in: guest.namespace))
        let status = try running.end()
        #expect(status == .signaled(SIGKILL))
        try await lab.unbindAll()
    }

    @Test func dhcpForARoutedPod() async throws {
        let lab = try await Lab()
        try shell(
            """
            ip addr flush dev eth0 scope global; ip addr add 10.1.1.5/32 dev eth0; ip route add 169.254.1.1 dev eth0 scope link
            ip route add default via 169.254.1.1
            """, in: lab.pod)
        let (plan, links) = try await lab.bind()
        let running = try Running(links, plan.dns, in: lab.pod)
        let guest = try await Guest(tap: "slw0", in: lab.pod)
        defer { guest.end() }
        let lease = try lease(guest)
        #expect(lease["ip"] == "10.1.1.5")
        #expect(lease["mask"] == "32")
        #expect(lease["staticroutes"] == "169.254.1.1/32 0.0.0.0 0.0.0.0/0 169.254.1.1")
        _ = try running.end()
    }

    @Test func networkWithoutAddressesKeepsItsOwnDHCP() async throws {
        let lab = try await Lab()
        try shell("ip addr flush dev eth0", in: lab.pod)
        let (_, links) = try await lab.bind()
        #expect(links.isEmpty)
        let directory = NSTemporaryDirectory() + "slipway-dns-\(UUID().uuidString)"
        try File.makeDirectory(directory)
        defer { try? File.removeTree(directory) }
        // A DHCP server of the network itself, at the gateway.
        var server = Spawn(
            AddressService.executable,
            [
                "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--leasefile-ro", "--interface=br0",
                "--bind-interfaces", "--pid-file=\(directory)/pid", "--dhcp-range=10.88.7.7,10.88.7.7",
                "--log-facility=-",
            ])
        server.networkNamespace = lab.gateway.descriptor
        let process = try server.start()
        defer {
            try? process.signal(SIGKILL)
            _ = try? process.wait()
        }
        let guest = try await Guest(tap: "slw0", in: lab.pod)
        defer { guest.end() }
        #expect(try lease(guest)["ip"] == "10.88.7.7")
    }

    @Test func twoNICsInOneNetwork() async throws {
        let lab = try await Lab()
        let file = lab.pod.descriptor
        try await lab.gateway.run { try RTNetlink().createVeth("p1", peer: "net1", peerNamespace: file) }
        try shell("ip link set p1 master br0 up", in: lab.gateway)
        let mac = "0a:58:0a:58:00:06"
        try shell("ip link set net1 address \(mac) up; ip addr add 10.88.0.6/16 dev net1", in: lab.pod)
        let (plan, links) = try await lab.bind()
        #expect(links.map(\.name) == ["slwd0", "slwd1"])
        let running = try Running(links, plan.dns, in: lab.pod)
        let (first, second) = (
            try await Guest(tap: "slw0", in: lab.pod), try await Guest(tap: "slw1", in: lab.pod, mac: mac)
        )
        defer {
            first.end()
            second.end()
        }
        let leases = (try lease(first), try lease(second))
        #expect(leases.0["ip"] == "10.88.0.5")
        #expect(leases.0["router"] == "10.88.0.1")
        #expect(leases.1["ip"] == "10.88.0.6")
        #expect(leases.1["router"] == nil, "the default route is eth0's")
        // The same NIC under another client identifier, as after another system has booted.
        let again = try shell(
            "busybox udhcpc -i eth0 -n -q -f -t 3 -T 1 -x 0x3d:0011223344 -s /bin/true 2>&1", in: first.namespace)
        #expect(again.contains("10.88.0.5"), "\(again)")
        _ = try running.end()
    }

    @Test func routerAdvertisementLeadsToTheGateway() async throws {
        let lab = try await Lab(mtu: 1400)
        let (plan, links) = try await lab.bind()
        #expect(links.map(\.routes) == [true])
        let running = try Running(links, plan.dns, in: lab.pod)
        let guest = try await Guest(tap: "slw0", in: lab.pod)
        defer { guest.end() }
        let route = try shell(
            "until ip -6 route show default | grep .; do busybox usleep 20000; done", in: guest.namespace, seconds: 15)
        #expect(route.contains("via fe80::53:4c49:5057:4159 dev eth0 proto ra"), "\(route)")
        #expect(route.contains("mtu 1400"), "\(route)")

        let answer = try await guest.namespace.run { try DHCPv6Client().solicit() }
        // Type 2 is ADVERTISE; the address is in it, and so is the name server.
        #expect(answer.first == 2)
        for text in ["fd00:88::5", "fd00:96::a"] { #expect(answer.holds(text), "\(text): \(answer)") }

        try shell("ip addr add fd00:88::5/128 dev eth0 nodad", in: guest.namespace)
        // Behind the gateway, over the advertised router.
        try shell("ping -6 -c 2 -i 0.2 -W 2 fd00:99::1", in: guest.namespace)
        // The router answers neighbour solicitations as a router: the route survives a probe.
        try shell(
            """
            ip -6 neigh flush dev eth0; ping -6 -c 1 -W 2 fd00:99::1
            ip -6 neigh show fe80::53:4c49:5057:4159 dev eth0 | grep -q router; ip -6 route show default | grep -q fe80
            """, in: guest.namespace)
        _ = try running.end()
    }

    // MARK: Supervision

    /// A supervised service and what it has said.
    private func supervised(
        _ links: [AddressServiceLink], _ dns: DNSConfiguration, in lab: Lab, _ journal: Journal
    ) throws -> (AddressServiceProcess, directory: String) {
        let directory = NSTemporaryDirectory() + "slipway-dns-\(UUID().uuidString)"
        try File.makeDirectory(directory)
        let configuration = AddressServiceConfiguration(links, dns: dns, hostName: "vnf-0")
        let process = try AddressServiceProcess(
            AddressService(directory: directory), configuration, namespace: lab.pod.descriptor,
            log: { line in journal.lines.withLock { $0.append(line) } })
        return (process, directory)
    }

    @Test func aServiceThatDiesIsStartedAgain() async throws {
        let lab = try await Lab()
        let (plan, links) = try await lab.bind()
        let journal = Journal()
        let (service, directory) = try supervised(links, plan.dns, in: lab, journal)
        defer { try? File.removeTree(directory) }
        let guest = try await Guest(tap: "slw0", in: lab.pod)
        defer { guest.end() }
        #expect(try lease(guest)["ip"] == "10.88.0.5")
        for round in 1...3 {
            let before = try #require(service.process)
            try before.signal(SIGKILL)
            #expect(await eventually { service.process.map { $0.pid != before.pid } ?? false }, "round \(round)")
            #expect(try lease(guest)["ip"] == "10.88.0.5", "round \(round)")
        }
        #expect(journal.all.count == 3 && journal.all.allSatisfy { $0.contains("signaled(9)") }, "\(journal.all)")
        let last = try #require(service.process)
        service.end()
        service.end()
        #expect(service.process == nil)
        #expect(try last.waitForEnd(milliseconds: 0))
        try await lab.unbindAll()
    }

    /// Another system on the same NIC, as after a reboot into another kernel or behind a boot loader that asked too.
    @Test func anotherDHCPv6IdentifierGetsTheAddressToo() async throws {
        let lab = try await Lab()
        let (plan, links) = try await lab.bind()
        let journal = Journal()
        let (service, directory) = try supervised(links, plan.dns, in: lab, journal)
        defer { try? File.removeTree(directory) }
        let guest = try await Guest(tap: "slw0", in: lab.pod)
        defer { guest.end() }
        try shell("until ip -6 route show default | grep -q .; do busybox usleep 20000; done", in: guest.namespace)
        let namespace = guest.namespace
        func leased(_ duid: [UInt8]) async throws -> Bool {
            try await namespace.run { try DHCPv6Client(duid: duid).lease() }.holds("fd00:88::5")
        }
        let (first, second): ([UInt8], [UInt8]) = ([0, 4, 1, 1, 1, 1], [0, 4, 2, 2, 2, 2])
        #expect(try await leased(first))
        #expect(try await leased(first), "it may ask again")
        #expect(journal.all.isEmpty, "\(journal.all)")
        // The first try is refused, and is why the next one is not.
        #expect(try await eventually(within: .seconds(20)) { try await leased(second) }, "\(journal.all)")
        #expect(journal.all.count == 1, "\(journal.all)")
        service.end()
        try await lab.unbindAll()
    }

    @Test func aServiceThatCannotLiveIsStartedLessAndLessOften() async throws {
        let journal = Journal()
        let log: @Sendable (String) -> Void = { line in journal.lines.withLock { $0.append(line) } }
        let plan = InterfacePlan(link: "eth0", number: 0, mac: try #require(MACAddress(Lab.mac)), mtu: 1500)
        let configuration = AddressServiceConfiguration(
            [AddressServiceLink(name: "slwd0", index: 7, plan: plan, routes: false)], dns: DNSConfiguration(),
            hostName: "vnf-0")
        let service = try AddressServiceProcess(
            configuration, AddressServiceProcess.Pace(shortest: 10, longest: 80, settled: 60_000), log: log
        ) { _ in Spawn("/bin/sh", ["-c", "echo dnsmasq: bad option at line 3 >&2; exit 1"]) }
        #expect(await eventually { journal.all.count == 5 })
        service.end()
        #expect(
            Array(journal.all.prefix(5))
                == [10, 20, 40, 80, 80].map {
                    "the pod's address service ended (exited(1)): dnsmasq: bad option at line 3; "
                        + "it is started again in \($0) ms"
                })
        let count = journal.all.count
        #expect(throws: SystemError("execve", "/none", code: ENOENT)) {
            try AddressServiceProcess(configuration, .init(), log: log) { _ in Spawn("/none") }
        }
        #expect(journal.all.count == count)
    }

    @Test func whatAServiceSays() {
        var lines = ServiceLines()
        lines.take(Array("dnsmasq-dhcp[1]: DHCPADVERTISE(slwd0) 00:04:01 no addr".utf8))
        #expect(lines.last.isEmpty && !lines.areWithoutAddresses)
        lines.take(Array("esses available\nx\u{1b}y\n".utf8) + [UInt8](repeating: 65, count: 5000) + [10])
        #expect(lines.areWithoutAddresses)
        #expect(lines.last.utf8.count == ServiceLines.limit)
        lines.take(Array("x\u{1b}y\n".utf8))
        #expect(lines.last == "x?y")
        var other = ServiceLines()
        other.take(Array("dnsmasq-dhcp[1]: DHCPSOLICIT(slwd0) no addresses available\nno addresses available\n".utf8))
        #expect(!other.areWithoutAddresses)
    }

    @Test func fiftyStartsAndStops() async throws {
        let lab = try await Lab()
        let (plan, links) = try await lab.bind()
        for _ in 0..<50 {
            let running = try Running(links, plan.dns, in: lab.pod)
            #expect(try running.end() == .signaled(SIGKILL))
            #expect(!File.exists(running.service.directory))
        }
    }

    @Test func stopTouchesNobodyElse() throws {
        let directory = NSTemporaryDirectory() + "slipway-dns-\(UUID().uuidString)"
        try File.makeDirectory(directory)
        defer { try? File.removeTree(directory) }
        let service = AddressService(directory: directory)
        try service.stop()
        let other = try Spawn(
            AddressService.executable,
            [
                "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--log-facility=-",
                "--pid-file=\(directory)/dnsmasq.pid",
            ]
        ).start()
        try service.stop()
        #expect(try other.waitForEnd(milliseconds: 0) == false)
        try other.signal(SIGKILL)
        _ = try other.wait()
    }
}

import Foundation
import LinuxSystem
import Netlink
import Synchronization
import TestSupport
import Testing

@testable import PodNetwork

/// NICs come and go while the real dnsmasq answers the real busybox udhcpc; needs root.
@Suite(.serialized, .timeLimit(.minutes(3))) struct AddressServiceUpdateTests {
    /// A pod with four NICs: eth0 of the lab, and three on networks of their own.
    struct Pod {
        let lab: Lab
        let plan: NetworkPlan
        let directory: String
        let journal = Journal()

        init() async throws {
            lab = try await Lab()
            let file = lab.pod.descriptor
            try await lab.gateway.run {
                for number in 1...3 {
                    try RTNetlink().createVeth("g\(number)", peer: "net\(number)", peerNamespace: file)
                }
            }
            try shell(
                """
                for n in 1 2 3; do
                    ip addr add 10.89.$n.1/24 dev g$n; ip addr add fd00:89:$n::1/64 dev g$n nodad
                    ip link set g$n mtu 9000 up
                done
                """, in: lab.gateway)
            try shell(
                """
                for n in 1 2 3; do ip link set net$n address 0a:58:0a:59:00:0$n mtu 9000 up; done
                ip addr add 10.89.1.5/24 dev net1; ip addr add fd00:89:1::5/64 dev net1 nodad
                ip route add 10.200.0.0/16 via 10.89.1.1
                ip addr add 10.89.2.5/24 dev net2; ip route add default via 10.89.2.1 metric 500
                ip addr add fd00:89:3::5/64 dev net3 nodad; ip -6 route add default via fd00:89:3::1 metric 2048
                """, in: lab.pod)
            plan = try await lab.pod.run {
                try NetworkPlan(reading: RTNetlink(), resolvConf: "nameserver 10.96.0.10\nnameserver fd00:96::a")
            }
            directory = NSTemporaryDirectory() + "slipway-dns-\(UUID().uuidString)"
            try File.makeDirectory(directory)
        }

        func bind(_ number: Int) async throws -> AddressServiceLink {
            let interface = plan.interfaces[number]
            return try #require(await lab.pod.run { try NetworkBinding().bind(interface, owner: 0) })
        }

        func unbind(_ number: Int) async throws {
            let tap = plan.interfaces[number].tap
            try await lab.pod.run { try NetworkBinding().unbind(tap: tap) }
        }

        func configuration(_ links: [AddressServiceLink]) -> AddressServiceConfiguration {
            AddressServiceConfiguration(links, dns: plan.dns, hostName: "vnf-0")
        }

        func start(_ links: [AddressServiceLink]) throws -> AddressServiceProcess {
            try AddressServiceProcess(
                AddressService(directory: directory), configuration(links), namespace: lab.pod.descriptor,
                log: { [journal] line in journal.lines.withLock { $0.append(line) } })
        }

        func guest(_ number: Int) async throws -> Guest {
            let interface = plan.interfaces[number]
            return try await Guest(tap: interface.tap, in: lab.pod, mac: "\(interface.mac)", mtu: interface.mtu)
        }

        func remove() async throws {
            try await lab.unbindAll()
            try File.removeTree(directory)
        }
    }

    @Test func eachOfFourNICsIsToldItsOwn() async throws {
        let pod = try await Pod()
        var links: [AddressServiceLink] = []
        for number in 0..<4 { links.append(try await pod.bind(number)) }
        let service = try pod.start(links)
        var guests: [Guest] = []
        for number in 0..<4 { guests.append(try await pod.guest(number)) }
        defer { for guest in guests { guest.end() } }

        let leases = try guests.prefix(3).map { try lease($0) }
        #expect(leases.map { $0["ip"] } == ["10.88.0.5", "10.89.1.5", "10.89.2.5"])
        #expect(leases.map { $0["mtu"] } == ["1500", "9000", "9000"])
        #expect(leases.map { $0["dns"] } == ["10.96.0.10", "10.96.0.10", "10.96.0.10"])
        #expect(leases.map { $0["router"] } == ["10.88.0.1", nil, nil], "one default route")
        #expect(leases.map { $0["staticroutes"] } == [nil, "10.200.0.0/16 10.89.1.1", nil])
        #expect(!succeeds("busybox udhcpc -i eth0 -n -q -f -t 2 -T 1 -s /bin/true", in: guests[3].namespace))

        for (number, address, mtu, router) in [
            (0, "fd00:88::5", 1500, "medium"), (1, "fd00:89:1::5", 9000, nil), (3, "fd00:89:3::5", 9000, "low"),
        ] as [(Int, String, Int, String?)] {
            let namespace = guests[number].namespace
            try shell(
                """
                until ip -6 route show proto kernel dev eth0 | grep -q ^fd00; do busybox usleep 20000; done
                test "$(cat /proc/sys/net/ipv6/conf/eth0/mtu)" = \(mtu)
                """, in: namespace, seconds: 15)
            let route = try shell("ip -6 route show default", in: namespace)
            #expect(route.isEmpty == (router == nil), "\(number): \(route)")
            if let router { #expect(route.contains("pref \(router)"), "\(number): \(route)") }
            #expect(try await namespace.run { try DHCPv6Client().lease() }.holds(address), "\(number)")
        }
        #expect(pod.journal.all.isEmpty, "\(pod.journal.all)")
        service.end()
        try await pod.remove()
    }

    @Test func runsWhileANICNeedsIt() async throws {
        let pod = try await Pod()
        let service = try pod.start([])
        #expect(service.process == nil)
        try service.update(pod.configuration([]))
        #expect(service.process == nil)

        var links = [try await pod.bind(0)]
        try service.update(pod.configuration(links))
        let first = try #require(service.process)
        let guest = try await pod.guest(0)
        defer { guest.end() }
        #expect(try lease(guest)["ip"] == "10.88.0.5")

        try service.update(pod.configuration(links))
        #expect(service.process?.pid == first.pid, "nothing has changed")

        links.append(try await pod.bind(3))
        try service.update(pod.configuration(links))
        let second = try #require(service.process)
        #expect(second.pid != first.pid)
        #expect(try first.waitForEnd(milliseconds: 0))
        #expect(try lease(guest)["ip"] == "10.88.0.5")

        // The same name and the same plan, and yet another link: dnsmasq has to join its multicast groups.
        try await pod.unbind(3)
        links[1] = try await pod.bind(3)
        try service.update(pod.configuration(links))
        #expect(service.process.map { $0.pid != second.pid } == true)
        let other = try await pod.guest(3)
        defer { other.end() }
        try shell(
            "until ip -6 route show proto kernel dev eth0 | grep -q ^fd00; do busybox usleep 20000; done",
            in: other.namespace, seconds: 15)
        #expect(try await other.namespace.run { try DHCPv6Client().lease() }.holds("fd00:89:3::5"))

        let last = try #require(service.process)
        try service.update(pod.configuration([]))
        #expect(service.process == nil)
        #expect(try last.waitForEnd(milliseconds: 0))
        try service.update(pod.configuration(Array(links.prefix(1))))
        #expect(try lease(guest)["ip"] == "10.88.0.5")
        #expect(pod.journal.all.isEmpty, "\(pod.journal.all)")
        service.end()
        try service.update(pod.configuration(links))
        #expect(service.process == nil, "it has ended")
        try await pod.remove()
    }

    /// A link that vanishes before anybody says so takes no other NIC's answers away.
    @Test func aLinkVanishes() async throws {
        let pod = try await Pod()
        let links = [try await pod.bind(0), try await pod.bind(1), try await pod.bind(3)]
        let service = try pod.start(links)
        let guest = try await pod.guest(0)
        defer { guest.end() }
        #expect(try lease(guest)["ip"] == "10.88.0.5")
        let before = service.process?.pid
        try await pod.unbind(1)
        try await pod.unbind(3)
        #expect(try lease(guest)["ip"] == "10.88.0.5")
        #expect(service.process?.pid == before)
        // Dead, it cannot be started with links that are not there, until it is told that they are gone.
        try service.process?.signal(SIGKILL)
        #expect(await eventually { pod.journal.all.contains { $0.contains("exited(") } }, "\(pod.journal.all)")
        try service.update(pod.configuration(Array(links.prefix(1))))
        #expect(try lease(guest)["ip"] == "10.88.0.5")
        service.end()
        try await pod.remove()
    }

    /// A guest that asks all the time while another NIC comes and goes is always answered.
    @Test func clientsAreAnsweredDuringChanges() async throws {
        let pod = try await Pod()
        let stays = try await pod.bind(0)
        let service = try pod.start([stays])
        let guest = try await pod.guest(0)
        defer { guest.end() }
        #expect(try lease(guest)["ip"] == "10.88.0.5")
        let namespace = guest.namespace
        async let asking = Thread.run("asking") {
            try shell(
                """
                for i in $(seq 40); do
                    busybox udhcpc -i eth0 -n -q -f -t 10 -T 1 -s /bin/true 2>&1 | grep -c 'lease of 10.88.0.5'
                done
                """, in: namespace, seconds: 120)
        }
        for _ in 0..<10 {
            let comes = try await pod.bind(1)
            try service.update(pod.configuration([stays, comes]))
            let other = try await pod.guest(1)
            #expect(try lease(other)["ip"] == "10.89.1.5")
            other.end()
            try await pod.unbind(1)
            try service.update(pod.configuration([stays]))
        }
        #expect(try await asking == String(repeating: "1\n", count: 40))
        #expect(pod.journal.all.isEmpty, "\(pod.journal.all)")
        service.end()
        try await pod.remove()
    }

    @Test func whatCannotBeStartedIsTriedAgain() throws {
        let journal = Journal()
        let plan = InterfacePlan(link: "eth0", number: 0, mac: try #require(MACAddress(Lab.mac)), mtu: 1500)
        func configuration(_ index: Int32) -> AddressServiceConfiguration {
            AddressServiceConfiguration(
                [AddressServiceLink(name: "slwd0", index: index, plan: plan, routes: false)], dns: DNSConfiguration(),
                hostName: "vnf-0")
        }
        let service = try AddressServiceProcess(
            configuration(1), AddressServiceProcess.Pace(shortest: 10, longest: 10, settled: 60_000),
            log: { line in journal.lines.withLock { $0.append(line) } },
            prepare: { configuration throws(SystemError) in
                if configuration.text.contains("# link 3\n") { throw SystemError("write", "conf", code: ENOSPC) }
                return configuration.text.contains("# link 1\n") ? Spawn("/bin/sleep", ["1000"]) : Spawn("/none")
            })
        let first = try #require(service.process)
        #expect(throws: SystemError("write", "conf", code: ENOSPC)) { try service.update(configuration(3)) }
        #expect(service.process?.pid == first.pid, "it is as it was")
        #expect(throws: SystemError("execve", "/none", code: ENOENT)) { try service.update(configuration(2)) }
        #expect(try first.waitForEnd(milliseconds: 0))
        try service.update(configuration(1))
        #expect(service.process != nil)
        service.end()
        #expect(service.process == nil)
    }
}

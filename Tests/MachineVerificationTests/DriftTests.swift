import HostFixtures
import HostTopology
import MachinePlanning
import MachineVerification
import PodNetwork
import Testing

@Suite struct DriftTests {
    @Test func whatIsAsPlannedIsNoDrift() throws {
        #expect(try ObservedMachine.healthy.drift(from: .pinned()) == [])
    }

    @Test func NICsHangOnTheirTAPs() throws {
        let plan = try MachinePlan.pinned { request in
            request.links = [
                RequestedLink("eth0", number: 0, backend: .tap(device: "slw0"), mac: "02:00:00:00:00:01", mtu: 1500),
                RequestedLink(
                    "net1", number: 1, backend: .tap(device: "slw1"), mac: "02:00:00:00:00:02", mtu: 1500, queues: 2),
            ]
            request.cpus = [4, 5]
        }
        var machine = ObservedMachine.healthy
        machine.taps = Array(repeating: "slw0", count: plan.nics[0].queues.value) + ["slw1", "slw1"]
        machine.network = .joining(["eth0", "net1"])
        #expect(machine.drift(from: plan) == [])
        machine.taps = ["slw0", "slw1", "slw7"] + Array(repeating: "slw0", count: plan.nics[0].queues.value - 1)
        #expect(machine.drift(from: plan).map(\.subject) == ["NIC net1", "TAP slw7"])
        machine.taps = Array(repeating: "slw0", count: plan.nics[0].queues.value)
        machine.network?.links.removeAll { $0.name != "eth0" && $0.name != "slw0" }
        #expect(machine.drift(from: plan).map(\.subject) == ["NIC net1", "NIC net1", "NIC net1"])
    }

    @Test func framesReachTheirNICs() throws {
        let plan = try MachinePlan.pinned { request in
            request.links = [
                RequestedLink("eth0", number: 0, backend: .tap(device: "slw0"), mac: "02:00:00:00:00:01", mtu: 1500)
            ]
        }
        var machine = ObservedMachine.healthy
        machine.taps = Array(repeating: "slw0", count: plan.nics[0].queues.value)
        machine.network = .joining(["eth0"])
        machine.network?.links[0].arriving = []
        #expect(
            machine.drift(from: plan).map(\.description) == [
                """
                NIC eth0: planned what arrives on eth0 leaves by slw0, found no such filter; somebody has changed the \
                traffic control of the pod's links: delete the pod
                """
            ])
    }

    /// A macvtap of another namespace is open by the path of its device alone.
    @Test func NICsWithoutTAPs() throws {
        let plan = try MachinePlan.pinned { request in
            request.links = [
                RequestedLink(
                    "eth0", number: 0, backend: .macvtap(device: "eth0"), mac: "02:00:00:00:00:01", mtu: 1500),
                RequestedLink(
                    "net1", number: 1, backend: .vhostUser(path: "/run/switch/port1", listens: false),
                    mac: "02:00:00:00:00:02", mtu: 1500),
                RequestedLink(
                    "net2", number: 2, backend: .vdpa(path: "/dev/vhost-vdpa-0"), mac: "02:00:00:00:00:03", mtu: 1500),
            ]
        }
        var machine = ObservedMachine.healthy
        machine.taps = Array(repeating: "eth0", count: plan.nics[0].queues.value)
        machine.openDevices = ["kvm", "vhost-vdpa-0"]
        machine.connections = ["/another/view/of/port1"]
        #expect(machine.drift(from: plan) == [])
        machine.taps = ["/dev/tap7"]
        machine.openDevices = ["kvm", "vhost-vdpa-1"]
        machine.connections = ["/run/switch/port12"]
        #expect(
            machine.drift(from: plan).map { "\($0.subject): \($0.planned), \($0.found)" } == [
                "NIC eth0: on eth0, QEMU has not opened it",
                "NIC net1: connected over /run/switch/port1, not connected",
                "NIC net2: on /dev/vhost-vdpa-0, QEMU has not opened it", "TAP /dev/tap7: not the machine's, open",
            ])
    }

    @Test func aVCPUOnAnotherCPU() throws {
        var machine = ObservedMachine.healthy
        machine.threads[3].cpus = [5, 6]
        let drift = try machine.drift(from: .pinned())
        #expect(drift.map(\.subject) == ["vCPU 1, thread 10"])
        #expect(drift.first?.planned == "CPU 5" && drift.first?.found == "CPUs 5-6")
        #expect(drift.first?.severity == .drift)
    }

    @Test func aVCPUWithoutThreadOrWithTwo() throws {
        var machine = ObservedMachine.healthy
        machine.threads.remove(at: 3)
        #expect(try machine.drift(from: .pinned()).map(\.found) == ["none"])
        machine = .healthy
        machine.threads.append(ObservedThread(id: 99, name: "CPU 1/KVM", cpus: [5]))
        #expect(try machine.drift(from: .pinned()).map(\.found) == ["2 of them"])
    }

    @Test func othersOfItsThreads() throws {
        var machine = ObservedMachine.healthy
        machine.threads[0].cpus = [4]
        machine.threads[1].cpus = [0, 4]
        machine.threads[4].cpus = [4]
        #expect(try machine.drift(from: .pinned()).map(\.subject) == ["I/O thread IO iothread1, thread 8"])
        // The kernel's own may be on a vCPU's CPU, QEMU's may not.
        let isolated = try MachinePlan.pinned {
            $0.cpus = [4, 5, 6]
            $0.cpuShares = 3072
            $0.annotations.emulatorThreads = .isolate
        }
        #expect(isolated.placement.emulator.value == [6])
        machine = .healthy
        machine.threads[0].cpus = [6]
        machine.threads[1].cpus = [6]
        #expect(machine.drift(from: isolated) == [])
        machine.threads.append(ObservedThread(id: 12, name: "vhost-7", cpus: [5]))
        #expect(machine.drift(from: isolated).map(\.subject) == ["emulator vhost-7, thread 12"])
    }

    @Test func realtimeIsFIFOLockedAndWithoutQuota() throws {
        let plan = try MachinePlan.pinned { $0.annotations.realtime = true }
        #expect(plan.placement.realtime.value == [1])
        var machine = ObservedMachine.healthy
        for index in machine.threads.indices.prefix(2) { machine.threads[index].cpus = [4] }
        #expect(machine.drift(from: plan).map(\.subject) == ["vCPU 1, scheduler", "locked memory"])
        machine.threads[3].policy = .fifo(1)
        machine.locked = 4096
        #expect(machine.drift(from: plan) == [])
        machine.cgroup?.cpuQuota = 200_000
        #expect(machine.drift(from: plan).map(\.subject) == ["CPU quota"])
        machine.threads[2].policy = .fifo(1)
        #expect(machine.drift(from: plan).map(\.subject) == ["vCPU 0, scheduler", "CPU quota"])
    }

    @Test func pagesOnAnotherNode() throws {
        var machine = ObservedMachine.healthy
        machine.memory[0].bytes = [0: 2 << 20, 1: (1 << 30) - (2 << 20)]
        let drift = try machine.drift(from: .pinned())
        #expect(drift.map(\.subject) == ["RAM, 2 MiB pages, node 0", "RAM, 2 MiB pages, node 1"])
        #expect(drift.map(\.found) == ["2 MiB", "1022 MiB"])
        // Preferred: where they are is worth a note, how many there are is exact.
        let preferred = try MachinePlan.pinned { $0.annotations.numaPolicy = .preferred }
        #expect(machine.drift(from: preferred).map(\.severity) == [.note])
        machine.memory[0].bytes = [1: 1 << 29]
        #expect(machine.drift(from: preferred).map(\.severity) == [.drift])
    }

    @Test func pagesOfAnotherSize() throws {
        var machine = ObservedMachine.healthy
        machine.memory.append(ObservedMemory(hugePages: 1 << 30, policy: "default", bytes: [0: 1 << 30]))
        #expect(try machine.drift(from: .pinned()).map(\.subject) == ["huge pages of another size"])
    }

    @Test func ordinaryMemoryIsDriftOnlyWhereItIsBound() throws {
        var machine = ObservedMachine.healthy
        machine.memory = [
            ObservedMemory(policy: "default", bytes: [0: 50 << 20, 1: 50 << 20]),
            ObservedMemory(policy: "bind:1", bytes: [0: 4096, 1: 100 << 20]),
        ]
        machine.cgroup?.hugePages = []
        func plan(_ policy: MachineAnnotations.NUMAPolicy) throws -> MachinePlan {
            try .pinned {
                $0.hugePages = HugePageSources()
                $0.memoryLimit = 512 << 20
                $0.annotations.numaPolicy = policy
            }
        }
        #expect(try machine.drift(from: plan(.preferred)) == [])
        let drift = try machine.drift(from: plan(.strict))
        #expect(drift.map(\.subject) == ["RAM on node 0"] && drift.first?.found == "4 KiB")
    }

    @Test func aCPUThatSomebodyElseHasToo() throws {
        let others = [Holding(pod: "nf/firewall", cpus: [5, 6]), Holding(pod: "nf/nat", cpus: [7])]
        let drift = try ObservedMachine.healthy.drift(from: .pinned(), others: others)
        #expect(drift.map(\.found) == ["CPU 5 also for pod nf/firewall"])
    }

    @Test func theClaim() throws {
        let plan = try MachinePlan.pinned()
        #expect(ObservedMachine.healthy.drift(from: plan, own: .some(nil)).map(\.subject) == ["claim"])
        let less = Holding(pod: "nf/router", cpus: [4], pages: plan.placement.holdings)
        #expect(ObservedMachine.healthy.drift(from: plan, own: less).map(\.found) == ["CPU 4, 512 × 2 MiB on node 1"])
    }

    @Test func theCgroup() throws {
        var machine = ObservedMachine.healthy
        machine.cgroup?.hugePages = [.init(size: 2 << 20, used: 1 << 29, limit: 1 << 29)]
        machine.cgroup?.holdsMachine = false
        let subjects = try machine.drift(from: .pinned()).map(\.subject)
        #expect(subjects == ["cgroup", "huge pages of the cgroup", "limit of huge pages"])
        machine.cgroup = nil
        #expect(try machine.drift(from: .pinned()).map(\.subject) == ["cgroup"])
    }

    @Test func privileges() throws {
        var machine = ObservedMachine.healthy
        machine.privileges = .init(user: 0, group: 0, capabilities: 1, noNewPrivileges: false, filtered: false)
        let subjects = try machine.drift(from: .pinned()).map(\.subject)
        #expect(subjects == ["user", "capabilities", "no_new_privs", "seccomp"])
    }

    @Test func aPassedFunctionIsOpenAndNoOtherIs() throws {
        var host = HostFixtures.twoSocketsSMT
        let index = try #require(host.devices.firstIndex { $0.node == 1 && $0.iommuGroup != nil })
        host.devices[index].driver = "vfio-pci"
        let device = host.devices[index]
        let group = try #require(device.iommuGroup)
        var request = MachineRequest.sample
        request.cpus = [4, 5]
        request.cpuShares = 2048
        request.hugePages = HugePageSources(limits: [2 << 20: 1 << 30])
        request.devices = [device.address]
        let plan = try MachinePlan(request, on: host)
        func drift(_ machine: ObservedMachine) -> [Drift] {
            let own = Holding(pod: "", cpus: [4, 5], pages: plan.placement.holdings)
            return Drift.between(plan, machine, on: host, own: own, others: [])
        }
        var machine = ObservedMachine.healthy
        #expect(drift(machine).map(\.found) == ["not open", "not there"])
        machine.devices = ["null", "vfio/\(group)", "vfio/vfio"]
        machine.openDevices = ["vfio/\(group)"]
        #expect(drift(machine) == [])
        machine.openDevices = ["vfio/\(group)", "vfio/\(group + 1)"]
        machine.devices.append("vfio/\(group + 2)")
        #expect(drift(machine).map(\.severity) == [.drift, .note])
        #expect(drift(machine).first?.found == "/dev/vfio/\(group + 1)")
    }

    @Test func aMachineThatWasChangedSinceItsStart() throws {
        var machine = ObservedMachine.healthy
        machine.definition = DomainPins(vcpus: [0: [4], 1: [5]])
        #expect(try machine.drift(from: .pinned()) == [])
        machine.definition = DomainPins(vcpus: [0: [4], 1: [6]])
        let drift = try machine.drift(from: .pinned())
        #expect(drift.map(\.severity) == [.note] && drift.first?.found == "0→4 1→6")
    }
}

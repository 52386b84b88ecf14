import HostTopology
import MachinePlanning
import Testing

@Suite struct NICTests {
    private let path = "/run/switch/port.sock"

    private func plan(_ change: (inout MachineRequest) -> Void) throws(PlanRefusal) -> MachinePlan {
        var request = MachineRequest.sample
        request.accelerator = Decision(.kvm, "proven")
        change(&request)
        return try MachinePlan(request, on: .plain)
    }

    private func refusal(_ body: () throws(PlanRefusal) -> MachinePlan) -> PlanRefusal? {
        do throws(PlanRefusal) {
            _ = try body()
            return nil
        } catch {
            return error
        }
    }

    private func link(_ number: Int, _ backend: NICBackend? = nil) -> RequestedLink {
        RequestedLink(
            "net\(number)", number: number, backend: backend ?? .tap(device: "slw\(number)"),
            mac: "02:00:00:00:00:01", mtu: 1500)
    }

    private func request(vcpus: Int, _ links: [RequestedLink]) -> (inout MachineRequest) -> Void {
        { request in
            (request.cpuQuota, request.cpuPeriod) = (Int64(vcpus) * 100_000, 100_000)
            request.links = links
        }
    }

    // MARK: Queues and who serves them

    @Test(arguments: [(1, 1, 1), (4, 1, 4), (8, 8, 8), (64, 1, 8), (8, 9, 7), (8, 16, 4), (64, 32, 2)])
    func queuesFollowTheVCPUsAndDoNotMultiply(vcpus: Int, nics: Int, queues: Int) throws {
        let plan = try plan(request(vcpus: vcpus, RequestedLink.taps(nics)))
        #expect(plan.nics.allSatisfy { $0.queues.value == queues }, "\(plan.nics.map(\.queues))")
        #expect(plan.nics.allSatisfy { !$0.queues.reason.isEmpty })
    }

    @Test func vCPUsThatMayComeHaveQueues() throws {
        let plan = try plan {
            $0.links = [link(0)]
            $0.annotations.maxCPUs = 4
        }
        #expect(plan.nics.map(\.queues) == [Decision(4, "one for each of 4 vCPUs")])
    }

    @Test func vhostNetIsForGuestsOfKVM() throws {
        func driver(_ accelerator: Accelerator, _ has: Bool, _ backend: NICBackend) throws -> MachinePlan.NIC.Driver? {
            try plan {
                $0.accelerator.value = accelerator
                $0.hasVhostNet = has
                $0.links = [link(0, backend)]
            }.nics.first?.driver.value
        }
        #expect(try driver(.kvm, true, .tap(device: "t")) == .vhost)
        #expect(try driver(.kvm, true, .macvtap(device: "t")) == .vhost)
        #expect(try driver(.kvm, false, .tap(device: "t")) == .qemu)
        #expect(try driver(.tcg, true, .tap(device: "t")) == .qemu)
        #expect(try driver(.kvm, true, .vhostUser(path: path, listens: true)) == .peer)
        #expect(try driver(.kvm, true, .vdpa(path: "/dev/vhost-vdpa-0")) == .peer)
    }

    @Test func vhostUserWithoutKVMHasOneQueue() throws {
        let backend = NICBackend.vhostUser(path: path, listens: false)
        var link = link(0, backend)
        func plan(_ link: RequestedLink) throws(PlanRefusal) -> MachinePlan {
            try self.plan {
                request(vcpus: 4, [link])(&$0)
                $0.accelerator.value = .tcg
            }
        }
        #expect(try plan(link).nics.map(\.queues.value) == [1])
        link.queues = 2
        #expect(
            refusal { () throws(PlanRefusal) in try plan(link) }?.description
                == "network, link net0: asks for 2 queues; a vhost-user NIC has 1 where QEMU's translator executes the "
                + "guest, as each more needs MSI-X, which ends QEMU there")
    }

    @Test func aMacvtapHasOneQueueUnlessItIsAskedForMore() throws {
        var link = link(0, .macvtap(device: "t"))
        #expect(try plan(request(vcpus: 4, [link])).nics.map(\.queues.value) == [1])
        link.queues = 4
        #expect(try plan(request(vcpus: 4, [link])).nics.map(\.queues.value) == [4])
    }

    // MARK: Places

    @Test func aNICsPlaceFollowsFromItsNumber() throws {
        let plan = try plan { $0.links = [link(0), link(3)] }
        #expect(plan.nics.map(\.bus) == [1, 4] && plan.nics.map(\.alias) == ["ua-nic0", "ua-nic3"])
        #expect(plan.nicPorts.value == 12, "up to number 3, and 8 more")
    }

    @Test func aNICComesAndGoes() throws {
        let plan = try plan {
            $0.links = [link(0), link(2)]
            $0.annotations.hotNICs = 1
        }
        let more = try plan.adding(link(1))
        #expect(more.nics.map(\.number) == [0, 1, 2] && more.nics.map(\.bus) == [1, 2, 3])
        #expect(more.nic(1)?.reason == "NIC 1, plugged in while the machine ran")
        #expect(try plan.adding(link(3)).nics.map(\.bus) == [1, 3, 4])
        #expect(more.removing(1) == plan && plan.removing(1) == plan)
        #expect(more.removing(0).nics.map(\.bus) == [2, 3], "the others stay where they are")
    }

    @Test func aNICThatComesTakesWhatIsLeftOfTheQueues() throws {
        let plan = try plan(request(vcpus: 8, RequestedLink.taps(8)))
        #expect(try plan.adding(link(8)).nic(8)?.queues.value == 1)
        #expect(try plan.removing(0).adding(link(0)).nic(0)?.queues.value == 8)
    }

    @Test func aNICThatHasNoPlaceIsRefused() throws {
        let plan = try plan {
            $0.links = [link(0)]
            $0.annotations.hotNICs = 1
        }
        let none = refusal { () throws(PlanRefusal) in try plan.adding(link(2)) }
        #expect(none?.kind == .exhausted)
        #expect(
            none?.description
                == "network, link net2: would be NIC 2 of a machine with 2 root ports for NICs; remove another one, or "
                + "start the pod with a larger slipway.dev/hot-nics")
        #expect(
            refusal { () throws(PlanRefusal) in try plan.adding(link(0)) }?.description
                == "network, link net0: has the number 0, which link net0 has already")
        #expect(refusal { () throws(PlanRefusal) in try plan.adding(link(-1)) } != nil)
        #expect(refusal { () throws(PlanRefusal) in try self.plan { $0.links = [link(32)] } } != nil)
        #expect(refusal { () throws(PlanRefusal) in try self.plan { $0.links = [link(1), link(1)] } } != nil)
    }

    // MARK: Memory

    @Test(arguments: [
        (NICBackend.vhostUser(path: "/run/switch/port1.sock", listens: false), "a vhost-user socket"),
        (.vdpa(path: "/dev/vhost-vdpa-0"), "a vDPA device"),
    ])
    func memoryIsSharedWithASwitchAndWithNobodyElse(_ backend: NICBackend, _ kind: String) throws {
        #expect(try !plan { $0.links = [link(0)] }.sharedMemory.value)
        #expect(try plan { $0.links = [link(0, backend)] }.sharedMemory.value)
        let asked = try plan { $0.annotations.sharedMemory = true }
        #expect(asked.sharedMemory == Decision(true, "slipway.dev/shared-memory"))
        #expect(try asked.adding(link(0, backend)).nics.count == 1)
        #expect(
            refusal { () throws(PlanRefusal) in try plan { _ in }.adding(link(0, backend)) }?.description
                == "network, link net0: is \(kind), and the machine's memory is not shared; start the pod "
                + "with slipway.dev/shared-memory: \"true\"")
    }

    // MARK: Settings

    @Test func settingsThatCannotBeAreRefused() throws {
        func problem(_ backend: NICBackend, _ change: (inout RequestedLink) -> Void) -> String? {
            var link = link(0, backend)
            change(&link)
            return refusal { () throws(PlanRefusal) in try plan { $0.links = [link] } }?.problem
        }
        let (tap, user) = (NICBackend.tap(device: "t"), NICBackend.vhostUser(path: path, listens: true))
        let function = NICBackend.hostDevice(address: "0000:3b:02.1", isManaged: false)
        #expect(problem(tap) { $0.queues = 0 } == "asks for 0 queues; 1 to 128 are accepted")
        #expect(problem(tap) { $0.queues = 129 } == "asks for 129 queues; 1 to 128 are accepted")
        #expect(problem(tap) { $0.queues = 128 } == nil)
        #expect(problem(tap) { $0.rxRing = 300 } == "asks for a receive ring of 300; 256, 512 and 1024 are accepted")
        #expect(
            problem(tap) { $0.txRing = 1024 }
                == "asks for a send ring of 1024; 256 is accepted, and up to 1024 for vhost-user alone")
        #expect(problem(user) { ($0.rxRing, $0.txRing, $0.queues) = (1024, 1024, 4) } == nil)
        #expect(problem(user) { $0.txRing = 2048 } == "asks for a send ring of 2048; 256, 512 and 1024 are accepted")
        #expect(problem(tap) { $0.mtu = 67 } == "has an MTU of 67; 68 to 65535 are accepted")
        #expect(
            problem(function) { $0.queues = 2 }
                == "is a PCI function, whose queues, rings and carrier are its hardware's; leave them out")
        #expect(problem(function) { _ in } == "the PCI function 0000:3b:02.1 is not on this node")
    }
}

import DiskImage
import Glibc
import HostFixtures
import LinuxSystem
import MachinePlanning
import PodNetwork
import Synchronization
import Testing

@testable import LibvirtMachine

/// A machine without a guest: its NICs are joined to real links, and what was asked of it is written down.
final class FakeMachine: FollowedMachine {
    enum Event: Equatable {
        case plugged(String)
        case unplugged(Int)
        case carrier(Int, Bool)
    }

    private struct State {
        var plan: MachinePlan
        var events: [Event] = []
        var failures: Set<String> = []
        var looks = 0
        var departure: (@Sendable (String) -> Void)?
    }

    private let state: Mutex<State>
    let ended: FileDescriptor

    init(_ network: MachineNetwork) throws {
        let identity = MachineIdentity(
            container: "0123456789ab", sandbox: "fedcba987654", podName: "a", podNamespace: "b", podUID: "c",
            containerName: "d")
        var request = MachineRequest(
            identity: identity, boot: .disk(DiskSource(path: "/d", format: .raw, virtualSize: 1 << 20)),
            accelerator: Decision(.tcg, "no /dev/kvm"), user: 0, group: 0)
        request.links = network.links
        let plan = try MachinePlan(request, on: HostFixtures.singleNode)
        state = Mutex(State(plan: plan))
        ended = try FileDescriptor.event()
    }

    /// What was asked so far.
    var events: [Event] { state.withLock { $0.events } }
    /// How often the follower has looked at the namespace and reported.
    var looks: Int { state.withLock { $0.looks } }

    /// What fails from now on: links' names, `carrier`, and `agent`, which takes its second for it.
    func fail(_ names: Set<String>) { state.withLock { $0.failures = names } }

    private func check(_ name: String) throws {
        if state.withLock({ $0.failures.contains(name) }) { throw SystemError("do", name, code: EIO) }
    }

    var planned: MachinePlan {
        state.withLock { state in
            state.looks += 1
            return state.plan
        }
    }

    func onDeparture(_ body: @escaping @Sendable (String) -> Void) throws -> any Sendable {
        state.withLock { $0.departure = body }
        return 0
    }

    func plug(_ interface: InterfacePlan, into network: MachineNetwork) throws {
        try check(interface.link)
        let next = try state.withLock { $0.plan }.adding(RequestedLink(interface))
        try network.join(interface, next)
        state.withLock { state in
            state.plan = next
            state.events.append(.plugged(interface.link))
        }
    }

    func unplug(_ number: Int) throws -> Bool {
        let departure = state.withLock { state in
            state.events.append(.unplugged(number))
            return state.departure
        }
        departure?("ua-nic\(number)")
        return true
    }

    func forget(_ number: Int) throws { state.withLock { $0.plan = $0.plan.removing(number) } }

    func set(carrier isUp: Bool, of number: Int) throws {
        try check("carrier")
        state.withLock { $0.events.append(.carrier(number, isUp)) }
    }

    func isConnected(toSwitchOf alias: String) throws -> Bool { true }

    func guestInterfaces() throws -> [String: [String]] {
        do { try check("agent") } catch {
            _ = poll(nil, 0, 1000)
            throw error
        }
        return [:]
    }
}

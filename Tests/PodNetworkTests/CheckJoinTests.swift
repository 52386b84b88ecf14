import LinuxSystem
import Netlink
import Testing

@testable import PodNetwork

@Suite struct CheckJoinTests {
    /// eth0 behind a TAP with an address service, net1 behind a macvtap that was made over it, net2 that is a macvtap.
    private static var whole: NetworkState {
        let all = [FilterState(10, .pass), FilterState(20, .drop)]
        var (eth0, slw0, slwp0) = (LinkState("eth0"), LinkState("slw0"), LinkState("slwp0"))
        eth0.arriving = [FilterState(10, .leave(by: "slw0"))]
        slw0.arriving = [
            FilterState(1, .leave(by: "slwp0")), FilterState(2, .leave(by: "slwp0")),
            FilterState(10, .leave(by: "eth0")), FilterState(20, .drop),
        ]
        slwp0.arriving = [FilterState(10, .leave(by: "slw0"))]
        var (net1, slw1, net2) = (LinkState("net1"), LinkState("slw1"), LinkState("net2"))
        net1.arriving = [FilterState(10, .arrive(on: "slw1"))]
        slw1.device = LinkState.Device(path: "/dev/tap8", number: 0xfd01)
        slw1.leaving = all
        net2.device = LinkState.Device(path: "/dev/tap9", number: 0xfd02)
        net2.leaving = all
        return NetworkState(links: [eth0, net1, net2, slw0, slw1, slwp0])
    }

    private static let nics = [("slw0", "eth0"), ("slw1", "net1"), ("net2", "net2")]

    private func gaps(_ change: (inout [LinkState]) -> Void) -> [String] {
        var state = Self.whole
        change(&state.links)
        return Self.nics.flatMap { state.gaps(between: $0.0, and: $0.1) }.map { "\($0.planned): \($0.found)" }
    }

    @Test func nothingIsMissing() {
        #expect(gaps { _ in } == [])
    }

    @Test func everyFilterThatIsMissingIsNamed() {
        #expect(gaps { $0[0].arriving = [] } == ["what arrives on eth0 leaves by slw0: no such filter"])
        #expect(gaps { $0[1].arriving = [] } == ["what arrives on net1 arrives on slw1: no such filter"])
        #expect(
            gaps { $0[2].leaving = [] } == [
                "what the guest sends in its own name passes: no such filter",
                "what else the guest sends is dropped: no such filter",
            ])
        #expect(
            gaps { $0[3].arriving.removeLast(2) } == [
                "what the guest sends in its own name leaves by eth0: no such filter",
                "what else the guest sends is dropped: no such filter",
            ])
        #expect(
            gaps { $0[3].arriving.removeFirst(2) }
                == ["the guest's question for addresses leaves by slwp0: no such filter"])
        #expect(gaps { $0[5].arriving = [] } == ["the answer to it leaves by slw0: no such filter"])
    }

    @Test func whatLeadsElsewhereIsNamed() {
        #expect(
            gaps { $0[0].arriving = [FilterState(10, .leave(by: "slw1"))] }
                == ["what arrives on eth0 leaves by slw0: it leaves by slw1"])
        #expect(
            gaps { $0[3].arriving[2].verdict = .lost }
                == ["what the guest sends in its own name leaves by eth0: it is lost: its link is gone"])
        #expect(
            gaps { $0[4].leaving[1].verdict = .foreign }
                == ["what else the guest sends is dropped: it meets a filter that is not Slipway's"])
        // Without its end nobody answers.
        #expect(
            gaps { $0.removeLast() } == [
                "the guest's question for addresses meets no filter: it leaves by slwp0, it leaves by slwp0"
            ])
        // Somebody else's filters behind ours see nothing.
        #expect(gaps { $0[0].arriving.append(FilterState(49152, .foreign)) } == [])
    }

    @Test func linksThatAreGoneOrOff() {
        #expect(
            gaps { $0.removeFirst(3) } == [
                "beside the pod's link eth0: no such link", "beside the pod's link net1: no such link",
                "beside the pod's link net2: no such link",
            ])
        #expect(
            gaps { $0.removeAll { $0.name.hasPrefix("slw") } } == [
                "on slw0: no such link in the pod's namespace", "on slw1: no such link in the pod's namespace",
            ])
        #expect(gaps { $0[3].isUp = false } == ["slw0 switched on: switched off"])
    }

    @Test func aRouterNeedsNoRedirect() {
        #expect(
            gaps {
                $0[0].arriving = []
                $0[3].isRouter = true
                $0[3].arriving[2].verdict = .pass
            } == [])
    }
}

/// With the kernel's own links; needs root.
@Suite(.serialized, .timeLimit(.minutes(3))) struct NetworkStateTests {
    private func gaps(_ lab: Lab, _ tap: String = "slw0", _ link: String = "eth0") async throws -> [JoinGap] {
        try await lab.pod.run { try NetworkState().gaps(between: tap, and: link) }
    }

    @Test(arguments: [true, false]) func aTAP(answering: Bool) async throws {
        let lab = try await Lab()
        _ = try await lab.bind(answering: answering)
        #expect(try await gaps(lab) == [])
        try shell("tc filter del dev eth0 parent ffff: prio 10", in: lab.pod)
        #expect(try await gaps(lab).map(\.planned) == ["what arrives on eth0 leaves by slw0"])
        try shell("tc qdisc del dev slw0 ingress", in: lab.pod)
        #expect(try await gaps(lab).count == (answering ? 4 : 3))
    }

    @Test func whatIsChanged() async throws {
        let lab = try await Lab()
        _ = try await lab.bind()
        try shell(
            """
            ip link add other type veth peer name other2
            tc filter replace dev eth0 parent ffff: prio 10 handle 1 bpf bytecode '1,6 0 0 4294967295' \
            action mirred egress redirect dev other
            tc filter replace dev slw0 parent ffff: prio 20 handle 1 bpf direct-action bytecode '1,6 0 0 0'
            """, in: lab.pod)
        #expect(
            try await gaps(lab).map(\.found) == [
                "it meets a filter that is not Slipway's", "it leaves by other",
            ])
        try shell("ip link del other", in: lab.pod)
        #expect(try await gaps(lab).last?.found == "it is lost: its link is gone")
    }

    @Test func masquerade() async throws {
        let lab = try await Lab()
        _ = try await MasqueradeTests().bind(lab, answering: true)
        #expect(try await gaps(lab) == [])
        try shell("tc filter del dev slw0 parent ffff: prio 20", in: lab.pod)
        #expect(try await gaps(lab).map(\.planned) == ["what else the guest sends is dropped"])
    }

    @Test func macvtaps() async throws {
        let lab = try await Lab()
        _ = try await MacvtapTests().bind(lab)
        #expect(try await gaps(lab) == [])
        let device = try await lab.pod.run { try NetworkState()["slw0"]?.device }
        #expect(device?.path.hasPrefix("/dev/tap") == true, "\(String(describing: device))")
        try shell("tc filter del dev slw0 egress prio 10; tc qdisc del dev eth0 ingress", in: lab.pod)
        #expect(
            try await gaps(lab).map(\.planned) == [
                "what the guest sends in its own name passes", "what arrives on eth0 arrives on slw0",
            ])
    }
}

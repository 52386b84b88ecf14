import ArgumentParser
import FoundationEssentials
import HostFixtures
import HostTopology
import MachinePlanning
import MachineVerification
import StateDirectory
import TestSupport
import Testing

@testable import SlipwayCommand

@Suite struct StaticCPUManagerTests {
    private let host = HostFixtures.twoSocketsSMT

    @Test(
        arguments: [
            // Two sockets of one node: node 0 has 0-3,8-11, siblings are n and n + 8.
            (1, "0-15", "0"), (2, "0-15", "0,8"), (3, "0-15", "0-1,8"), (4, "0-15", "0-1,8-9"),
            (8, "0-15", "0-3,8-11"), (10, "0-15", "0-4,8-12"), (16, "0-15", "0-15"),
            // Where less is left, first.
            (2, "1-15", "1,9"), (1, "1-15", "8"), (2, "2-3,4-7,10-11,12-15", "2,10"),
            // Node 0 has single threads alone, and fewer of them than node 1 has: whole cores first, then those threads.
            (3, "4-15", "4,8,12"),
        ] as [(Int, String, String)])
    func takesAsTheKubeletDoes(count: Int, available: String, taken: String) throws {
        let manager = StaticCPUManager(host: host, available: try CPUSet(available))
        #expect(manager.take(count) == (try CPUSet(taken)))
    }

    @Test func tooFewAreNone() {
        #expect(StaticCPUManager(host: host, available: [0, 1]).take(3) == nil)
        #expect(StaticCPUManager(host: host, available: [0, 1]).take(0) == nil)
    }

    @Test func neverMoreAndNeverOthers() throws {
        var random = SeededGenerator(7)
        for _ in 0..<300 {
            let host = HostFixtures.random(using: &random)
            let available = CPUSet(host.online.filter { _ in Bool.random(using: &random) })
            guard !available.isEmpty else { continue }
            let count = Int.random(in: 1...available.count, using: &random)
            let taken = try #require(StaticCPUManager(host: host, available: available).take(count))
            #expect(taken.count == count && taken.isSubset(of: available), "\(count) of \(available): \(taken)")
        }
    }
}

@Suite struct PlacementCommandTests {
    @Test func aSavedTopologyIsReadBack() throws {
        let directory = try TemporaryDirectory()
        let host = HostFixtures.amd4x2
        let json = String(decoding: try JSONEncoder().encode(host), as: UTF8.self)
        let path = try directory.write("node.json", json)
        #expect(try HostSource(argument: path).read() == host)
        #expect(HostSource(argument: "this") == .this)
        for (text, words) in [
            ("{}", "nodes is missing"), ("[", "is no topology"),
            (#"{"version": 1, "nodes": [], "cpus": []}"#, "it needs a node and a CPU at least"),
        ] {
            let file = try directory.write("bad.json", text)
            let error = #expect(throws: CommandFailure.self) { try HostSource.file(file).read() }
            #expect(
                error?.status == .usage && error?.description.contains(words) == true, "\(String(describing: error))")
        }
    }

    @Test func machinesAreSelected() throws {
        func machine(_ pod: String, _ sandbox: String) -> VerifiedMachine {
            VerifiedMachine(pod: pod, sandbox: sandbox, directory: "/d", phase: .running)
        }
        let all = [machine("a/router", "abc1"), machine("b/router", "abd2"), machine("b/nat", "f00")]
        #expect(try MachineSelection.find(nil, in: all).count == 3)
        #expect(try MachineSelection.find("nat", in: all).map(\.pod) == ["b/nat"])
        #expect(try MachineSelection.find("a/router", in: all).map(\.sandbox) == ["abc1"])
        #expect(try MachineSelection.find("abd", in: all).map(\.sandbox) == ["abd2"])
        for (reference, status) in [
            ("router", ExitStatus.usage), ("ab", .usage), ("nobody", .notFound), ("", .notFound),
        ] {
            let error = #expect(throws: CommandFailure.self) { try MachineSelection.find(reference, in: all) }
            #expect(error?.status == status, "\(reference)")
        }
    }

    @Test func whatVerifyPrints() {
        var machine = VerifiedMachine(pod: "a/router", sandbox: "s", directory: "/d", phase: .running)
        #expect(VerifyCommand.text(machine) == "ok      a/router  is as planned")
        machine.drift = [
            Drift("vCPU 0, thread 7", planned: "CPU 2", found: "CPUs 0-3", remedy: "set it back"),
            Drift(.note, "CPU quota", planned: "never used up", found: "3 times"),
        ]
        #expect(
            VerifyCommand.text(machine) == """
                DRIFT   a/router  is not as planned
                        drift: vCPU 0, thread 7: planned CPU 2, found CPUs 0-3; set it back
                        note: CPU quota: planned never used up, found 3 times
                """)
        #expect(machine.hasDrifted)
        machine.drift.removeFirst()
        #expect(!machine.hasDrifted)
    }

    @Test func aPlanIsExplained() throws {
        var request = MachineRequest(
            identity: MachineIdentity(
                container: "c", sandbox: "s", podName: "router", podNamespace: "nf", podUID: "u", containerName: "vm"),
            cpuShares: 2048, cpus: [4, 5], hugePages: HugePageSources(limits: [2 << 20: 1 << 30]),
            boot: .disk(DiskSource(path: "/disk/vm.raw", format: .raw, virtualSize: 1 << 30)),
            accelerator: Decision(.kvm, "it works"), user: 250_000, group: 250_000)
        request.annotations.realtime = true
        let plan = try MachinePlan(request, on: HostFixtures.twoSocketsSMT)
        let machine = ObservedMachine(
            pid: 7,
            threads: [
                ObservedThread(id: 7, name: "qemu-system-x86", cpus: [4]),
                ObservedThread(id: 9, name: "CPU 0/KVM", cpus: [4]),
                ObservedThread(id: 10, name: "CPU 1/KVM", cpus: [5], policy: .fifo(1)),
            ],
            memory: [ObservedMemory(hugePages: 2 << 20, policy: "bind:1", bytes: [1: 1 << 30])],
            privileges: .init(user: 250_000, group: 250_000, capabilities: 0, noNewPrivileges: true, filtered: true))
        let rows = ExplainedRow.rows(plan, asked: Asked(), actual: machine, on: HostFixtures.twoSocketsSMT)
        func row(_ what: String) -> [String]? { rows.first { $0.what == what }.map { [$0.decided, $0.actual] } }
        #expect(row("their CPUs") == ["0→4 1→5", "0→4 1→5"])
        #expect(row("emulator's CPUs") == ["4", "4"])
        #expect(row("RAM") == ["1 GiB", "1 GiB"])
        #expect(row("cell 0") == ["vCPU 0-1, 1 GiB of node 1, strict", "1 GiB of node 1"])
        #expect(row("real time") == ["vCPU 1", "FIFO vCPU 1"])
        #expect(row("accelerator") == ["kvm", "kvm"])
        #expect(
            ExplainedRow.rows(plan, asked: Asked(), actual: nil, on: HostFixtures.twoSocketsSMT).allSatisfy {
                $0.actual.isEmpty
            })
    }

    @Test func theVerbsParse() throws {
        _ = try Slipway.parseAsRoot(["plan", "-f", "p", "--host", "node.json", "--no-image", "--cpuset", "2-3,8"])
        _ = try Slipway.parseAsRoot(["run", "-f", "p", "--cpuset", "2-3", "--mems", "1", "--cgroup-parent", "a.slice"])
        _ = try Slipway.parseAsRoot(["verify"])
        for words in [
            ["run", "-f", "p", "--mems", "1"], ["run", "-f", "p", "--cpuset", "3-2"], ["explain"],
            ["plan", "-f", "p", "--cpuset", ""], ["plan", "-f", "p", "--no-image", "-o", "xml"],
        ] {
            #expect(throws: (any Error).self, "\(words)") { try Slipway.parseAsRoot(words) }
        }
    }

    @Test func whatCheckSaysOfTheNode() {
        #expect(PlacementInspection.realtime("-1\n").verdict == .ok)
        #expect(PlacementInspection.realtime("950000\n").verdict == .ok)
        #expect(PlacementInspection.realtime("0\n").verdict == .warning)
        #expect(PlacementInspection.realtime("").verdict == .ok)
        let dynamic = Array(#"{"policyName":"none","defaultCpuSet":"","checksum":1}"#.utf8)
        #expect(PlacementInspection.cpuManager(dynamic).found == "policy none: no pod gets CPUs of its own")
        let fixed = Array(#"{"policyName":"static","defaultCpuSet":"0,4-7","entries":{},"checksum":1}"#.utf8)
        #expect(PlacementInspection.cpuManager(fixed).found == "policy static, shared CPUs 0,4-7")
        #expect(PlacementInspection.cpuManager([]).verdict == .warning)
        let claim = PlacementClaim(
            owner: StateDirectory(path: "/run/slipway/a"), podNamespace: "nf", podName: "a", cpus: [],
            pages: [Holding.Pages(node: 1, size: 2 << 20, count: 512)])
        let pages = PlacementInspection.hugePages(HostFixtures.twoSocketsSMT, claims: [claim])
        #expect(pages.map(\.subject) == ["huge pages, node 0", "huge pages, node 1"])
        #expect(pages[1].found.contains("2 MiB: 8192 of 8192 free, 512 of them promised"), "\(pages[1].found)")
    }
}

import Glibc
import HostTopology
import LinuxSystem
import StateDirectory
import TestSupport
import Testing

@testable import InterruptAffinity

@Suite(.timeLimit(.minutes(2))) struct InterruptAffinityTests {
    // MARK: There and back

    @Test func interruptsLeaveAndComeBack() throws {
        let host = try FakeHost(nodes: [CPUSet(0..<8)])
        try host.set(.interrupt(24), CPUSet(0..<8))
        try host.set(.interrupt(25), [1])
        try host.set(.interrupt(300), [2, 3])
        let report = try host.apply([2, 3])
        #expect(report.changed == [24: [0, 1, 4, 5, 6, 7], 300: [0, 1, 4, 5, 6, 7], -1: [0, 1, 4, 5, 6, 7]])
        #expect(report.problems == [])
        #expect(try host.get(24) == [0, 1, 4, 5, 6, 7])
        #expect(try host.get(25) == [1])
        #expect(try host.get(.default) == [0, 1, 4, 5, 6, 7])
        // Again changes nothing; more and less are computed from the originals.
        #expect(try host.apply([2, 3]).changed == [:])
        try host.apply([0, 1, 2, 3])
        #expect(try host.get(25) == [4, 5, 6, 7])
        try host.apply([3])
        #expect(try host.get(300) == [2])
        #expect(try host.get(25) == [1])
        #expect(host.hasNotes)
        #expect(try host.apply([]).changed.count == 3)
        #expect(try host.get(24) == CPUSet(0..<8) && host.get(300) == [2, 3] && host.get(.default) == CPUSet(0..<8))
        #expect(!host.hasNotes)
    }

    @Test func whereNobodyAsksNothingIsMade() throws {
        let directory = try TemporaryDirectory()
        let affinity = InterruptAffinity(root: directory.path, procfs: directory("none"), sysfs: directory("none"))
        #expect(try affinity.apply() == InterruptReport(banned: []))
        #expect(try File.list(directory.path) == [])
        #expect(throws: SystemError.self) { try affinity.apply { [1] } }
    }

    /// As claims ask for it, and after they are gone.
    @Test func claimsDecide() throws {
        let host = try FakeHost(nodes: [CPUSet(0..<4)])
        try host.set(.interrupt(24), CPUSet(0..<4))
        let root = host.directory("run")
        for (name, cpu) in [("a", 1), ("b", 2), ("c", 3)] {
            let owner = StateDirectory(root: root, namespace: "n", sandbox: name)
            try File.makeDirectory(owner.path)
            try SandboxRecord(namespace: "n", id: name, bundle: "/b").write(to: owner)
            try PlacementClaim.take(for: owner, root: root) { _ in
                .fits(
                    PlacementClaim(
                        owner: owner, podNamespace: "", podName: name, cpus: [cpu], interrupts: name != "c"), ())
            }
        }
        try host.affinity.apply()
        #expect(try host.get(24) == [0, 3])
        PlacementClaim.release(owner: StateDirectory(root: root, namespace: "n", sandbox: "a"), root: root)
        try host.affinity.apply()
        #expect(try host.get(24) == [0, 1, 3])
        try File.removeTree(StateDirectory(root: root, namespace: "n", sandbox: "b").path)
        try host.affinity.apply()
        #expect(try host.get(24) == CPUSet(0..<4) && !host.hasNotes)
    }

    // MARK: Where to

    @Test func whereNothingIsLeftOfTheOriginal() throws {
        let host = try FakeHost(nodes: [CPUSet(0..<4), CPUSet(4..<8)], isolated: [4, 5])
        try host.set(.interrupt(24), [5, 6], node: 1)
        try host.set(.interrupt(25), [6])
        try host.set(.interrupt(26), [6, 100], node: 0)
        try host.apply([5, 6])
        #expect(try host.get(24) == [7], "the node's housekeeping CPUs")
        #expect(try host.get(25) == [0, 1, 2, 3, 7], "no node: all housekeeping CPUs")
        #expect(try host.get(26) == [0, 1, 2, 3], "what is left is not online")
        try host.apply([5, 6, 7])
        #expect(try host.get(24) == [0, 1, 2, 3], "none on the node")
        try host.apply([0, 1, 2, 3, 5, 6, 7])
        #expect(try host.get(24) == [4], "isolated CPUs are better than none")
        let report = try host.apply(CPUSet(0..<8))
        #expect(try host.get(24) == [4], "it stays where it is")
        #expect(report.problems.count == 4)
        guard case .noCPULeft(let interrupt) = report.problems.last else {
            Issue.record("\(report)")
            return
        }
        #expect(interrupt.number == 26 && interrupt.name == "eth26")
        try host.apply([])
        #expect(try host.get(24) == [5, 6] && host.get(25) == [6] && host.get(26) == [6, 100] && !host.hasNotes)
    }

    // MARK: Others

    @Test func anotherHandsChoiceStays() throws {
        let host = try FakeHost(nodes: [CPUSet(0..<4)])
        try host.set(.interrupt(24), CPUSet(0..<4))
        try host.set(.interrupt(25), CPUSet(0..<4))
        try host.apply([3])
        try host.set(.interrupt(24), [1])
        try host.set(.interrupt(25), [2, 3])
        try host.set(.default, [0])
        // One moved onto a CPU that is to be free: moved away, and told.
        let report = try host.apply([3])
        #expect(report.changed == [25: [2]])
        #expect(
            report.sentences == [
                "interrupts 25 (eth25): somebody else had moved them onto CPUs that are to be free (3); moved away again"
            ])
        try host.apply([])
        #expect(try host.get(24) == [1] && host.get(25) == [2, 3] && host.get(.default) == [0])
        #expect(!host.hasNotes)
    }

    @Test func irqbalanceIsTold() throws {
        let host = try FakeHost(nodes: [CPUSet(0..<4)])
        try host.directory.write("proc/77/comm", "bash\n")
        #expect(try host.apply([3]).problems == [])
        try host.directory.write("proc/4242/comm", "irqbalance\n")
        let report = try host.apply([3])
        #expect(report.problems == [.balancer(pid: 4242)])
        #expect(
            report.sentences == [
                "irqbalance (process 4242) may move interrupts back onto CPUs 3; "
                    + "stop it, or ban these CPUs with IRQBALANCE_BANNED_CPULIST"
            ])
        #expect(try host.apply([]).problems == [])
    }

    @Test func interruptsComeAndGo() throws {
        let host = try FakeHost(nodes: [CPUSet(0..<4), CPUSet(4..<8)], byDefault: CPUSet(0..<64))
        try host.set(.interrupt(24), CPUSet(0..<8))
        try host.set(.interrupt(25), CPUSet(0..<64).subtracting([3]))
        try host.apply([3])
        try host.remove(24)
        let byDefault = CPUSet(0..<64).subtracting([3])
        #expect(try host.get(.default) == byDefault)
        // Born under our default: not in use yet, in use without a node, and with one.
        try host.set(.interrupt(30), byDefault)
        try host.set(.interrupt(31), byDefault.intersection(CPUSet(0..<8)))
        try host.set(.interrupt(32), [0, 1, 2], node: 0)
        try host.set(.interrupt(33), [7], node: 1)
        try host.apply([3, 4])
        #expect(try host.get(32) == [0, 1, 2] && host.get(33) == [7])
        // The number of one that has gone belongs to a new one.
        try host.set(.interrupt(24), [5, 6, 7], node: 1)
        try host.apply([])
        #expect(try host.get(24) == CPUSet(4..<8))
        #expect(try host.get(25) == byDefault, "it was like that before")
        #expect(try host.get(30) == CPUSet(0..<64) && host.get(31) == CPUSet(0..<8))
        #expect(try host.get(32) == CPUSet(0..<4) && host.get(33) == [7] && !host.hasNotes)
    }

    // MARK: Refusals

    /// A file of sysfs that can be read and takes nothing, in the place of an interrupt's.
    @Test func whatTheKernelRefusesIsTold() throws {
        let real = "/sys/devices/system/cpu/online"
        let affinity = try CPUSet(try File.text(real))
        let host = try FakeHost(nodes: [CPUSet(0..<512)])
        try host.set(.interrupt(24), affinity)
        try host.set(.interrupt(25), CPUSet(0..<512))
        try host.directory.write("proc/irq/24/effective_affinity_list", "0\n")
        try File.remove(host.directory("proc/irq/24/smp_affinity_list"))
        #expect(symlink(real, host.directory("proc/irq/24/smp_affinity_list")) == 0)
        let report = try host.apply(affinity)
        #expect(report.changed.keys.sorted() == [-1, 25])
        guard case .refused(let interrupt, let code)? = report.problems.first, report.problems.count == 1 else {
            Issue.record("\(report)")
            return
        }
        #expect(code != 0)
        #expect(
            interrupt == InterruptReport.Interrupt(number: 24, name: "eth24", affinity: affinity, effective: [0]))
        #expect(report.sentences.first?.hasPrefix("interrupts 24 (eth24): may arrive on CPUs") == true)
        #expect(try host.apply(affinity).problems.count == 1, "told every time")
        #expect(try host.apply([]).problems == [])
        #expect(!host.hasNotes)
    }

    @Test func whatArrivesWhere() throws {
        let host = try FakeHost(nodes: [CPUSet(0..<4)])
        for number in 24..<28 { try host.set(.interrupt(number), [number % 2 == 0 ? 0 : 1, 3]) }
        try host.directory.write("proc/irq/24/effective_affinity_list", "0\n")
        try host.directory.write("proc/irq/25/effective_affinity_list", "3\n")
        #expect(try host.affinity.arriving(on: [3]).map(\.number) == [25, 26, 27])
        #expect(try host.affinity.arriving(on: [1]).map(\.number) == [27])
        #expect(try host.affinity.arriving(on: [2]) == [])
    }

    @Test func manyWithOneReasonAreOneSentence() {
        let problems = (24..<40).map { number in
            InterruptReport.Problem.refused(
                InterruptReport.Interrupt(number: number, name: "nvme0q\(number - 24)", affinity: [1]), code: EIO)
        }
        let report = InterruptReport(banned: [1], problems: problems + [.noCPULeft(.init(name: "", affinity: [1]))])
        #expect(report.sentences.count == 2)
        #expect(report.sentences.first?.contains("31 (nvme0q7) and 8 more: may arrive on CPUs") == true)
        #expect(report.sentences.last?.hasPrefix("interrupts /proc/irq/default_smp_affinity: no CPU") == true)
    }

    @Test(arguments: ["", "0-", "x", "99999", String(repeating: "1,", count: 50_000)])
    func anAffinityThatIsNoneIsLeftAlone(text: String) throws {
        let host = try FakeHost(nodes: [CPUSet(0..<4)])
        try host.set(.interrupt(24), [3])
        try host.apply([3])
        try host.directory.write("proc/irq/24/smp_affinity_list", text)
        let problems = try host.apply([2, 3]).problems
        // Nowhere at all is nowhere that is banned.
        #expect(problems.count == (text.isEmpty ? 0 : 1))
        try host.set(.interrupt(24), [0, 1, 2])
        try host.apply([])
        #expect(try host.get(24) == (text.isEmpty ? [0, 1, 2] : [3]))
    }

    @Test(arguments: ["", "{", "[]", #"{"version": 2}"#, #"{"affinities": {"x": 1}, "known": [], "version": 1}"#])
    func damagedNotesArePutAside(text: String) throws {
        let host = try FakeHost(nodes: [CPUSet(0..<4)])
        try host.set(.interrupt(24), CPUSet(0..<4))
        try host.apply([3])
        let path = "\(host.affinity.directory)/notes.json"
        try File.replace(path, with: Array(text.utf8))
        let report = try host.apply([2])
        #expect(report.problems == [.notesLost("\(path).bad")])
        #expect(report.sentences.count == 1)
        #expect(try File.text("\(path).bad") == text)
        #expect(try host.get(24) == [0, 1])
        try host.apply([])
        #expect(try host.get(24) == [0, 1, 2])
    }

    // MARK: Crashes

    @Test(arguments: 0...4, 0...4)
    func aCrashInTheMiddleLosesNothing(first: Int, second: Int) throws {
        let host = try FakeHost(nodes: [CPUSet(0..<4)])
        for number in 24..<27 { try host.set(.interrupt(number), CPUSet(0..<4)) }
        try host.crash([3], after: first)
        try host.crash([2], after: second)
        try host.crash([], after: first)
        try host.apply([1, 2])
        for number in 24..<27 { #expect(try host.get(number) == [0, 3]) }
        try host.crash([], after: second)
        try host.apply([])
        for number in 24..<27 { #expect(try host.get(number) == CPUSet(0..<4)) }
        #expect(try host.get(.default) == CPUSet(0..<4) && !host.hasNotes)
    }

    @Test(arguments: UInt64(1)...10)
    func whateverHappensEverybodyGetsWhatIsTheirs(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        func cpus(_ random: inout SeededGenerator, atLeast least: Int) -> CPUSet {
            CPUSet((0..<8).shuffled(using: &random).prefix(Int.random(in: least...4, using: &random)))
        }
        let host = try FakeHost(nodes: [CPUSet(0..<4), CPUSet(4..<8)])
        var theirs: [FakeHost.Subject: CPUSet] = [.default: CPUSet(0..<8)]
        for number in 24..<32 {
            theirs[.interrupt(number)] = cpus(&random, atLeast: 1)
            try host.set(.interrupt(number), theirs[.interrupt(number)] ?? [], node: number % 3 - 1)
        }
        for _ in 0..<30 {
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                // The administrator's own; what is the same as ours cannot be told from it.
                let subject = FakeHost.Subject.interrupt(Int.random(in: 24..<32, using: &random))
                let choice = cpus(&random, atLeast: 1)
                var report = InterruptReport(banned: [])
                let notes = try InterruptNotes.read(from: host.affinity.directory, &report) ?? InterruptNotes()
                guard !notes.affinities.values.contains(where: { $0.written.contains(choice) }) else { continue }
                theirs[subject] = choice
                try host.set(subject, choice)
            case 1: try host.crash(cpus(&random, atLeast: 0), after: Int.random(in: 0...9, using: &random))
            default:
                let banned = cpus(&random, atLeast: 0)
                try host.apply(banned)
                for (subject, choice) in theirs {
                    let now = try #require(try host.get(subject))
                    #expect(now.isDisjoint(with: banned) && !now.isEmpty)
                    let rest = choice.subtracting(banned)
                    #expect(rest.isEmpty || now == rest)
                }
                #expect(try host.apply(banned).changed == [:])
            }
        }
        try host.apply([])
        for (subject, choice) in theirs { #expect(try host.get(subject) == choice) }
        #expect(!host.hasNotes)
    }

    // MARK: Masks

    @Test(
        arguments: [
            ("f\n", [0, 1, 2, 3]), ("00000003", [0, 1]), ("1,00000000", [32]), ("80000000,00000001\n", [0, 63]),
            ("ffffffff,00000000,00000000", CPUSet(64..<96)), ("0", []),
        ] as [(String, CPUSet)])
    func masks(text: String, set: CPUSet) {
        #expect(CPUSet(mask: text) == set)
        #expect(CPUSet(mask: set.mask) == set)
    }

    @Test(arguments: ["", "\n", "g", "-1", "0x3", "ä", String(repeating: "f", count: 4000)])
    func whatIsNoMask(text: String) { #expect(CPUSet(mask: text) == nil) }

    // MARK: The real kernel

    private static let isMovable: Bool = {
        let tree = InterruptTree(procfs: "/proc")
        guard let host = try? HostCPUs(sysfs: "/sys"), host.online.count > 1,
            let byDefault = try? tree.affinity(of: InterruptNotes.newcomers)
        else { return false }
        return (try? tree.setAffinity(of: InterruptNotes.newcomers, to: byDefault)) != nil
    }()

    @Test(.enabled(if: isMovable, "one CPU, or /proc/irq cannot be written"))
    func theKernelMovesThem() throws {
        let directory = try TemporaryDirectory()
        // Other runs of this test would take our affinities for the administrator's.
        try ExclusiveLock.hold("/proc/irq/default_smp_affinity", milliseconds: 60_000) {
            let affinity = InterruptAffinity(root: directory.path)
            let tree = affinity.tree
            func all() throws -> [Int: CPUSet] {
                let numbers = try [InterruptNotes.newcomers] + tree.interrupts()
                return try numbers.reduce(into: [:]) { $0[$1] = try tree.affinity(of: $1) }
            }
            let before = try all()
            defer { _ = try? affinity.apply { [] } }
            let last = try #require(try HostCPUs(sysfs: "/sys").online.last)
            let report = try affinity.apply { [last] }
            let refused = report.problems.compactMap { problem -> Int? in
                guard case .refused(let interrupt, _) = problem else { return nil }
                return interrupt.number
            }
            for (number, cpus) in try all() where !refused.contains(number) && before[number] != nil {
                #expect(!cpus.contains(last), "\(number)")
            }
            #expect(!report.changed.isEmpty || before.values.allSatisfy { !$0.contains(last) })
            #expect(try affinity.apply { [last] }.changed == [:])
            _ = try affinity.apply { [] }
            let after = try all()
            for (number, cpus) in before where after[number] != nil { #expect(after[number] == cpus, "\(number)") }
            #expect(try File.list(affinity.directory) == [".lock"])
            print("interrupts: \(before.count - 1), moved \(report.changed.count), \(report.sentences)")
        }
    }
}

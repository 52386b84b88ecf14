import FoundationEssentials
import Glibc
import HostTopology
import LinuxSystem
import MachinePlanning
import MachineVerification
import StateDirectory
import TestSupport
import Testing

/// A bare QEMU that stays at its first instruction.
private struct Machine: ~Copyable {
    let process: LinuxSystem.Process

    init(cpu: Int) throws {
        var spawn = Spawn(
            "/usr/bin/taskset",
            [
                "-c", "\(cpu)", "/usr/bin/qemu-system-x86_64", "-S", "-accel", "tcg,thread=multi", "-smp", "2", "-m",
                "16",
                "-display", "none", "-nodefaults", "-name", "verified,debug-threads=on", "-object",
                "iothread,id=iothread1",
            ])
        let null = try FileDescriptor.open("/dev/null", O_RDWR)
        spawn.descriptors = [0: null, 1: null, 2: null]
        process = try spawn.start()
    }

    deinit {
        try? process.signal(SIGKILL)
        _ = try? process.wait()
    }
}

@Suite struct RealMachineTests {
    @Test func aThreadThatIsMovedIsSeen() async throws {
        let host = try HostTopology.read()
        let online = Array(host.online)
        try #require(!online.isEmpty)
        let (first, last) = (online[0], online[online.count - 1])
        let qemu = try Machine(cpu: first)
        let pid = qemu.process.pid
        // Both vCPUs have a thread once QEMU has made its machine.
        let isThere = try await eventually {
            let machine = try ObservedMachine.read(pid: pid)
            return machine.threads(ofVCPU: 0).count == 1 && machine.threads(ofVCPU: 1).count == 1
        }
        try #require(isThere)
        let machine = try ObservedMachine.read(pid: pid)
        #expect(machine.threads.contains { $0.role == .iothread("iothread1") }, "found \(machine.threads.map(\.name))")
        #expect(machine.threads.contains { $0.id == pid && $0.role == .emulator })
        #expect(machine.threads.allSatisfy { $0.cpus == [first] && $0.policy == .other })
        #expect(machine.bytes(hugePages: nil).values.reduce(0, +) > 8 << 20, "found \(machine.memory)")
        #expect(machine.memory.allSatisfy { $0.hugePages == nil })
        #expect(machine.devices.contains("null"), "found \(machine.devices)")
        #expect(machine.privileges.user == getuid())

        var plan = try MachinePlan(
            { request in
                var request = request
                request.cpuQuota = 200_000
                request.cpuPeriod = 100_000
                return request
            }(MachineRequest.sample), on: host)
        plan.placement.processors.value = .floating([first])
        func threads() throws -> [Drift] {
            Drift.between(plan, try .read(pid: pid), on: host, own: nil, others: [])
                .filter { $0.subject.hasPrefix("vCPU") }
        }
        #expect(try threads() == [])
        guard first != last else { return }
        let thread = try #require(machine.threads(ofVCPU: 1).first)
        let (status, output) = try Spawn("/usr/bin/taskset", ["-cp", "\(last)", "\(thread.id)"]).run()
        try #require(status == .exited(0), "\(output)")
        let drift = try threads()
        #expect(drift.map(\.subject) == ["vCPU 1, thread \(thread.id)"], "found \(drift)")
        #expect(drift.first?.found == "CPU \(last)")
    }

    @Test func machinesAreFoundByTheirRecords() async throws {
        let root = try TemporaryDirectory()
        let host = try HostTopology.read(devices: [])
        let qemu = try Machine(cpu: host.online.first ?? 0)
        let pid = qemu.process.pid
        let isThere = try await eventually { try ObservedMachine.read(pid: pid).threads(ofVCPU: 1).count == 1 }
        try #require(isThere)

        func record(_ name: String, _ process: SandboxRecord.ProcessIdentity?, plan: [UInt8]) throws {
            let directory = StateDirectory(root: root.path, namespace: "t", sandbox: name)
            try File.makeDirectory(directory.path)
            var record = SandboxRecord(namespace: "t", id: name, bundle: "/nowhere/\(name)")
            (record.podName, record.podNamespace) = (name, "nf")
            record.machine = SandboxRecord.Machine(container: "c", containerName: "vm", user: 250_000)
            record.machine?.process = process
            try record.write(to: directory)
            try File.replace(directory.plan, with: plan)
        }
        let plan = Array(try JSONEncoder().encode(MachinePlan(MachineRequest.sample, on: host)))
        let identity = try SandboxRecord.ProcessIdentity(pid: pid)
        var gone = identity
        gone.startTime += 1
        try record("running", identity, plan: plan)
        try record("ended", gone, plan: plan)
        try record("starting", nil, plan: plan)
        try record("old", identity, plan: Array(#"{"version": 1}"#.utf8))

        let machines = VerifiedMachine.all(root: root.path, on: host)
        #expect(machines.map(\.pod) == ["nf/ended", "nf/old", "nf/running", "nf/starting"])
        #expect(machines.map(\.phase) == [.ended, .running, .running, .starting])
        #expect(machines.map(\.hasDrifted) == [false, true, true, false])
        #expect(machines[1].drift.first?.found == "one of version 1")
        // Nobody holds a QEMU that a test has started.
        let subjects = Set(machines[2].drift.map(\.subject))
        #expect(
            subjects.isSuperset(of: ["user", "capabilities", "no_new_privs", "seccomp", "cgroup"]), "found \(subjects)")
        #expect(machines[2].machine?.pid == pid)
    }
}

import Cgroup
import Glibc
import HostFixtures
import HostTopology
import LinuxSystem
import MachinePlanning
import MachineVerification
import PodNetwork
import TestSupport

/// A tree as proc(5) shows it for one QEMU, made of texts.
struct ProcTree {
    static let pid: Int32 = 4242

    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    var path: String { directory.path }

    func thread(
        _ id: Int32, _ name: String, cpus: String, policy: Int = 0, priority: Int = 0, last: Int = 0
    ) throws {
        try write("\(Self.pid)/task/\(id)", id, name, cpus: cpus, policy: policy, priority: priority, last: last)
    }

    /// Another process.
    func process(_ id: Int32, _ name: String, cpus: String) throws {
        try write("\(id)", id, name, cpus: cpus, policy: 0, priority: 0, last: 0)
    }

    private func write(
        _ task: String, _ id: Int32, _ name: String, cpus: String, policy: Int, priority: Int, last: Int
    ) throws {
        try directory.write("\(task)/comm", "\(name)\n")
        try directory.write("\(task)/status", "Name:\t\(name)\nCpus_allowed_list:\t\(cpus)\nMems_allowed_list:\t0-1\n")
        // Fields 3 to 38, then processor, rt_priority and policy (proc_pid_stat(5)).
        let filler = ["S"] + (4...38).map { _ in "0" }
        try directory.write(
            "\(task)/stat",
            "\(id) (\(name)) \((filler + ["\(last)", "\(priority)", "\(policy)"]).joined(separator: " ")) 0 0\n")
    }

    func status(user: UInt32 = 250_000, capabilities: String = "0000000000000000", locked: UInt64 = 0) throws {
        try directory.write(
            "\(Self.pid)/status",
            """
            Name:\tqemu-system-x86
            Uid:\t\(user)\t\(user)\t\(user)\t\(user)
            Gid:\t\(user)\t\(user)\t\(user)\t\(user)
            VmLck:\t\(locked) kB
            CapEff:\t\(capabilities)
            NoNewPrivs:\t1
            Seccomp:\t2
            Cpus_allowed_list:\t0-7

            """)
    }

    func numaMaps(_ lines: [String]) throws {
        try directory.write("\(Self.pid)/numa_maps", lines.joined(separator: "\n") + "\n")
    }

    /// An open descriptor.
    func descriptor(_ number: Int, _ target: String) throws {
        try File.makeDirectory(directory("\(Self.pid)/fd"))
        guard symlink(target, directory("\(Self.pid)/fd/\(number)")) == 0 else { throw SystemError.last("symlink") }
    }

    /// A version 2 group at `path`, which QEMU's leaf is in.
    func group(_ path: String, _ files: [String: String]) throws -> Cgroup {
        for (name, text) in files { try directory.write("cgroup\(path)/\(name)", "\(text)\n") }
        try directory.write("\(Self.pid)/cgroup", "0::\(path)/machine\n")
        return CgroupHierarchy.v2(root: directory("cgroup")).group(at: try CgroupPath(path))
    }

    func read(_ group: Cgroup? = nil) throws -> ObservedMachine {
        try ObservedMachine.read(pid: Self.pid, procfs: path, group: group)
    }
}

extension MachinePlan {
    /// Two vCPUs on CPUs 4 and 5 of node 1, a gibibyte of 2 MiB pages there.
    static func pinned(_ change: (inout MachineRequest) -> Void = { _ in }) throws -> MachinePlan {
        var request = MachineRequest.sample
        request.cpus = [4, 5]
        request.cpuShares = 2048
        request.hugePages = HugePageSources(limits: [2 << 20: 1 << 30])
        change(&request)
        return try MachinePlan(request, on: HostFixtures.twoSocketsSMT)
    }
}

extension MachineRequest {
    static var sample: MachineRequest {
        MachineRequest(
            identity: MachineIdentity(
                container: "c", sandbox: "s", podName: "router", podNamespace: "nf", podUID: "u", containerName: "vm"),
            boot: .disk(DiskSource(path: "/disk/vm.raw", format: .raw, virtualSize: 1 << 30)),
            accelerator: Decision(.kvm, "it works"), user: 250_000, group: 250_000)
    }
}

extension ObservedMachine {
    /// What a machine of ``MachinePlan/pinned(_:)`` looks like when all is well.
    static var healthy: ObservedMachine {
        var group = ObservedCgroup(path: "/kubepods/pod1/c", holdsMachine: true)
        group.hugePages = [.init(size: 2 << 20, used: 1 << 30, limit: 1 << 30)]
        return ObservedMachine(
            pid: 7,
            threads: [
                ObservedThread(id: 7, name: "qemu-system-x86", cpus: [4, 5]),
                ObservedThread(id: 8, name: "IO iothread1", cpus: [4, 5]),
                ObservedThread(id: 9, name: "CPU 0/KVM", cpus: [4]),
                ObservedThread(id: 10, name: "CPU 1/KVM", cpus: [5]),
                ObservedThread(id: 11, name: "kvm-nx-lpage-re", cpus: [5]),
            ],
            memory: [
                ObservedMemory(hugePages: 2 << 20, policy: "bind:1", bytes: [1: 1 << 30]),
                ObservedMemory(policy: "default", bytes: [0: 30 << 20, 1: 10 << 20]),
            ],
            privileges: Privileges(
                user: 250_000, group: 250_000, capabilities: 0, noNewPrivileges: true, filtered: true),
            cgroup: group)
    }

    func drift(from plan: MachinePlan, own: Holding?? = .none, others: [Holding] = []) -> [Drift] {
        let claimed = Holding(pod: "nf/router", cpus: plan.placement.exclusive, pages: plan.placement.holdings)
        return Drift.between(plan, self, on: HostFixtures.twoSocketsSMT, own: own ?? claimed, others: others)
    }
}

extension NetworkState {
    /// Links that are joined to TAPs of their numbers, the links first.
    static func joining(_ names: [String]) -> NetworkState {
        let taps = names.indices.map { number in
            var tap = LinkState("slw\(number)")
            tap.arriving = [FilterState(10, .leave(by: names[number])), FilterState(20, .drop)]
            return tap
        }
        let links = zip(names, taps).map { name, tap in
            var link = LinkState(name)
            link.arriving = [FilterState(10, .leave(by: tap.name))]
            return link
        }
        return NetworkState(links: links + taps)
    }
}

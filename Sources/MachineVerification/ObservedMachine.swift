public import HostTopology
public import PodNetwork

/// What the kernel says about a running QEMU, at one moment.
///
/// Threads are told apart by the names that QEMU gives them (`debug-threads=on`, which libvirt always asks for). A guest
/// that has taken over its QEMU can change them; CPUs, memory and privileges are the kernel's own words.
public struct ObservedMachine: Codable, Equatable, Sendable {
    /// QEMU's process id.
    public var pid: Int32
    /// Its threads, by id, and those of the kernel that move frames for it (vhost-net).
    public var threads: [ObservedThread]
    /// Its memory, by kind of page and by policy.
    public var memory: [ObservedMemory]
    /// Bytes that are locked (`VmLck`; huge pages are never swapped and not counted).
    public var locked: UInt64
    /// What it may do.
    public var privileges: Privileges
    /// The container's cgroup; nil where it was not asked for or is gone.
    public var cgroup: ObservedCgroup?
    /// The device nodes that it sees, as paths below its `/dev`, sorted.
    public var devices: [String]
    /// The device nodes that it has opened, as paths below its `/dev`, sorted.
    public var openDevices: [String]
    /// The TAPs and macvtaps that it has opened, sorted, each as often as it has queues. A macvtap that is not one of its
    /// network namespace's is there by the path of its device.
    public var taps: [String]
    /// The Unix sockets that it is connected to or that others are connected to, by path; nil where they were not asked
    /// for.
    public var connections: [String]?
    /// The network namespace that it is in; nil where it was not asked for.
    public var network: NetworkState?
    /// The pins in its domain XML; nil where there is none.
    public var definition: DomainPins?

    /// Privileges of a process (credentials(7), capabilities(7), seccomp(2)).
    public struct Privileges: Codable, Equatable, Sendable {
        /// Effective user id.
        public var user: UInt32
        /// Effective group id.
        public var group: UInt32
        /// The effective capabilities, bit by number.
        public var capabilities: UInt64
        /// Whether no program that it starts gains privileges.
        public var noNewPrivileges: Bool
        /// Whether a seccomp filter holds it.
        public var filtered: Bool

        /// Some privileges.
        public init(user: UInt32, group: UInt32, capabilities: UInt64, noNewPrivileges: Bool, filtered: Bool) {
            self.user = user
            self.group = group
            self.capabilities = capabilities
            self.noNewPrivileges = noNewPrivileges
            self.filtered = filtered
        }
    }

    /// A machine from parts.
    public init(
        pid: Int32, threads: [ObservedThread], memory: [ObservedMemory] = [], locked: UInt64 = 0,
        privileges: Privileges, cgroup: ObservedCgroup? = nil, devices: [String] = [], openDevices: [String] = [],
        taps: [String] = [], connections: [String]? = nil, network: NetworkState? = nil, definition: DomainPins? = nil
    ) {
        self.pid = pid
        self.threads = threads
        self.memory = memory
        self.locked = locked
        self.privileges = privileges
        self.cgroup = cgroup
        self.devices = devices
        self.openDevices = openDevices
        self.taps = taps
        self.connections = connections
        self.network = network
        self.definition = definition
    }

    /// Every CPU that one of its threads may run on.
    public var cpus: CPUSet { threads.reduce(CPUSet()) { $0.union($1.cpus) } }

    /// The IOMMU groups that it has opened (`/dev/vfio/12`), sorted.
    public var openGroups: [Int] {
        openDevices.compactMap { $0.hasPrefix("vfio/") ? Int($0.dropFirst("vfio/".count)) : nil }.sorted()
    }

    /// The threads of a vCPU: one, where all is well.
    public func threads(ofVCPU number: Int) -> [ObservedThread] { threads.filter { $0.role == .vcpu(number) } }

    /// Bytes by node of its huge pages of a size, or of its ordinary pages where no size is given.
    public func bytes(hugePages size: UInt64?) -> [Int: UInt64] {
        memory.filter { $0.hugePages == size }.reduce(into: [:]) { sums, part in
            for (node, bytes) in part.bytes { sums[node] = (sums[node] ?? 0).saturatingSum(bytes) }
        }
    }
}

/// A thread of QEMU.
public struct ObservedThread: Codable, Equatable, Sendable {
    /// What a thread does.
    public enum Role: Codable, Equatable, Sendable {
        /// Runs a vCPU.
        case vcpu(Int)
        /// Does the disks' I/O.
        case iothread(String)
        /// Belongs to the kernel, which starts it in QEMU's process on behalf of whichever thread came first
        /// (`kvm-nx-lpage-recovery`).
        case kernel
        /// Took pages of RAM on its node before the guest started, and is idle since.
        case preallocation
        /// Anything else: the main loop, its workers, vhost.
        case emulator
    }
    /// The scheduler's policy (sched(7)).
    public enum Policy: Codable, Equatable, Sendable {
        /// The ordinary one and its relatives.
        case other
        /// `SCHED_FIFO`, with its priority.
        case fifo(Int)
        /// `SCHED_RR`, with its priority.
        case roundRobin(Int)
        /// `SCHED_DEADLINE`.
        case deadline
    }

    /// The thread's id.
    public var id: Int32
    /// Its name, up to 15 bytes.
    public var name: String
    /// What it does, by its name.
    public var role: Role
    /// The CPUs that it may run on.
    public var cpus: CPUSet
    /// The nodes that it may allocate from.
    public var mems: CPUSet
    /// How it is scheduled.
    public var policy: Policy
    /// The CPU that it ran on last; nil where the kernel does not tell.
    public var lastCPU: Int?

    /// A thread.
    public init(
        id: Int32, name: String, cpus: CPUSet, mems: CPUSet = [], policy: Policy = .other, lastCPU: Int? = nil
    ) {
        self.id = id
        self.name = name
        role = Role(threadName: name)
        self.cpus = cpus
        self.mems = mems
        self.policy = policy
        self.lastCPU = lastCPU
    }
}

extension ObservedThread.Role {
    /// By the names that QEMU gives: `CPU 0/KVM`, `CPU 0/TCG`, `IO iothread1`, `TC tc-ram-node0`.
    init(threadName name: String) {
        let words = name.split(separator: " ", maxSplits: 1)
        if words.count == 2, words[0] == "CPU", let slash = words[1].firstIndex(of: "/"),
            let number = Int(words[1][..<slash]), (0..<CPUSet.limit).contains(number)
        {
            self = .vcpu(number)
        } else if words.count == 2, words[0] == "IO" {
            self = .iothread(String(words[1]))
        } else if words.count == 2, words[0] == "TC" {
            self = .preallocation
        } else if name.hasPrefix("kvm-nx-lpage") {
            self = .kernel
        } else {
            self = .emulator
        }
    }
}

/// Memory of one kind: pages that are there, not what could be.
public struct ObservedMemory: Codable, Equatable, Sendable {
    /// Bytes of a huge page; nil for ordinary pages, transparent huge ones included.
    public var hugePages: UInt64?
    /// The policy as the kernel writes it: `default`, `bind:1`, `prefer:0` (numa(7)).
    public var policy: String
    /// Bytes by node.
    public var bytes: [Int: UInt64]

    /// Memory.
    public init(hugePages: UInt64? = nil, policy: String, bytes: [Int: UInt64]) {
        self.hugePages = hugePages
        self.policy = policy
        self.bytes = bytes
    }
}

/// The container's cgroup. What the kernel or the hierarchy does not tell is nil or not listed.
public struct ObservedCgroup: Codable, Equatable, Sendable {
    /// Its path below the hierarchies' roots.
    public var path: String
    /// Whether QEMU is in it.
    public var holdsMachine: Bool
    /// Bytes in use of memory other than huge pages.
    public var memory: UInt64?
    /// The limit of that; nil: none.
    public var memoryLimit: UInt64?
    /// Huge pages, by size.
    public var hugePages: [HugePages] = []
    /// Microseconds of CPU time in each period; nil: no limit.
    public var cpuQuota: UInt64?
    /// Microseconds of a period.
    public var cpuPeriod: UInt64?
    /// In how many periods the quota was used up.
    public var throttledPeriods: UInt64?
    /// The CPUs of its cpuset; nil: those of its parent.
    public var cpus: CPUSet?
    /// The nodes of its cpuset; nil: those of its parent.
    public var mems: CPUSet?

    /// Huge pages of one size.
    public struct HugePages: Codable, Equatable, Sendable {
        /// Bytes of a page.
        public var size: UInt64
        /// Bytes in use.
        public var used: UInt64
        /// The limit in bytes; nil: none.
        public var limit: UInt64?

        /// Huge pages.
        public init(size: UInt64, used: UInt64, limit: UInt64? = nil) {
            self.size = size
            self.used = used
            self.limit = limit
        }
    }

    /// A cgroup of which nothing but its path is known.
    public init(path: String, holdsMachine: Bool) {
        self.path = path
        self.holdsMachine = holdsMachine
    }
}

extension UInt64 {
    /// The sum, or the largest number.
    func saturatingSum(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}

public import HostTopology

/// What was asked for: the pod's spec, its image and its network, as values, and what the node adds.
public struct MachineRequest: Codable, Equatable, Sendable {
    /// Who asks.
    public var identity: MachineIdentity
    /// `linux.resources.cpu.quota` in microseconds; nil or not positive: no limit.
    public var cpuQuota: Int64?
    /// `linux.resources.cpu.period` in microseconds.
    public var cpuPeriod: UInt64?
    /// `linux.resources.cpu.shares`; nil: not said. A kubelet's container has 1024 for each CPU that it requests.
    public var cpuShares: UInt64?
    /// `linux.resources.cpu.cpus`; empty: every CPU of the node.
    public var cpus: CPUSet
    /// `linux.resources.cpu.mems`; empty: every memory node.
    public var mems: CPUSet
    /// `linux.resources.memory.limit` in bytes; nil: no limit.
    public var memoryLimit: UInt64?
    /// Huge pages as the pod's limits, volumes and cgroup name them.
    public var hugePages: HugePageSources
    /// PCI functions that a device plugin has given to the container, by address.
    public var devices: [String]
    /// What the runtime handler promises.
    public var profile: MachineProfile
    /// What is booted.
    public var boot: BootRequest
    /// The links of the pod's network namespace in the order of the guest's NICs.
    public var links: [RequestedLink]
    /// Whether the node has `/dev/vhost-net`.
    public var hasVhostNet: Bool
    /// Whether the node's processors tell of threads and cores in AMD's way (`topoext` in /proc/cpuinfo).
    public var hasTopologyExtensions: Bool
    /// The pod's annotations.
    public var annotations: MachineAnnotations
    /// How the node executes guests, and why.
    public var accelerator: Decision<Accelerator>
    /// vCPUs and RAM of pods that have no limits.
    public var defaultVCPUs: Int
    /// Bytes.
    public var defaultMemory: UInt64
    /// QEMU's user id.
    public var user: UInt32
    /// QEMU's group id: the user's number, or the group that may open `/dev/kvm`.
    public var group: UInt32

    /// A request.
    public init(
        identity: MachineIdentity, cpuQuota: Int64? = nil, cpuPeriod: UInt64? = nil, cpuShares: UInt64? = nil,
        cpus: CPUSet = [], mems: CPUSet = [], memoryLimit: UInt64? = nil,
        hugePages: HugePageSources = HugePageSources(), devices: [String] = [], profile: MachineProfile = .standard,
        boot: BootRequest, links: [RequestedLink] = [], hasVhostNet: Bool = false, hasTopologyExtensions: Bool = false,
        annotations: MachineAnnotations = MachineAnnotations(), accelerator: Decision<Accelerator>,
        defaultVCPUs: Int = 1,
        defaultMemory: UInt64 = 512 << 20, user: UInt32, group: UInt32
    ) {
        self.identity = identity
        self.cpuQuota = cpuQuota
        self.cpuPeriod = cpuPeriod
        self.cpuShares = cpuShares
        self.cpus = cpus
        self.mems = mems
        self.memoryLimit = memoryLimit
        self.hugePages = hugePages
        self.devices = devices
        self.profile = profile
        self.boot = boot
        self.links = links
        self.hasVhostNet = hasVhostNet
        self.hasTopologyExtensions = hasTopologyExtensions
        self.annotations = annotations
        self.accelerator = accelerator
        self.defaultVCPUs = defaultVCPUs
        self.defaultMemory = defaultMemory
        self.user = user
        self.group = group
    }

    /// All PCI functions that the guest shall drive: those of ``devices``, and those behind its NICs.
    public var functions: [String] {
        let ofNICs = links.compactMap(\.backend.function)
        return devices + ofNICs.filter { !devices.contains($0) }
    }
}

/// What a runtime handler promises of its machines.
public enum MachineProfile: String, Codable, Sendable, CaseIterable {
    /// Whatever the pod's resource lines give.
    case standard
    /// CPUs of the pod's own and huge pages, or the pod is refused (Anuket's high-performance profile).
    case highPerformance = "high-performance"
}

/// A machine's names.
public struct MachineIdentity: Codable, Equatable, Sendable {
    /// The container's id.
    public var container: String
    /// The sandbox's id.
    public var sandbox: String
    /// The pod's name; the container's id outside Kubernetes.
    public var podName: String
    /// The pod's namespace.
    public var podNamespace: String
    /// The pod's uid.
    public var podUID: String
    /// The container's name in the pod.
    public var containerName: String

    /// A set of names.
    public init(
        container: String, sandbox: String, podName: String, podNamespace: String, podUID: String, containerName: String
    ) {
        self.container = container
        self.sandbox = sandbox
        self.podName = podName
        self.podNamespace = podNamespace
        self.podUID = podUID
        self.containerName = containerName
    }
}

/// How guests are executed.
public enum Accelerator: String, Codable, Sendable, CaseIterable {
    /// The kernel's hypervisor.
    case kvm
    /// QEMU's translator.
    case tcg
}

/// What a machine boots.
public enum BootRequest: Codable, Equatable, Sendable {
    /// A disk image inside the container image.
    case disk(DiskSource)
    /// A kernel inside the container image.
    case kernel(KernelSource)
}

/// A disk image as it was found.
public struct DiskSource: Codable, Equatable, Sendable {
    /// Formats that are booted.
    public enum Format: String, Codable, Sendable {
        // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
        case qcow2, raw
    }
    /// Path in the image.
    public var path: String
    /// Sniffed from the header.
    public var format: Format
    /// Bytes that the guest sees.
    public var virtualSize: UInt64

    /// A disk.
    public init(path: String, format: Format, virtualSize: UInt64) {
        self.path = path
        self.format = format
        self.virtualSize = virtualSize
    }
}

/// A kernel as it was found.
public struct KernelSource: Codable, Equatable, Sendable {
    /// Path in the image.
    public var kernel: String
    /// Path in the image.
    public var initrd: String?
    /// Content of `/boot/cmdline`.
    public var commandLine: String?

    /// A kernel.
    public init(kernel: String, initrd: String? = nil, commandLine: String? = nil) {
        self.kernel = kernel
        self.initrd = initrd
        self.commandLine = commandLine
    }
}

public import HostTopology

extension MachinePlan {
    /// Smallest guest RAM that is started: below it neither a BIOS nor a kernel gets far.
    public static let minimumMemory: UInt64 = 64 << 20
    /// Most vCPUs: QEMU's q35 takes 288, libvirt's BIOS guests 255.
    public static let maximumVCPUs = 255
    /// Most links at start.
    public static let maximumNICs = 32
    /// Most root ports on the first bus: eight to each of its slots 16 to 21.
    static let maximumRootPorts = 48

    /// Decides everything about a machine. Pure: the same request gives the same plan.
    ///
    /// - Parameters:
    ///   - host: the node.
    ///   - others: what the node's other pods hold: their CPUs, and those of their huge pages that `host` still counts as
    ///     free.
    /// - Throws: ``PlanRefusal``.
    public init(
        _ request: MachineRequest, on host: HostTopology, beside others: [Holding] = []
    ) throws(PlanRefusal) {
        identity = request.identity
        name = "slipway-\(request.identity.container.prefix(12))"
        uuid = Self.uuid(request.identity)
        accelerator = request.accelerator
        let pages = try HugePageRequest(request.hugePages)
        let asked = try Self.vcpus(request)
        let ordinary = try pages == nil ? Self.memory(request) : Decision(0, "")
        placement = try Placement(
            request, vcpus: asked.value, memory: ordinary.value, pages: pages, on: host, beside: others)
        vcpus = asked
        if case .pinned(let cpus) = placement.processors.value {
            guard cpus.count <= Self.maximumVCPUs else {
                throw PlanRefusal(
                    field: "limits.cpu", problem: "gives \(cpus.count) vCPUs; up to \(Self.maximumVCPUs) are accepted")
            }
            vcpus = Decision(
                cpus.count, "one for each of the pod's CPUs" + (cpus.count < request.cpus.count ? " but one" : ""))
        }
        vcpusLimit = Decision(
            request.annotations.maxCPUs ?? vcpus.value,
            request.annotations.maxCPUs == nil ? "no more are asked for" : MachineAnnotations.prefix + "max-cpus")
        memory = try pages.map { pages throws(PlanRefusal) in try Self.memory(pages, request, on: host) } ?? ordinary
        memoryLimit = try Self.memoryLimit(request, pages, memory.value)
        cloudInit = request.annotations.cloudInit
        user = request.user
        group = request.group
        disks = []
        nics = []
        nicPorts = Decision(0, "")
        vhostNet = request.hasVhostNet
        topologyExtensions = request.hasTopologyExtensions
        sharedMemory = Self.sharedMemory(request)
        switch request.boot {
        case .disk(let source):
            guard request.annotations.kernelArguments == nil else {
                throw PlanRefusal(
                    field: MachineAnnotations.prefix + "kernel-arguments",
                    problem:
                        "the image holds a disk (\(source.path)), whose boot loader decides on the kernel's arguments")
            }
            boot = Decision(.disk, "the image holds the disk \(source.path), \(source.format.rawValue)")
            disks.append(try Self.rootDisk(source, request.annotations))
        case .kernel(let source):
            let arguments = request.annotations.kernelArguments ?? source.commandLine ?? "console=ttyS0"
            boot = Decision(
                .kernel(kernel: source.kernel, initrd: source.initrd, commandLine: arguments),
                "the image holds no disk but the kernel \(source.kernel)")
        }
        if cloudInit != .none {
            let index = disks.count
            disks.append(
                Disk(
                    target: Self.target(index), content: .seed, virtualSize: nil,
                    serial: cloudInit == .nocloud ? "cidata" : "config-2", slot: Self.diskSlot(index)))
        }
        devices = []
        try plan(request.links, reserved: request.annotations.hotNICs)
        try pass(request, on: host)
        try checkOverhead(request)
    }

    private static func vcpus(_ request: MachineRequest) throws(PlanRefusal) -> Decision<Int> {
        guard let quota = request.cpuQuota, quota > 0, let period = request.cpuPeriod, period > 0 else {
            return Decision(request.defaultVCPUs, "no CPU limit; the node's default")
        }
        let quotient = UInt64(quota).dividedReportingOverflow(by: period).partialValue
        let count = quotient + (UInt64(quota) % period == 0 ? 0 : 1)
        guard count <= UInt64(maximumVCPUs) else {
            throw PlanRefusal(field: "limits.cpu", problem: "gives \(count) vCPUs; up to \(maximumVCPUs) are accepted")
        }
        let whole = UInt64(quota) % period == 0
        return Decision(Int(count), "limits.cpu, \(quota) of \(period) µs" + (whole ? "" : ", rounded up"))
    }

    private static func memory(_ request: MachineRequest) throws(PlanRefusal) -> Decision<UInt64> {
        guard let limit = request.memoryLimit else {
            return Decision((request.defaultMemory >> 20) << 20, "no memory limit; the node's default")
        }
        guard limit >= minimumMemory else {
            throw PlanRefusal(
                field: "limits.memory",
                problem: "is \(ByteCount.text(limit)); at least \(ByteCount.text(minimumMemory)) are needed by a guest")
        }
        // QEMU takes RAM in whole MiB without rounding it up, which would go over the pod's limit.
        let rounded = (limit >> 20) << 20
        return Decision(rounded, "limits.memory" + (rounded == limit ? "" : ", rounded down to whole MiB"))
    }

    private static func memory(
        _ pages: HugePageRequest, _ request: MachineRequest, on host: HostTopology
    ) throws(PlanRefusal) -> Decision<UInt64> {
        guard pages.bytes >= minimumMemory else {
            throw PlanRefusal(
                field: pages.field,
                problem:
                    "is \(ByteCount.text(pages.bytes)); at least \(ByteCount.text(minimumMemory)) are needed by a guest"
            )
        }
        return Decision(pages.bytes, pages.reason)
    }

    private static func memoryLimit(
        _ request: MachineRequest, _ pages: HugePageRequest?, _ memory: UInt64
    ) throws(PlanRefusal) -> Decision<UInt64> {
        let key = MachineAnnotations.prefix + "max-memory"
        guard let limit = request.annotations.maxMemory else { return Decision(memory, "no more is asked for") }
        guard pages == nil else {
            throw PlanRefusal(
                field: key, problem: "the RAM is of huge pages, of which a running pod cannot get more; leave it out")
        }
        guard !request.annotations.lockMemory && !request.annotations.realtime else {
            throw PlanRefusal(
                field: key,
                problem:
                    "locked memory cannot grow (virtio-mem and mlock exclude each other); leave it out, or realtime "
                    + "and "
                    + "lock-memory")
        }
        // virtio-mem adds and removes blocks of 2 MiB.
        let rounded = memory + (limit > memory ? ((limit - memory) >> 21) << 21 : 0)
        guard limit >= memory else {
            throw PlanRefusal(
                field: key, problem: "is \(ByteCount.text(limit)); the machine starts with \(ByteCount.text(memory))")
        }
        return Decision(rounded, key)
    }

    private static func rootDisk(_ source: DiskSource, _ annotations: MachineAnnotations) throws(PlanRefusal) -> Disk {
        let size = annotations.diskSize ?? source.virtualSize
        guard size >= source.virtualSize else {
            throw PlanRefusal(
                field: MachineAnnotations.prefix + "disk-size",
                problem:
                    "is \(ByteCount.text(size)); the image's disk has \(ByteCount.text(source.virtualSize)) already")
        }
        return Disk(
            target: target(0), content: .root(base: source), virtualSize: size, serial: "root", slot: diskSlot(0))
    }

    private static func target(_ index: Int) -> String {
        // vda … vdz, vdaa …: bijective base 26, as the kernel names them.
        var number = index + 1
        var letters = ""
        while number > 0 {
            let (quotient, rest) = (number - 1).quotientAndRemainder(dividingBy: 26)
            letters = String(UnicodeScalar(UInt8(ascii: "a") + UInt8(rest))) + letters
            number = quotient
        }
        return "vd\(letters)"
    }

    // Slots of bus 0: 1 and 2 are the fixed devices', 3 to 15 the disks', 16 and up the NICs' root ports, 31 the chipset's.
    private static func diskSlot(_ index: Int) -> UInt8 { UInt8(3 + index) }

    private static func uuid(_ identity: MachineIdentity) -> Decision<String> {
        let uid = identity.podUID.lowercased()
        if isUUID(uid) { return Decision(uid, "the pod's uid") }
        // Two FNV-1a hashes over the container's id: stable for the container, and a version 8 UUID (RFC 9562).
        var bytes: [UInt8] = []
        for seed in [UInt64(0xcbf2_9ce4_8422_2325), 0x9ae1_6a3b_2f90_404f] {
            var hash = seed
            for byte in identity.container.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: hash >> UInt64(shift)))
            }
        }
        bytes[6] = bytes[6] & 0x0f | 0x80
        bytes[8] = bytes[8] & 0x3f | 0x80
        var text = ""
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text += "-" }
            text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return Decision(text, "made from the container's id; there is no pod uid")
    }

    private static func isUUID(_ text: String) -> Bool {
        let groups = text.split(separator: "-", omittingEmptySubsequences: false)
        return groups.map(\.utf8.count) == [8, 4, 4, 4, 12]
            && groups.allSatisfy { $0.allSatisfy { $0.isASCII && $0.isHexDigit } }
    }
}

/// What a pod may say about its machine beyond its resource lines: the annotations under `slipway.dev/`.
///
/// | annotation | value | meaning |
/// |---|---|---|
/// | `slipway.dev/disk` | path in the image | which file is the root disk, when the image holds several |
/// | `slipway.dev/disk-size` | bytes, or with Ki, Mi, Gi, Ti | virtual size of the root disk, not below the image's |
/// | `slipway.dev/kernel-arguments` | text | command line of a directly booted kernel, instead of `/boot/cmdline` |
/// | `slipway.dev/cloud-init` | `nocloud`, `configdrive`, `none` | the kind of cloud-init seed that the guest gets; `nocloud` unless said |
/// | `slipway.dev/emulator-threads` | `share`, `isolate` | whether QEMU's own threads run on the vCPUs' CPUs, or one of the pod's exclusive CPUs is theirs |
/// | `slipway.dev/numa-policy` | `strict`, `preferred` | whether RAM and devices must be on the nodes of the CPUs; `strict` for huge pages, else `preferred` |
/// | `slipway.dev/realtime` | `true`, `false` | vCPU threads with the FIFO scheduler, locked memory, no CPU quota, no interrupts |
/// | `slipway.dev/lock-memory` | `true`, `false` | whether all of QEMU's memory is locked |
/// | `slipway.dev/max-cpus` | number | up to how many vCPUs a resize may add to the running machine |
/// | `slipway.dev/max-memory` | bytes, or with Ki, Mi, Gi, Ti | up to how much RAM a resize may add to the running machine |
/// | `slipway.dev/hot-nics` | 0 to 16 | how many NICs can be plugged into the running machine beside those it starts with; 8 unless said |
/// | `slipway.dev/interfaces` | a line for each NIC | how NICs are joined and set up; read where the pod's networks are planned |
/// | `slipway.dev/shared-memory` | `true`, `false` | RAM that a vhost-user switch or a vDPA device can map, for such NICs that come later; pods that start with one have it |
public struct MachineAnnotations: Codable, Equatable, Sendable {
    /// The prefix of all of them.
    public static let prefix = "slipway.dev/"

    /// Kinds of cloud-init seed.
    public enum CloudInit: String, Codable, Sendable, CaseIterable {
        /// An ISO 9660 disk labelled `cidata`.
        case nocloud
        /// An ISO 9660 disk labelled `config-2`, as OpenStack's.
        case configdrive
        /// None.
        case none
    }

    /// Where QEMU's own threads run.
    public enum EmulatorThreads: String, Codable, Sendable, CaseIterable {
        /// On the CPUs of the vCPUs.
        case share
        /// On one of the pod's exclusive CPUs, which then has no vCPU.
        case isolate
    }

    /// How RAM and devices are tied to the nodes of the CPUs.
    public enum NUMAPolicy: String, Codable, Sendable, CaseIterable {
        /// They are there, or the machine is refused.
        case strict
        /// They are there as far as possible.
        case preferred
    }

    /// The root disk's path in the image.
    public var disk: String?
    /// The root disk's virtual size in bytes.
    public var diskSize: UInt64?
    /// The kernel's command line.
    public var kernelArguments: String?
    /// The seed.
    public var cloudInit = CloudInit.nocloud

    /// QEMU's own threads.
    public var emulatorThreads = EmulatorThreads.share
    /// The tie; nil: as the kind of memory suggests.
    public var numaPolicy: NUMAPolicy?
    /// FIFO vCPU threads.
    public var realtime = false
    /// Locked memory.
    public var lockMemory = false
    /// Most vCPUs that the machine may grow to.
    public var maxCPUs: Int?
    /// Most bytes of RAM that the machine may grow to.
    public var maxMemory: UInt64?
    /// NICs that can be plugged in later.
    public var hotNICs = 8
    /// RAM that other processes can map.
    public var sharedMemory = false

    /// No annotation given.
    public init() {}

    /// The names without their prefix.
    public static let names = [
        "cloud-init", "disk", "disk-size", "emulator-threads", "hot-nics", "interfaces", "kernel-arguments",
        "lock-memory", "max-cpus", "max-memory", "numa-policy", "realtime", "shared-memory",
    ]

    /// Picks the annotations under the prefix out of all of a pod's.
    ///
    /// - Parameter isAllowed: the administrator's word on a name.
    /// - Throws: ``PlanRefusal`` for a name that is not known or not allowed, and for a value that is not accepted.
    public init(_ annotations: [String: String], isAllowed: (String) -> Bool = { _ in true }) throws(PlanRefusal) {
        for (key, value) in annotations.sorted(by: { $0.key < $1.key }) where key.hasPrefix(Self.prefix) {
            let name = String(key.dropFirst(Self.prefix.count))
            guard Self.names.contains(name) else {
                throw PlanRefusal(
                    field: key,
                    problem: "is not known; known are \(Self.names.map { Self.prefix + $0 }.joined(separator: ", "))")
            }
            guard isAllowed(name) else {
                throw PlanRefusal(
                    field: key, problem: "is not allowed to pods of this namespace by this node's Slipway configuration"
                )
            }
            try set(name, key: key, to: value)
        }
    }

    private mutating func set(_ name: String, key: String, to value: String) throws(PlanRefusal) {
        switch name {
        case "disk":
            guard value.hasPrefix("/"), !value.utf8.contains(0) else {
                throw PlanRefusal(field: key, problem: "is \"\(value)\"; an absolute path in the image is accepted")
            }
            disk = value
        case "disk-size":
            diskSize = (try Self.size(value, key, "20Gi") + 511) / 512 * 512
        case "kernel-arguments":
            guard value.utf8.count <= 2047, value.utf8.allSatisfy({ $0 >= 32 && $0 < 127 }) else {
                throw PlanRefusal(field: key, problem: "up to 2047 printable ASCII characters are accepted")
            }
            kernelArguments = value
        case "emulator-threads": emulatorThreads = try Self.word(value, key)
        case "numa-policy": numaPolicy = try Self.word(value, key)
        case "realtime": realtime = try Self.flag(value, key)
        case "lock-memory": lockMemory = try Self.flag(value, key)
        case "max-cpus":
            guard let number = Int(value), (1...MachinePlan.maximumVCPUs).contains(number) else {
                throw PlanRefusal(
                    field: key, problem: "is \"\(value)\"; a number from 1 to \(MachinePlan.maximumVCPUs) is accepted")
            }
            maxCPUs = number
        case "hot-nics":
            guard let number = Int(value), (0...16).contains(number) else {
                throw PlanRefusal(field: key, problem: "is \"\(value)\"; a number from 0 to 16 is accepted")
            }
            hotNICs = number
        case "interfaces": break
        case "shared-memory": sharedMemory = try Self.flag(value, key)
        case "max-memory": maxMemory = try Self.size(value, key, "8Gi")
        default: cloudInit = try Self.word(value, key)
        }
    }

    private static func word<Word: RawRepresentable & CaseIterable>(
        _ value: String, _ key: String
    ) throws(PlanRefusal) -> Word where Word.RawValue == String {
        guard let word = Word(rawValue: value) else {
            let words = Word.allCases.map(\.rawValue)
            let listed = words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "")
            throw PlanRefusal(field: key, problem: "is \"\(value)\"; \(listed) is accepted")
        }
        return word
    }

    private static func flag(_ value: String, _ key: String) throws(PlanRefusal) -> Bool {
        guard value == "true" || value == "false" else {
            throw PlanRefusal(field: key, problem: "is \"\(value)\"; true or false is accepted")
        }
        return value == "true"
    }

    private static func size(_ value: String, _ key: String, _ example: String) throws(PlanRefusal) -> UInt64 {
        guard let size = ByteCount.parse(value), size > 0, size <= 1 << 50 else {
            throw PlanRefusal(field: key, problem: "is \"\(value)\"; a size such as \(example), up to 1Pi, is accepted")
        }
        return size
    }
}

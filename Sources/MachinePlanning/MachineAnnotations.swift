/// What a pod may say about its machine beyond its resource lines: the annotations under `slipway.dev/`.
///
/// | annotation | value | meaning |
/// |---|---|---|
/// | `slipway.dev/disk` | path in the image | which file is the root disk, when the image holds several |
/// | `slipway.dev/disk-size` | bytes, or with Ki, Mi, Gi, Ti | virtual size of the root disk, not below the image's |
/// | `slipway.dev/kernel-arguments` | text | command line of a directly booted kernel, instead of `/boot/cmdline` |
/// | `slipway.dev/cloud-init` | `nocloud`, `none` | whether the guest gets a cloud-init seed; `nocloud` unless said |
public struct MachineAnnotations: Codable, Equatable, Sendable {
    /// The prefix of all of them.
    public static let prefix = "slipway.dev/"

    /// Kinds of cloud-init seed.
    public enum CloudInit: String, Codable, Sendable, CaseIterable {
        /// An ISO 9660 disk labelled `cidata`.
        case nocloud
        /// None.
        case none
    }

    /// The root disk's path in the image.
    public var disk: String?
    /// The root disk's virtual size in bytes.
    public var diskSize: UInt64?
    /// The kernel's command line.
    public var kernelArguments: String?
    /// The seed.
    public var cloudInit = CloudInit.nocloud

    /// No annotation given.
    public init() {}

    /// The names without their prefix.
    public static let names = ["cloud-init", "disk", "disk-size", "kernel-arguments"]

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
            switch name {
            case "disk":
                guard value.hasPrefix("/"), !value.utf8.contains(0) else {
                    throw PlanRefusal(field: key, problem: "is \"\(value)\"; an absolute path in the image is accepted")
                }
                disk = value
            case "disk-size":
                guard let size = ByteCount.parse(value), size > 0, size <= 1 << 50 else {
                    throw PlanRefusal(
                        field: key, problem: "is \"\(value)\"; a size such as 20Gi, up to 1Pi, is accepted")
                }
                diskSize = (size + 511) / 512 * 512
            case "kernel-arguments":
                guard value.utf8.count <= 2047, value.utf8.allSatisfy({ $0 >= 32 && $0 < 127 }) else {
                    throw PlanRefusal(field: key, problem: "up to 2047 printable ASCII characters are accepted")
                }
                kernelArguments = value
            default:
                guard let word = CloudInit(rawValue: value) else {
                    let words = CloudInit.allCases.map(\.rawValue).joined(separator: " or ")
                    throw PlanRefusal(field: key, problem: "is \"\(value)\"; \(words) is accepted")
                }
                cloudInit = word
            }
        }
    }
}

/// A machine that will not be started: the field of the pod, and what is wrong with it, what there is, what would help.
public struct PlanRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// The pod's field: an annotation, `limits.memory`, a path in the image.
    public let field: String
    /// The sentence's rest.
    public let problem: String

    /// A refusal.
    public init(field: String, problem: String) {
        self.field = field
        self.problem = problem
    }

    /// `FIELD: PROBLEM`.
    public var description: String { "\(field): \(problem)" }
}

/// Numbers of bytes as people write and read them.
public enum ByteCount {
    private static let units: [(suffix: String, shift: UInt64)] = [
        ("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50),
    ]

    /// Parses `1024`, `20Gi` and the like; nil for anything else, overflow included.
    public static func parse(_ text: String) -> UInt64? {
        guard text.utf8.first != UInt8(ascii: "+") else { return nil }
        for unit in units where text.hasSuffix(unit.suffix) {
            guard let number = UInt64(text.dropLast(2)) else { return nil }
            let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << unit.shift)
            return overflow ? nil : bytes
        }
        return UInt64(text)
    }

    /// The largest unit that divides the number evenly: `512 MiB`.
    public static func text(_ bytes: UInt64) -> String {
        for unit in units.reversed() where bytes != 0 && bytes.isMultiple(of: 1 << unit.shift) {
            return "\(bytes >> unit.shift) \(unit.suffix)B"
        }
        return "\(bytes) B"
    }
}

public import LinuxSystem

/// Why there is no topology.
public enum HostTopologyError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A file is there and cannot be read.
    case unreadable(SystemError)
    /// A file that every kernel has is not there.
    case missing(file: String)
    /// A file's text is not what the kernel writes.
    case malformed(file: String, found: String, wanted: String)
    /// A value contradicts itself; the sentence says where.
    case inconsistent(String)

    static func malformed(_ file: String, _ found: some StringProtocol, wanted: String) -> HostTopologyError {
        .malformed(file: file, found: CPUSet.Malformed(found).text, wanted: wanted)
    }

    /// The sentence for people.
    public var description: String {
        switch self {
        case .unreadable(let error): return "\(error)"
        case .missing(let file): return "\(file) is missing; is sysfs mounted there?"
        case .malformed(let file, let found, let wanted): return "\(file): \"\(found)\" is not \(wanted)"
        case .inconsistent(let sentence): return "host topology: \(sentence)"
        }
    }
}

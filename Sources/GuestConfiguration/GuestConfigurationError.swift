public import LinuxSystem

/// Why a seed cannot be made.
public enum GuestConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A text with a NUL, which no file format here can carry: the field's name.
    case nul(field: String)
    /// An entry of the environment without `=` or without a name: its index.
    case environment(index: Int)
    /// A file of the pod's seed directory that cannot be used: its name and why.
    case seedFile(String, reason: String)
    /// No program to write ISO 9660 with: the paths that were looked at.
    case noImageProgram([String])
    /// The program that writes the image failed: its path and what it said.
    case imageProgram(String, output: String)
    /// A file of an image has become longer than its place there: its length in bytes, and what it may be.
    case noRoom(bytes: Int, room: Int)
    /// An image does not hold what it was made of: its path.
    case otherImage(String)
    /// A file could not be read or written.
    case system(SystemError)

    /// What was found, what is accepted and what would help.
    public var description: String {
        switch self {
        case .nul(let field):
            "\(field) holds a NUL character; text without it is accepted"
        case .environment(let index):
            "process.env[\(index)] is not of the form NAME=value"
        case .seedFile(let name, let reason):
            "/var/lib/cloud/seed/nocloud/\(name) \(reason)"
        case .noImageProgram(let paths):
            "no program to make the cloud-init seed with: install genisoimage or xorriso (looked for "
                + paths.joined(separator: ", ") + ")"
        case .imageProgram(let path, let output):
            "\(path) could not make the cloud-init seed: \(output)"
        case .noRoom(let bytes, let room):
            "a file of the cloud-init seed would have \(bytes) bytes, and \(room) are kept for it; a guest that boots again is "
                + "told its earlier networks, until its container is started anew"
        case .otherImage(let path):
            "\(path): is not the cloud-init seed that was made"
        case .system(let error):
            error.description
        }
    }
}

internal import Glibc
internal import LinuxSystem

/// An image of the container runtime, mounted read-only for a look into it.
///
/// CRI has no call for that; containerd's own `ctr`, which comes with it, does.
struct MountedImage {
    private static let program = "/usr/bin/ctr"

    /// The directory with the image's files.
    let path: String
    private let socket: String

    /// Mounts an image that is on the node.
    init(_ name: String, socket: String) throws {
        self.socket = socket
        let template = Array("/tmp/slipway-image.XXXXXX".utf8CString)
        var buffer = template
        guard mkdtemp(&buffer) != nil else { throw SystemError.last("mkdtemp", "/tmp") }
        path = String(decoding: buffer.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let (status, output) = try run(["images", "mount", name, path])
        guard status == .exited(0) else {
            _ = rmdir(path)
            throw CommandFailure(.notFound, "image \(name) cannot be looked into: \(output.firstLine)")
        }
    }

    /// Undoes it.
    func unmount() {
        _ = try? run(["images", "unmount", "--rm", path])
        _ = rmdir(path)
    }

    private func run(_ words: [String]) throws -> (status: LinuxSystem.Process.Status, output: String) {
        try Spawn(Self.program, ["--address", socket, "--namespace", "k8s.io"] + words).run(milliseconds: 30_000)
    }
}

extension String {
    var firstLine: Substring { split(separator: "\n").first ?? "" }
}

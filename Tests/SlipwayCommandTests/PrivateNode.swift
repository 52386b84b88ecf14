import FoundationEssentials
import Glibc
import LinuxSystem
import Testing

/// A containerd below a directory of its own, and the built command pointed at it.
struct PrivateNode {
    let directory: String
    private let script: String

    struct Result: CustomStringConvertible {
        var status: Int32
        var output: String
        var errors: String

        var description: String { "exit \(status)\n--- stdout\n\(output)--- stderr\n\(errors)" }
    }

    /// The repository, of which this file is a part.
    private static let repository = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    /// Starts it and gives it the ordinary container's image.
    init() throws {
        directory = "/tmp/slipway-cli-\(UUID().uuidString.prefix(8).lowercased())"
        script = "\(Self.repository)/Tests/node/node.sh"
        let images = try Self.images()
        let up = try Self.run(["/bin/bash", script, "up", "\(directory)/node"])
        try #require(up.status == 0, "\(up)")
        let imported = try Self.run(
            ["/bin/bash", script, "import", "\(directory)/node", "\(images)/pause.tar", "\(images)/cnf.tar"])
        try #require(imported.status == 0, "\(imported)")
        for name in ["pods", "logs"] {
            try FileManager.default.createDirectory(atPath: "\(directory)/\(name)", withIntermediateDirectories: true)
        }
    }

    /// Runs the command; `played` points it at this node's own volumes and logs.
    func slipway(_ arguments: String..., played: Bool = false) throws -> Result {
        let own = ["--pod-directory", "\(directory)/pods", "--log-directory", "\(directory)/logs"]
        return try Self.run(
            [Self.binary] + arguments + ["--runtime-endpoint", "unix://\(directory)/node/containerd.sock"]
                + (played ? own : []))
    }

    /// Ends everything of it.
    func end() {
        _ = try? Self.run(["/bin/bash", script, "down", "\(directory)/node"])
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// SLIPWAY_TEST_IMAGES, or built once beside the test binaries.
    private static func images() throws -> String {
        if let given = ProcessInfo.processInfo.environment["SLIPWAY_TEST_IMAGES"] { return given }
        let directory = "\(products)/images"
        if FileManager.default.fileExists(atPath: "\(directory)/cnf.tar") { return directory }
        let built = try run(["/bin/bash", "\(repository)/Tests/node/images.sh", directory, "cnf"])
        try #require(built.status == 0, "\(built)")
        return directory
    }

    /// Where the build puts its products: beside the test bundle.
    private static let products: String = {
        let tests = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? ProcessInfo.processInfo.arguments[0]
        return URL(filePath: tests).resolvingSymlinksInPath().deletingLastPathComponent().path
    }()

    private static let binary = "\(products)/slipway"

    private static func run(_ arguments: [String]) throws -> Result {
        let outputs = try FileDescriptor.pipe()
        let errors = try FileDescriptor.pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, outputs.write.raw, 1)
        posix_spawn_file_actions_adddup2(&actions, errors.write.raw, 2)
        var pid = pid_t()
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { argv.forEach { free($0) } }
        let code = posix_spawn(&pid, arguments[0], &actions, nil, &argv, environ)
        guard code == 0 else { throw SystemError("posix_spawn", arguments[0], code: code) }
        outputs.write.close()
        errors.write.close()
        // Both ends are read at once, so that neither pipe fills while the other is waited for.
        var bytes: (output: [UInt8], errors: [UInt8]) = ([], [])
        var open = [true, true]
        while open[0] || open[1] {
            var entries = [
                pollfd(fd: open[0] ? outputs.read.raw : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: open[1] ? errors.read.raw : -1, events: Int16(POLLIN), revents: 0),
            ]
            poll(&entries, 2, -1)
            if entries[0].revents != 0 {
                let more = try outputs.read.read(upTo: 65536)
                open[0] = !more.isEmpty
                bytes.output += more
            }
            if entries[1].revents != 0 {
                let more = try errors.read.read(upTo: 65536)
                open[1] = !more.isEmpty
                bytes.errors += more
            }
        }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return Result(
            status: status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f),
            output: String(decoding: bytes.output, as: UTF8.self), errors: String(decoding: bytes.errors, as: UTF8.self)
        )
    }
}

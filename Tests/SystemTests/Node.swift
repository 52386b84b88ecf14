import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import StateDirectory
import TestSupport
import Testing

/// The private node that `make test` starts for these tests: a real containerd with the examples' images and Slipway's
/// programs. `SLIPWAY_NODE` names its directory.
enum Node {
    struct Missing: Error, CustomStringConvertible {
        let description = "SLIPWAY_NODE is not set: these tests need the node that Tests/node/test.sh starts"
    }

    /// Another node than `make test`'s, for what runs inside of `$other.withValue`.
    @TaskLocal static var other: String?

    static var directory: String {
        get throws {
            if let other { return other }
            guard let path = getenv("SLIPWAY_NODE") else { throw Missing() }
            return String(cString: path)
        }
    }

    static var socket: String { get throws { "\(try directory)/containerd.sock" } }

    /// Runs a test's body with a connection to the node's CRI.
    static func connected(_ body: (CRIClient) async throws -> Void) async throws {
        try await CRIClient.connected(to: socket) { try await body($0) }
    }

    /// The directory of the node's scripts.
    static let scripts = #filePath.split(separator: "/").dropLast(2).reduce("") { "\($0)/\($1)" } + "/node"

    /// Runs a verb of the node's script.
    @discardableResult
    static func script(_ words: String..., environment: [String] = []) throws -> String {
        let arguments = [words.first ?? "", try directory] + words.dropFirst()
        var spawn = Spawn("/usr/bin/bash", ["\(scripts)/node.sh"] + arguments)
        spawn.environment =
            environment
            + ["PATH", "SLIPWAY_BIN"].compactMap { (name: String) -> String? in
                getenv(name).map { "\(name)=\(String(cString: $0))" }
            }
        let (status, output) = try spawn.run(milliseconds: 60_000)
        #expect(status == .exited(0), "node.sh \(words): \(output)")
        return output
    }

    /// Runs containerd's own client.
    static func ctr(_ words: String...) throws -> (status: LinuxSystem.Process.Status, output: String) {
        try Spawn("/usr/bin/ctr", ["--address", socket, "--namespace", "k8s.io"] + words).run(milliseconds: 30_000)
    }

    /// Everything on this machine that belongs to sandboxes of Slipway: for a test to compare before and after.
    static func remains() -> Set<String> {
        var found: Set<String> = []
        for directory in StateDirectory.all() { found.insert("state \(directory.path)") }
        for user in (try? File.list("/run/slipway/.users")) ?? [] where UInt32(user) != nil {
            found.insert("user \(user)")
        }
        for claim in (try? File.list("/run/slipway/.claims")) ?? [] where !claim.hasPrefix(".") {
            found.insert("claim \(claim)")
        }
        for name in (try? File.list("/proc")) ?? [] {
            guard let pid = Int32(name), let line = try? File.text("/proc/\(pid)/cmdline", limit: 1 << 16) else {
                continue
            }
            if line.contains("/run/slipway/") && !line.isEmpty { found.insert("process \(pid) \(line.prefix(60))") }
        }
        for hierarchy in (try? File.list("/sys/fs/cgroup")) ?? [] {
            for id in (try? File.list("/sys/fs/cgroup/\(hierarchy)/k8s.io")) ?? [] where id.utf8.count == 64 {
                found.insert("cgroup \(hierarchy)/\(id)")
            }
        }
        let mounts = ((try? File.text("/proc/self/mountinfo", limit: 1 << 22)) ?? "").split(separator: "\n")
        for mount in mounts where mount.contains("/run/slipway/") { found.insert("mount \(mount.prefix(120))") }
        return found
    }

    /// Expects that nothing has come to what was there before.
    static func expectNothingLeft(since before: Set<String>, _ location: SourceLocation = #_sourceLocation) async {
        let clean = await eventually(within: .seconds(15)) { remains().subtracting(before).isEmpty }
        if clean { return }
        let left = remains().subtracting(before).sorted()
        Issue.record("left behind: \(left)\n\(left.map(story).joined())", sourceLocation: location)
    }

    /// What a sandbox's record and log, and containerd's, tell of a state directory that is left.
    private static func story(of remain: String) -> String {
        guard remain.hasPrefix("state ") else { return "" }
        let directory = StateDirectory(path: String(remain.dropFirst("state ".count)))
        let log = (try? File.text(directory.log, limit: 1 << 24)) ?? "no log"
        let record = (try? File.text(directory.record)) ?? "no record"
        let id = (try? SandboxRecord(readingFrom: directory).id) ?? "?"
        let containerd = (try? File.text("\(Self.directory)/containerd.log", limit: 1 << 28)) ?? ""
        let lines = containerd.split(separator: "\n").filter { $0.contains(id) }.suffix(30)
        return "\(record)\n\(log.suffix(4000))\n\(lines.joined(separator: "\n"))\n"
    }
}

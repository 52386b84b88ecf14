import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import TestSupport
import Testing

/// The virtual machine that plays a node for these tests: Tests/lab/lab.sh. `SLIPWAY_LAB` names its directory.
enum Lab {
    struct Missing: Error, CustomStringConvertible {
        let description = "SLIPWAY_LAB is not set: these tests need the lab that Tests/lab/test.sh starts"
    }

    /// A command that failed in the lab.
    struct Failure: Error, CustomStringConvertible {
        let command: String
        let status: LinuxSystem.Process.Status
        let output: String
        var description: String { "\(command): \(status): \(output)" }
    }

    static var directory: String {
        get throws {
            guard let path = getenv("SLIPWAY_LAB") else { throw Missing() }
            return String(cString: path)
        }
    }

    /// Whether the lab has what QEMU and kernel of Debian 12 have not: SR-IOV, and vDPA in user space.
    static var hasNewDevices: Bool { getenv("LAB_SUITE").map { String(cString: $0) } == "trixie" }
    static let newDevices: Comment = "these devices are those of a lab of Debian 13 (LAB_SUITE=trixie)"

    /// Runs a body with a connection to CRI of the containerd in the lab.
    static func connected(_ body: (CRIClient) async throws -> Void) async throws {
        try await CRIClient.connected(to: "\(directory)/containerd.sock") { try await body($0) }
    }

    /// What a command in the lab prints; one that fails throws. A shell there reads it.
    @discardableResult
    static func run(_ command: String, seconds: Int32 = 120) throws -> String {
        let ssh = Spawn("/usr/bin/ssh", ["-F\(try directory)/ssh_config", "lab", command])
        let (status, output) = try ssh.run(milliseconds: seconds * 1000, limit: 1 << 20)
        guard status == .exited(0) else { throw Failure(command: command, status: status, output: output) }
        return output
    }

    /// The words of each line that a command in the lab prints.
    static func table(_ command: String, seconds: Int32 = 120) throws -> [[String]] {
        try run(command, seconds: seconds).split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    }

    /// A file in the lab, without the line's end.
    static func file(_ path: String) throws -> String {
        try run("cat '\(path)'").split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            .joined(separator: "\n")
    }

    /// Everything in the lab that belongs to pods: for a test to compare before and after.
    static func remains() throws -> Set<String> {
        Set(try run("lab remains").split(separator: "\n").map(String.init))
    }

    /// Expects that nothing has come to what was there before.
    static func expectNothingLeft(since before: Set<String>, _ location: SourceLocation = #_sourceLocation) async throws
    {
        var left: Set<String> = []
        let clean = try await eventually(within: .seconds(60)) {
            left = try remains().subtracting(before)
            return left.isEmpty
        }
        #expect(clean, "left behind: \(left.sorted())", sourceLocation: location)
    }
}

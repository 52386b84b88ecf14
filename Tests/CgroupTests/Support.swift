import Glibc
import LinuxSystem
import Testing

@testable import Cgroup

func withTemporaryDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/slipway-cgroup-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { $0.baseAddress.flatMap { mkdtemp($0) } != nil }
    try #require(made, "mkdtemp")
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { try? File.removeTree(path) }
    try body(path)
}

/// A group of the test machine under a name of its own, removed with all its processes afterwards.
func withGroup(_ hierarchy: CgroupHierarchy, _ body: (Cgroup) throws -> Void) throws {
    let name = "slipway-test-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    let group = hierarchy.group(at: try CgroupPath("/\(name)"))
    try group.create()
    defer {
        do {
            try group.kill()
            try group.remove()
        } catch {
            Issue.record("left behind: \(error)")
        }
    }
    try body(group)
}

/// A child in the group that does nothing; it is killed and reaped afterwards if it still lives.
func withChild(
    of group: Cgroup, _ program: String = "/bin/sleep", _ arguments: [String] = ["1000"],
    _ body: (LinuxSystem.Process) throws -> Void
) throws {
    var spawn = Spawn(program, arguments)
    spawn.cgroupProcs = group.processFiles
    let child = try spawn.start()
    defer {
        try? child.signal(SIGKILL)
        _ = try? child.wait()
    }
    try body(child)
}

import Glibc
import LinuxSystem
import Testing

@testable import Cgroup

/// The first cgroup2 tree of this host, also where it is only the smaller part of a hybrid.
private let root: String? = {
    guard getuid() == 0, let text = try? File.text("/proc/self/mountinfo", limit: 16 << 20) else { return nil }
    let unified = text.split(separator: "\n").filter { $0.contains(" - cgroup2 ") }.joined(separator: "\n")
    guard case .v2(let root) = try? CgroupHierarchy(mountinfo: unified) else { return nil }
    return root
}()

/// Also takes back what the root handed on for the group.
private func withUnifiedGroup(_ body: (Cgroup) throws -> Void) throws {
    let root = try #require(root)
    let control = "\(root)/cgroup.subtree_control"
    let before = Set(try File.text(control).split(whereSeparator: \.isWhitespace))
    defer {
        let after = (try? File.text(control)) ?? ""
        for added in Set(after.split(whereSeparator: \.isWhitespace)).subtracting(before) {
            #expect(throws: Never.self) { try File.put("-\(added)", into: control) }
        }
    }
    try withGroup(.v2(root: root), body)
}

/// One at a time, because what a group's parent hands on is restored.
@Suite(.enabled(if: root != nil), .serialized) struct RealCgroupV2Tests {
    @Test func livesAndLeavesNothing() throws {
        var kept: Cgroup?
        try withUnifiedGroup { group in
            kept = group
            try withChild(of: group) { child in
                #expect(try group.processes() == [child.pid])
                #expect(try File.text("/proc/\(child.pid)/cgroup").contains("0::\(group.path)/machine\n"))
                guard case .v2(let metrics) = try group.metrics() else {
                    Issue.record("not version 2")
                    return
                }
                #expect(metrics.cpu != nil)
                #expect(throws: CgroupError.occupied(group.path.description, processes: [child.pid])) {
                    try group.create()
                }
                try group.kill()
                #expect(try child.wait() == .signaled(SIGKILL))
            }
            try group.create()
        }
        #expect(kept?.exists == false)
    }

    @Test func freezesAndKillsFrozen() throws {
        try withUnifiedGroup { group in
            try withChild(of: group) { child in
                try group.freeze()
                try group.thaw()
                try group.freeze()
                try group.kill()
                #expect(try child.wait() == .signaled(SIGKILL))
            }
        }
    }

    @Test func refusesThreads() throws {
        try withUnifiedGroup { group in
            #expect(throws: CgroupError.threadsAreVersion1Only) { try group.enter(thread: 0) }
        }
    }

    /// The process that supervises is in the group itself while it starts a machine.
    @Test func sparesTheCaller() async throws {
        await #expect(processExitsWith: .exitCode(0)) {
            try withUnifiedGroup { group in
                let before = try CgroupMembership(thread: Thread.id, in: group.hierarchy)
                try group.enter(process: 0)
                let child = try Spawn("/bin/sleep", ["1000"]).start()
                #expect(Set(try group.processes()) == [getpid(), child.pid])
                try group.kill()
                #expect(try child.wait() == .signaled(SIGKILL))
                #expect(try group.processes() == [getpid()])
                try before.enter(process: 0)
            }
            exit(0)
        }
    }

    /// What keeps systemd from turning a controller off above the group.
    @Test func parentCannotTakeControllersBack() throws {
        let root = try #require(root)
        let offered = try File.text("\(root)/cgroup.controllers").split(whereSeparator: \.isWhitespace)
        guard let controller = offered.first(where: { Cgroup.controllers.contains(String($0)) }) else { return }
        try withUnifiedGroup { group in
            let directory = try #require(group.directories.first)
            #expect(try File.text("\(directory)/cgroup.subtree_control").contains(controller))
            let error = #expect(throws: SystemError.self) {
                try File.put("-\(controller)", into: "\(root)/cgroup.subtree_control")
            }
            #expect(error?.code == EBUSY)
            guard controller == "hugetlb", File.exists("\(directory)/hugetlb.2MB.max") else { return }
            var resources = CgroupResources()
            resources.hugepageLimits = ["2MB": 4 << 20]
            try group.apply(resources)
            #expect(try File.text("\(directory)/hugetlb.2MB.max") == "\(4 << 20)\n")
            #expect(try File.text("\(directory)/hugetlb.2MB.rsvd.max") == "\(4 << 20)\n")
            guard case .v2(let metrics) = try group.metrics() else { return }
            #expect(metrics.hugetlb.contains(.init(current: 0, max: 4 << 20, pagesize: "2MB", failcnt: 0)))
            resources.memoryLimit = 1 << 20
            #expect(throws: CgroupError.controllerMissing("memory", setting: "memory.limit (memory.max)")) {
                try group.apply(resources)
            }
        }
    }
}

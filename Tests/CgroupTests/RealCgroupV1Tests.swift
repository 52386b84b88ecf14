import Glibc
import LinuxSystem
import Testing

@testable import Cgroup

private let hierarchy = try? CgroupHierarchy.discover()

private var isVersion1: Bool {
    if case .v1 = hierarchy, getuid() == 0 { true } else { false }
}

/// The trees of this host; needs root and version 1.
@Suite(.enabled(if: isVersion1)) struct RealCgroupV1Tests {
    private func trees() throws -> CgroupHierarchy { try #require(hierarchy) }

    @Test func livesAndLeavesNothing() throws {
        let path: CgroupPath
        do {
            var kept: CgroupPath?
            try withGroup(try trees()) { group in
                kept = group.path
                #expect(group.directories.allSatisfy { File.exists($0) })
                #expect(try group.processes().isEmpty)
                if let cpuset = group.directory(of: "cpuset") {
                    #expect(try !File.text("\(cpuset)/cpuset.cpus").allSatisfy(\.isWhitespace))
                }
                try withChild(of: group) { child in
                    #expect(try group.processes() == [child.pid])
                    guard case .v1(let metrics) = try group.metrics() else {
                        Issue.record("not version 1")
                        return
                    }
                    #expect(metrics.pids?.current == 1)
                    #expect(metrics.pids?.limit == .max)
                    let memory = try #require(metrics.memory)
                    #expect(memory.usage.usage > 0 && memory.usage.limit > 0)
                    #expect(metrics.cpu != nil)
                    #expect(throws: CgroupError.occupied(group.path.description, processes: [child.pid])) {
                        try group.create()
                    }
                    #expect(
                        throws: CgroupError.populated(group.path.description, processes: [child.pid], milliseconds: 10)
                    ) { try group.remove(milliseconds: 10) }
                    try group.kill()
                    #expect(try child.wait() == .signaled(SIGKILL))
                    #expect(try group.processes().isEmpty)
                }
                // What is empty may be taken again.
                try group.create()
            }
            path = try #require(kept)
        }
        let group = try trees().group(at: path)
        #expect(!group.exists)
        #expect(group.directories.allSatisfy { !File.exists($0) })
        try group.remove()
        try group.kill()
        #expect(throws: CgroupError.gone(path.description)) { try group.metrics() }
    }

    @Test func unitPathsNeedNoSystemd() throws {
        let slice = "slipwaytest\(getpid())x\(UInt32.random(in: 0 ... .max))"
        let group = try trees().group(at: try CgroupPath("\(slice)-pod1.slice:cri-containerd:a"))
        try group.create()
        #expect(group.path.components == ["\(slice).slice", "\(slice)-pod1.slice", "cri-containerd-a.scope"])
        try withChild(of: group) { child in
            #expect(try group.processes() == [child.pid])
            try group.kill()
        }
        try group.remove()
        #expect(!group.exists)
        let top = try trees().group(at: try CgroupPath("\(slice).slice"))
        #expect(top.exists)
        try top.remove()
        #expect(!top.exists)
    }

    @Test func appliesLimits() throws {
        try withGroup(try trees()) { group in
            var resources = CgroupResources()
            resources.cpuShares = 512
            resources.cpuQuota = 50_000
            resources.cpuPeriod = 100_000
            resources.memoryLimit = 64 << 20
            resources.memorySwapLimit = 64 << 20
            resources.pidsLimit = 50
            resources.cpus = "0"
            resources.hugepageLimits = ["2MB": 0]
            try group.apply(resources)
            let read = { (file: String) in
                let directory = try #require(group.directory(of: String(file.prefix { $0 != "." })))
                return try File.text("\(directory)/\(file)")
            }
            #expect(try read("cpu.shares") == "512\n")
            #expect(try read("cpu.cfs_quota_us") == "50000\n")
            #expect(try read("memory.limit_in_bytes") == "\(64 << 20)\n")
            #expect(try read("memory.memsw.limit_in_bytes") == "\(64 << 20)\n")
            #expect(try read("pids.max") == "50\n")
            #expect(try read("cpuset.cpus") == "0\n")

            // Upwards the swap limit has to go first, downwards the memory limit.
            for size: Int64 in [128 << 20, 32 << 20] {
                resources.memoryLimit = size
                resources.memorySwapLimit = size
                try group.apply(resources)
                #expect(try read("memory.limit_in_bytes") == "\(size)\n")
                #expect(try read("memory.memsw.limit_in_bytes") == "\(size)\n")
            }

            resources.cpus = "4000"
            let cpuset = try #require(group.directory(of: "cpuset"))
            let error = #expect(throws: CgroupError.self) { try group.apply(resources) }
            guard case .refused("\(cpuset)/cpuset.cpus", "4000", _) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    @Test func namesTheMissingController() throws {
        guard case .v1(let mounts) = try trees() else { return }
        let some = CgroupHierarchy.v1(mounts.filter { $0.controllers == ["pids"] })
        try withGroup(some) { group in
            var resources = CgroupResources()
            resources.memoryLimit = 1 << 20
            #expect(throws: CgroupError.controllerMissing("memory", setting: "memory.limit")) {
                try group.apply(resources)
            }
            #expect(throws: CgroupError.self) { try group.freeze() }
            #expect(throws: CgroupError.self) { try group.oomKillCount() }
        }
    }

    @Test func countsKillsForMemory() throws {
        try withGroup(try trees()) { group in
            var resources = CgroupResources()
            resources.memoryLimit = 20 << 20
            resources.memorySwapLimit = 20 << 20
            try group.apply(resources)
            #expect(try group.oomKillCount() == 0)
            // tail keeps the last line, and /dev/zero has no end of line.
            try withChild(of: group, "/usr/bin/tail", ["/dev/zero"]) { child in
                let ended = try child.waitForEnd(milliseconds: 20_000)
                #expect(ended)
                if ended { #expect(try child.wait() == .signaled(SIGKILL)) }
            }
            #expect(try group.oomKillCount() == 1)
            guard case .v1(let metrics) = try group.metrics() else { return }
            #expect(metrics.memoryOOMControl?.oomKill == 1)
            #expect(metrics.memory?.usage.limit == 20 << 20)
            #expect(try #require(metrics.memory).usage.max > 10 << 20)
            #expect(try #require(metrics.cpu).total > 0)
        }
    }

    @Test func freezesAndKillsFrozen() throws {
        try withGroup(try trees()) { group in
            try withChild(of: group) { child in
                try group.freeze()
                let freezer = try #require(group.directory(of: "freezer"))
                #expect(try File.text("\(freezer)/freezer.state") == "FROZEN\n")
                try group.thaw()
                #expect(try File.text("\(freezer)/freezer.state") == "THAWED\n")
                try group.freeze()
                try group.kill()
                #expect(try child.wait() == .signaled(SIGKILL))
            }
        }
    }

    @Test func killsWhatForks() throws {
        try withGroup(try trees()) { group in
            var resources = CgroupResources()
            resources.pidsLimit = 40
            try group.apply(resources)
            let script = "while :; do sh -c 'sleep 1000' & done 2>/dev/null"
            try withChild(of: group, "/bin/sh", ["-c", script]) { child in
                let deadline = Clock.milliseconds + 10_000
                while try group.processes().count < 20, Clock.milliseconds < deadline {
                    _ = try child.waitForEnd(milliseconds: 5)
                }
                #expect(try group.processes().count >= 20)
                try group.kill()
                #expect(try group.processes().isEmpty)
            }
        }
    }

    @Test func movesOneThreadAndSparesItsProcess() async throws {
        let trees = try trees()
        try await Thread.run("cgroup-test") {
            try withGroup(trees) { group in
                let before = try CgroupMembership(thread: Thread.id, in: trees)
                try group.enter(thread: 0)
                defer { #expect(throws: Never.self) { try before.enter(thread: 0) } }
                #expect(try group.processes() == [getpid()])
                let memory = try #require(group.directory(of: "memory"))
                #expect(try File.text("\(memory)/tasks") == "\(Thread.id)\n")

                // The child of this thread is in the group without being put there.
                let child = try Spawn("/bin/sleep", ["1000"]).start()
                #expect(Set(try group.processes()) == [getpid(), child.pid])
                try group.kill()
                #expect(try child.wait() == .signaled(SIGKILL))
                #expect(try group.processes() == [getpid()])
            }
        }
    }
}

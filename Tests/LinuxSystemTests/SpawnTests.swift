import Glibc
import LinuxSystem
import TestSupport
import Testing

@Suite struct SpawnTests {
    @Test func reportsTheStepThatFailed() throws {
        func step(_ change: (inout Spawn) -> Void) -> SystemError? {
            var spawn = Spawn("/bin/true")
            change(&spawn)
            do throws(SystemError) {
                _ = try spawn.start().wait()
                return nil
            } catch {
                return error
            }
        }
        #expect(step { _ in } == nil)
        #expect(step { $0.executable = "/no/such/program" } == SystemError("execve", "/no/such/program", code: ENOENT))
        #expect(step { $0.executable = "/etc/passwd" } == SystemError("execve", "/etc/passwd", code: EACCES))
        #expect(step { $0.workingDirectory = "/no/such/directory" } == SystemError("chdir", "/bin/true", code: ENOENT))
        #expect(
            step { $0.descriptors = [3: FileDescriptor(owning: 9999)] } == SystemError("dup", "/bin/true", code: EBADF))
        let null = try FileDescriptor.open("/dev/null", O_RDONLY)
        #expect(step { $0.networkNamespace = null }?.operation == "setns")
        #expect(step { $0.cgroupProcs = ["/no/such/cgroup.procs"] }?.operation == "open")
        #expect(
            step { spawn in spawn.descriptors = Dictionary(uniqueKeysWithValues: (3..<40).map { ($0, null) }) }
                == SystemError("dup", "/bin/true", code: E2BIG))
    }

    @Test func descriptorsGetTheirNumbersAndNoOtherIsThere() throws {
        let first = try FileDescriptor.pipe()
        let second = try FileDescriptor.pipe()
        // An inheritable descriptor, as a careless library leaves them.
        let leak = FileDescriptor(owning: dup(first.read.raw))
        #expect(leak.raw >= 0)
        let script =
            "echo one >/proc/self/fd/\(second.write.raw); echo two >/proc/self/fd/\(first.write.raw); ls /proc/self/fd"
        var spawn = Spawn("/bin/sh", ["-c", script])
        // Crossed: each is to get the number of the other.
        spawn.descriptors = [second.write.raw: first.write, first.write.raw: second.write]
        let (status, output) = try spawn.run()
        try #require(status == .exited(0), "\(output)")
        #expect(try String(decoding: first.read.read(upTo: 100), as: UTF8.self) == "one\n")
        #expect(try String(decoding: second.read.read(upTo: 100), as: UTF8.self) == "two\n")
        // ls itself opens the directory, under the lowest free number.
        let mapped = [0, 1, 2, first.write.raw, second.write.raw]
        let directory = try #require((0...).lazy.map(Int32.init).first { !mapped.contains($0) })
        #expect(output.split(separator: "\n").compactMap { Int32($0) }.sorted() == (mapped + [directory]).sorted())
    }

    @Test func signalsStartFresh() async throws {
        let text = try await Thread.run("masked") {
            var mask = sigset_t()
            sigfillset(&mask)
            pthread_sigmask(SIG_SETMASK, &mask, nil)
            signal(SIGPIPE, SIG_IGN)
            return try Spawn("/bin/grep", ["-E", "^Sig(Blk|Ign)", "/proc/self/status"]).run().output
        }
        // glibc keeps 32 and 33 for itself and lets nobody change them: they stay as they were inherited.
        let masks = text.split(separator: "\n").compactMap { UInt64($0.suffix(16), radix: 16) }
        #expect(masks.map { $0 & ~(3 << 31) } == [0, 0], "\(text)")
    }

    @Test func environmentSessionUserAndOOMScore() throws {
        var spawn = Spawn("/usr/bin/env", environment: ["ONLY=this", "TWO=a=b"])
        #expect(try spawn.run().output == "ONLY=this\nTWO=a=b\n")
        spawn = Spawn("/bin/sh", ["-c", "id -u; id -G; cat /proc/self/oom_score_adj; pwd; ps -o sid= -p $$; echo $$"])
        spawn.user = (uid: 250_123, gid: 250_124)
        spawn.oomScoreAdj = 500
        spawn.workingDirectory = "/usr"
        spawn.newSession = true
        let lines = try spawn.run().output.split(separator: "\n").map { $0.split(separator: " ").joined() }
        #expect(lines.prefix(4) == ["250123", "250124", "500", "/usr"])
        #expect(lines.count == 6 && lines[4] == lines[5], "\(lines)")
    }

    @Test func networkNamespaces() async throws {
        let own = try link("/proc/self/ns/net")
        var spawn = Spawn("/bin/sleep", ["1000"])
        spawn.newNetworkNamespace = true
        let sleeper = try spawn.start()
        defer { end(sleeper) }
        let theirs = try link("/proc/\(sleeper.pid)/ns/net")
        #expect(theirs != own)

        let namespace = try NetworkNamespace(path: "/proc/\(sleeper.pid)/ns/net")
        var joined = Spawn("/bin/readlink", ["/proc/self/ns/net"])
        joined.networkNamespace = namespace.descriptor
        #expect(try joined.run().output == theirs + "\n")
        #expect(try await namespace.run { try link("/proc/thread-self/ns/net") } == theirs)
        #expect(try link("/proc/thread-self/ns/net") == own)
    }

    @Test func mountsOfTheHostComeInAndOwnMountsStayInside() throws {
        let directory = try TemporaryDirectory()
        try File.makeDirectory(directory("shared"))
        try mount("-t", "tmpfs", "none", directory("shared"))
        defer { _ = try? Spawn("/bin/umount", ["-R", directory("shared")]).run() }
        try mount("--make-shared", directory("shared"))
        try File.makeDirectory(directory("shared/host"))
        try File.makeDirectory(directory("shared/child"))

        let (go, ready) = (try FileDescriptor.pipe(), try FileDescriptor.pipe())
        var spawn = Spawn(
            "/bin/sh",
            ["-c", "mount -t tmpfs none child && touch child/mark && echo >&4 && read line <&3 && test -e host/mark"])
        spawn.newMountNamespace = true
        spawn.workingDirectory = directory("shared")
        spawn.descriptors = [3: go.read, 4: ready.write]
        let child = try spawn.start()
        defer { end(child) }
        #expect(try ready.read.wait(for: Int16(POLLIN), milliseconds: 10_000))
        #expect(!File.exists(directory("shared/child/mark")), "the child's mount is seen on the host")
        try mount("-t", "tmpfs", "none", directory("shared/host"))
        try directory.write("shared/host/mark", "")
        try go.write.write(Array("go\n".utf8))
        #expect(try child.wait() == .exited(0), "the host's mount is not seen by the child")
    }

    @Test func aChildThatIsBoundToItsThreadEndsWithIt() async throws {
        let child = try await Thread.run("short") {
            var spawn = Spawn("/bin/sleep", ["1000"])
            spawn.diesWithParent = true
            return try spawn.start()
        }
        #expect(try child.waitForEnd(milliseconds: 10_000))
        #expect(try child.wait() == .signaled(SIGKILL))
    }

    // MARK: run

    @Test func outputAndStatus() throws {
        let run = try Spawn("/bin/sh", ["-c", "echo out; echo err >&2; exit 300"]).run()
        #expect(run.status == .exited(300 & 0xff))
        #expect(run.output == "out\nerr\n")
        #expect(try Spawn("/bin/sh", ["-c", "kill -TERM $$"]).run().status == .signaled(SIGTERM))
        #expect(Process.Status.signaled(SIGKILL).code == 137 && Process.Status.exited(-1).code == 255)
    }

    @Test func outputIsCutAndTheProgramStillEnds() throws {
        let run = try Spawn("/bin/sh", ["-c", "head -c 300000 /dev/zero | tr '\\0' x; exit 3"]).run(limit: 1000)
        #expect(run.status == .exited(3))
        #expect(run.output == String(repeating: "x", count: 1000))
    }

    /// One that prints nothing, one that prints without end, one that closes its output and stays.
    @Test(arguments: ["exec sleep 1000", "exec yes", "exec sleep 1000 >/dev/null 2>&1"])
    func timeOutKills(script: String) throws {
        let directory = try TemporaryDirectory()
        let start = Clock.milliseconds
        #expect(throws: SystemError("wait for", "/bin/sh", code: ETIMEDOUT)) {
            try Spawn("/bin/sh", ["-c", "echo $$ >\(directory("pid")); \(script)"]).run(milliseconds: 500)
        }
        #expect(Clock.milliseconds - start < 10_000)
        let pid = try #require(Int32(try File.text(directory("pid")).dropLast()))
        #expect(kill(pid, 0) == -1 && errno == ESRCH, "process \(pid) is still there")
    }

    // MARK: Process

    @Test func processesByNumber() throws {
        let child = try Spawn("/bin/sleep", ["1000"]).start()
        let other = try Process(pid: child.pid)
        #expect(try other.waitForEnd(milliseconds: 0) == false)
        #expect(try Process.startTime(of: child.pid) >= Process.startTime(of: getpid()))
        try other.signal(SIGKILL)
        #expect(try child.wait() == .signaled(SIGKILL))
        #expect(throws: SystemError.self) { try child.wait() }
        #expect(throws: SystemError("pidfd_send_signal", "\(child.pid)", code: ESRCH)) { try other.signal(0) }
        #expect(throws: SystemError("pidfd_open", "\(Int32.max)", code: ESRCH)) { try Process(pid: Int32.max) }
    }

    /// The name of a process may look like the rest of the line.
    @Test func startTimeBehindANameWithParentheses() throws {
        let directory = try TemporaryDirectory()
        let name = directory(") S 1 (x")
        try #require(symlink("/bin/sleep", name) == 0)
        let child = try Spawn(name, ["1000"]).start()
        defer { end(child) }
        #expect(try Process.startTime(of: child.pid) >= Process.startTime(of: getpid()))
    }

    private func link(_ path: String) throws -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        let count = readlink(path, &buffer, buffer.count)
        guard count >= 0 else { throw SystemError.last("readlink", path) }
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func mount(_ arguments: String...) throws {
        let (status, output) = try Spawn("/bin/mount", arguments).run()
        try #require(status == .exited(0), "mount \(arguments): \(output)")
    }

    private func end(_ process: LinuxSystem.Process) {
        try? process.signal(SIGKILL)
        _ = try? process.wait()
    }
}

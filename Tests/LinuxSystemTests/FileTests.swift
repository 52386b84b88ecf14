import Glibc
import LinuxSystem
import TestSupport
import Testing

@Suite struct FileTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    // MARK: Reading

    @Test(arguments: [0, 1, 65535, 65536, 65537, 200_000])
    func readsUpToTheLimit(size: Int) throws {
        let path = try directory.write("file", String(repeating: "x", count: size))
        #expect(try File.read(path, limit: size).count == size)
        if size > 0 {
            #expect(throws: SystemError("read", path, code: EFBIG)) { try File.read(path, limit: size - 1) }
        }
    }

    @Test func filesWithoutEndAndWithoutText() throws {
        #expect(throws: SystemError("read", "/dev/zero", code: EFBIG)) { try File.read("/dev/zero", limit: 4096) }
        #expect(throws: SystemError("open", directory("no"), code: ENOENT)) { try File.read(directory("no")) }
        #expect(throws: SystemError("read", directory.path, code: EISDIR)) { try File.read(directory.path) }
        try FileDescriptor.open(directory("bad"), O_WRONLY | O_CREAT, mode: 0o600).write([0x61, 0xff, 0x62])
        #expect(try File.text(directory("bad")) == "a\u{fffd}b")
    }

    @Test func putWritesAndNeverCreates() throws {
        #expect(throws: SystemError("open", directory("no"), code: ENOENT)) { try File.put("1", into: directory("no")) }
        let path = try directory.write("file", "abc")
        try File.put("x", into: path)
        #expect(try File.text(path) == "xbc")
        #expect(throws: SystemError("write \"1\" to", "/proc/version", code: EIO)) {
            try File.put("1", into: "/proc/version")
        }
    }

    // MARK: Replacing

    @Test func readersSeeTheOldOrTheNewContent() async throws {
        let path = directory("file")
        let contents = ["a", "b"].map { [UInt8](repeating: $0.utf8.first ?? 0, count: 300_000) }
        try File.replace(path, with: contents[0])
        let done = Flag()
        let torn = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    try await Thread.run("reader") {
                        var torn = 0
                        while !done.isRaised {
                            let bytes = try File.read(path)
                            if !contents.contains(bytes) { torn += 1 }
                        }
                        return torn
                    }
                }
            }
            for round in 0..<100 { try File.replace(path, with: contents[round % 2]) }
            done.raise()
            return try await group.reduce(0, +)
        }
        #expect(torn == 0)
        #expect(try File.list(directory.path) == ["file"])
    }

    @Test func replaceLeavesNothingWhenItFails() throws {
        try File.makeDirectory(directory("target"))
        #expect(throws: SystemError("write", directory("target"), code: EISDIR)) {
            try File.replace(directory("target"), with: [1])
        }
        #expect(try File.list(directory.path) == ["target"])
        #expect(throws: SystemError("write", directory("no/file"), code: ENOENT)) {
            try File.replace(directory("no/file"), with: [1])
        }
        try File.replace(directory("file"), with: [1], mode: 0o640)
        var information = stat()
        #expect(stat(directory("file"), &information) == 0 && information.st_mode & 0o777 == 0o640)
    }

    // MARK: Directories and trees

    @Test func directories() throws {
        try File.makeDirectory(directory("a/b/c"))
        try File.makeDirectory(directory("a/b/c"))
        try directory.write("a/z", "")
        try directory.write("a/.hidden", "")
        #expect(try File.list(directory("a")) == [".hidden", "b", "z"])
        #expect(throws: SystemError("mkdir", directory("a/z/d"), code: ENOTDIR)) {
            try File.makeDirectory(directory("a/z/d"))
        }
        try File.remove(directory("a/z"))
        try File.remove(directory("a/z"))
        #expect(throws: SystemError("unlink", directory("a/b"), code: EISDIR)) { try File.remove(directory("a/b")) }
    }

    @Test func removeTreeStaysInsideTheTree() throws {
        let outside = try directory.write("outside/kept", "text")
        try File.makeDirectory(directory("tree/a/b"))
        try #require(symlink(directory("outside"), directory("tree/a/link")) == 0)
        try #require(symlink("/no/such/file", directory("tree/dangling")) == 0)
        try #require(Glibc.link(outside, directory("tree/hard")) == 0)
        _ = try directory.fifo("tree/fifo")
        #expect(File.exists(directory("tree/dangling")))

        try File.removeTree(directory("tree"))
        #expect(try File.list(directory.path) == ["outside"])
        #expect(try File.text(outside) == "text")
        try File.removeTree(directory("tree"))
        // The root itself may be a link: the link goes.
        try #require(symlink(directory("outside"), directory("link")) == 0)
        try File.removeTree(directory("link"))
        #expect(try File.list(directory.path) == ["outside"])
        #expect(try File.text(outside) == "text")
    }

    /// Another file system, and a part of the same one that is mounted a second time.
    @Test(arguments: [["-t", "tmpfs", "none"], ["--bind", "BESIDE"]])
    func removeTreeNeverEmptiesAMount(arguments: [String]) throws {
        try directory.write("beside/kept", "text")
        let point = directory("tree/deep/mount")
        try File.makeDirectory(point)
        let arguments = arguments.map { $0 == "BESIDE" ? directory("beside") : $0 } + [point]
        let (status, output) = try Spawn("/bin/mount", arguments).run()
        try #require(status == .exited(0), "mount \(arguments): \(output)")
        defer { _ = try? Spawn("/bin/umount", [point]).run() }
        try directory.write("tree/deep/mount/kept", "text")

        #expect(throws: SystemError("remove", point, code: EXDEV)) { try File.removeTree(directory("tree")) }
        #expect(try File.text("\(point)/kept") == "text")
    }

    // MARK: Locks

    @Test func locksExcludeUntilTheyAreLetGo() async throws {
        let path = directory("lock")
        let first = try File.lock(path)
        let second = Task { try await Thread.run("locker") { try File.lock(path) } }
        let entered = Flag()
        let watch = Task {
            _ = try await second.value
            entered.raise()
        }
        #expect(await !eventually(within: .milliseconds(100)) { entered.isRaised })
        first.close()
        try await watch.value
        _ = try File.lock(directory("shared"), exclusive: false)
        _ = try File.lock(directory("shared"), exclusive: false)
    }
}

import Glibc
import LinuxSystem
import TestSupport
import Testing

@Suite struct FileDescriptorTests {
    @Test func closingOnceIsClosing() throws {
        let pipe = try FileDescriptor.pipe()
        pipe.write.close()
        pipe.write.close()
        #expect(pipe.write.raw == -1)
        #expect(try pipe.read.read(upTo: 1) == [])
        #expect(throws: SystemError("write", code: EBADF)) { try pipe.write.write([1]) }
        let released = pipe.read.release()
        pipe.read.close()
        #expect(fcntl(released, F_GETFD) >= 0)
        #expect(close(released) == 0)
    }

    @Test func aDescriptorGoesWithItsLastReference() throws {
        let pipe = try FileDescriptor.pipe()
        var copy: FileDescriptor? = try pipe.write.duplicate()
        #expect(copy != nil)
        pipe.write.close()
        #expect(try !pipe.read.wait(for: Int16(POLLIN), milliseconds: 0))
        copy = nil
        #expect(try pipe.read.read(upTo: 1) == [])
    }

    @Test func exactReads() throws {
        let pipe = try FileDescriptor.pipe()
        try pipe.write.write([1, 2, 3, 4, 5])
        pipe.write.close()
        #expect(try pipe.read.read(exactly: 3) == [1, 2, 3])
        #expect(throws: SystemError("read", code: EPIPE)) { try pipe.read.read(exactly: 3) }
        #expect(try pipe.read.read(exactly: 3) == nil)
    }

    @Test func aFullPipeTakesNothingAndBlocksNobody() throws {
        let pipe = try FileDescriptor.pipe()
        try pipe.write.setNonBlocking()
        let chunk = [UInt8](repeating: 7, count: 1 << 20)
        let first = try pipe.write.writeSome(chunk[...])
        #expect(first > 0 && first < chunk.count)
        #expect(try pipe.write.writeSome(chunk[...]) == 0)
        #expect(try !pipe.write.wait(for: Int16(POLLOUT), milliseconds: 0))
        #expect(try pipe.read.read(exactly: first)?.count == first)
        #expect(try pipe.write.wait(for: Int16(POLLOUT), milliseconds: 0))
    }

    @Test func readsAtAnOffset() throws {
        let directory = try TemporaryDirectory()
        let file = try FileDescriptor.open(try directory.write("file", "0123456789"), O_RDONLY)
        #expect(try file.read(upTo: 4, at: 3) == Array("3456".utf8))
        #expect(try file.read(upTo: 40, at: 8) == Array("89".utf8))
        #expect(try file.read(upTo: 4, at: 100) == [])
    }

    /// A tenant's tree with links that try to lead out of it.
    @Test func openingInARoot() throws {
        let directory = try TemporaryDirectory()
        try directory.write("root/etc/passwd", "inside")
        try directory.write("secret", "outside")
        for (name, target) in [("absolute", "/etc/passwd"), ("up", "../../../../etc/passwd")] {
            try #require(symlink(target, directory("root/\(name)")) == 0)
        }
        try #require(symlink("../secret", directory("root/out")) == 0)
        let root = try FileDescriptor.open(directory("root"), O_RDONLY | O_DIRECTORY)
        for name in ["absolute", "up", "/etc/passwd", "../etc/passwd"] {
            let bytes = try FileDescriptor.open(name, in: root, O_RDONLY).readToEnd(limit: 100)
            #expect(String(decoding: bytes, as: UTF8.self) == "inside", "\(name)")
        }
        for name in ["out", "../secret", directory("secret")] {
            #expect(throws: SystemError("open", name, code: ENOENT)) {
                try FileDescriptor.open(name, in: root, O_RDONLY)
            }
        }
    }

    @Test func everythingIsClosedOnExec() throws {
        let (pipe, pair) = (try FileDescriptor.pipe(), try UnixSocket.pair())
        let all = [
            pipe.read, pipe.write, pair.0, pair.1, try .event(), try .open("/dev/null", O_RDONLY),
            try pipe.read.duplicate(),
        ]
        for descriptor in all { #expect(fcntl(descriptor.raw, F_GETFD) == FD_CLOEXEC) }
    }

    // MARK: Sockets

    @Test func sockets() throws {
        let directory = try TemporaryDirectory()
        let listener = try UnixSocket.listen(directory("socket"))
        var information = stat()
        #expect(stat(directory("socket"), &information) == 0 && information.st_mode & 0o777 == 0o600)
        #expect(throws: SystemError("bind", directory("socket"), code: EADDRINUSE)) {
            try UnixSocket.listen(directory("socket"))
        }
        let client = try UnixSocket.connect(directory("socket"))
        let server = try UnixSocket.accept(listener)
        #expect(try UnixSocket.peerUser(server) == getuid())
        try client.write([1, 2])
        #expect(try server.read(exactly: 2) == [1, 2])
        // A fork of another test may hold the listener a moment longer than its closing.
        _ = shutdown(listener.raw, Int32(SHUT_RDWR))
        listener.close()
        #expect(throws: SystemError("connect", directory("socket"), code: ECONNREFUSED)) {
            try UnixSocket.connect(directory("socket"))
        }
    }

    @Test func bothEndsOfAConnectionKnowItsPath() throws {
        let directory = try TemporaryDirectory()
        let path = directory("s")
        let listener = try UnixSocket.listen(path)
        #expect(UnixSocket.path(connected: listener) == nil)
        let client = try UnixSocket.connect(path)
        let server = try UnixSocket.accept(listener)
        #expect(UnixSocket.path(connected: client) == path && UnixSocket.path(connected: server) == path)
        // As somebody else sees it.
        let other = try LinuxSystem.Process(pid: getpid()).descriptor(client.raw)
        #expect(other.raw != client.raw && UnixSocket.path(connected: other) == path)
        #expect(throws: SystemError.self) { try LinuxSystem.Process(pid: getpid()).descriptor(1_000_000) }
        let pair = try UnixSocket.pair()
        #expect(UnixSocket.path(connected: pair.0) == nil)
        #expect(UnixSocket.path(connected: try FileDescriptor.pipe().read) == nil)
    }

    @Test func socketPathsHaveALimit() throws {
        let directory = try TemporaryDirectory()
        let longest = directory(
            String(repeating: "x", count: UnixSocket.maximumPathLength - directory.path.utf8.count - 1))
        #expect(throws: Never.self) { try UnixSocket.listen(longest) }
        #expect(throws: SystemError("socket path", longest + "x", code: ENAMETOOLONG)) {
            try UnixSocket.listen(longest + "x")
        }
    }

    @Test func errorsAreSentences() {
        #expect(SystemError("open", "/x", code: ENOENT).description == "open /x: No such file or directory")
        #expect(SystemError("pipe", code: -EMFILE).description == "pipe: Too many open files")
        #expect(SystemError("x", code: EPERM) == SystemError("x", code: -EPERM))
    }
}

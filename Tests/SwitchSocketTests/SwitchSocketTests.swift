import CLinux
import Glibc
import LinuxSystem
import StateDirectory
import Synchronization
import TestSupport
import Testing

@testable import SwitchSocket

@Suite struct SwitchSocketTests {
    private let user: UInt32 = 253_111
    private let other: UInt32 = 253_112

    private func mode(_ path: String) -> UInt32 {
        var information = stat()
        _ = stat(path, &information)
        return information.st_mode & 0o777
    }

    private func code(_ body: () throws(SystemError) -> Void) -> Int32 {
        do throws(SystemError) {
            try body()
            return 0
        } catch {
            return error.code
        }
    }

    /// A directory that anybody may enter.
    private func directory() throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        try #require(chmod(directory.path, 0o755) == 0)
        return directory
    }

    @Test func aUserIsLetInAloneAndOutAgain() throws {
        let directory = try directory()
        let path = directory("switch.sock")
        let listener = try SwitchPort(path, mode: 0o755)
        defer { listener.end() }
        let socket = SwitchSocket(path, listens: false)
        #expect(code { () throws(SystemError) in try socket.probe(as: user, group: user) } == EACCES)
        #expect(try socket.grant(to: user))
        #expect(try !socket.grant(to: user))
        try socket.probe(as: user, group: user)
        #expect(code { () throws(SystemError) in try socket.probe(as: other, group: other) } == EACCES)
        try socket.grant(to: other)
        try socket.revoke(from: user)
        #expect(code { () throws(SystemError) in try socket.probe(as: user, group: user) } == EACCES)
        try socket.probe(as: other, group: other)
        try socket.revoke(from: other)
        try socket.revoke(from: other)
        #expect(mode(path) == 0o755, "\(String(mode(path), radix: 8))")
        var byte: UInt8 = 0
        let descriptor = slipway_open_plain_path(path)
        #expect(slipway_attribute_get(descriptor, "system.posix_acl_access", &byte, 1) == -ENODATA)
        close(descriptor)
        // The thread may read again what is another user's.
        let secret = try directory.write("secret", "x")
        try #require(chown(secret, user, user) == 0)
        #expect(try File.text(secret) == "x")
    }

    @Test func aSwitchThatIsNotThereIsSaid() throws {
        let directory = try directory()
        let path = directory("switch.sock")
        let socket = SwitchSocket(path, listens: false)
        #expect(code { () throws(SystemError) in try socket.grant(to: user) } == ENOENT)
        try socket.revoke(from: user)
        try UnixSocket.listen(path, mode: 0o777).close()
        #expect(code { () throws(SystemError) in try socket.probe(as: user, group: user) } == ECONNREFUSED)
        #expect(
            code { () throws(SystemError) in try SwitchSocket(directory.path, listens: false).grant(to: user) } != 0)
    }

    @Test func aSymbolicLinkLeadsNowhere() throws {
        let directory = try directory()
        let listener = try UnixSocket.listen(directory("secret.sock"), mode: 0o600)
        defer { listener.close() }
        try #require(symlink("secret.sock", directory("switch.sock")) == 0)
        try #require(symlink(directory.path, directory("way")) == 0)
        for path in ["switch.sock", "way/secret.sock"] {
            let socket = SwitchSocket(directory(path), listens: false)
            #expect(code { () throws(SystemError) in try socket.grant(to: user) } == ELOOP)
        }
        #expect(mode(directory("secret.sock")) == 0o600)
    }

    @Test func whoListensMayMakeASocketAndLeavesNone() throws {
        let directory = try directory()
        let path = directory("nic.sock")
        let socket = SwitchSocket(path, listens: true)
        try socket.grant(to: user)
        // Left by a QEMU that was killed.
        try UnixSocket.listen(path).close()
        try #require(chown(path, user, user) == 0)
        try socket.revoke(from: user)
        #expect(!File.exists(path) && mode(directory.path) == 0o755)
    }

    @Test func aSocketThatIsMadeAnewIsGrantedAnew() throws {
        let directory = try directory()
        let path = directory("switch.sock")
        let granted = GrantedSockets(StateDirectory(path: directory.path))
        let socket = SwitchSocket(path, listens: false)
        let first = try UnixSocket.listen(path)
        #expect(try granted.grant(socket, to: user))
        #expect(try !granted.grant(socket, to: user))
        first.close()
        try File.remove(path)
        #expect(throws: SystemError.self) { try granted.grant(socket, to: user) }
        let second = try UnixSocket.listen(path)
        defer { second.close() }
        #expect(try granted.grant(socket, to: user))
        #expect(!granted.isEmpty)
        try granted.revokeAll()
        #expect(code { () throws(SystemError) in try socket.probe(as: user, group: user) } == EACCES)
        #expect(granted.isEmpty)
    }

    @Test func whoHasMadeItsSocketNeedsTheDirectoryNoMore() throws {
        let directory = try directory()
        let path = directory("nic.sock")
        let socket = SwitchSocket(path, listens: true)
        let granted = GrantedSockets(StateDirectory(path: directory.path))
        try granted.grant(socket, to: user)
        let listener = try UnixSocket.listen(path)
        defer { listener.close() }
        try #require(chown(path, user, user) == 0)
        try socket.closeDirectory(to: user)
        #expect(mode(directory.path) == 0o755 && File.exists(path))
        try granted.revokeAll()
        #expect(!File.exists(path))
        // A switch's own stays open.
        let other = try SwitchPort(path, mode: 0o755)
        defer { other.end() }
        let client = SwitchSocket(path, listens: false)
        try client.grant(to: user)
        try client.closeDirectory(to: user)
        try client.probe(as: user, group: user)
    }

    @Test func refusalsNameWhatWouldHelp() throws {
        let directory = try directory()
        func sentence(_ path: String, listens: Bool) -> String {
            let socket = SwitchSocket(path, listens: listens)
            do throws(SystemError) {
                try socket.grant(to: user)
                try socket.probe(as: user, group: user, milliseconds: 1)
            } catch {
                return "\(SwitchRefusal(interface: "net1", socket: socket, cause: error))"
            }
            return "none"
        }
        let path = directory("s")
        let named = "interface net1: the vhost-user socket \(path) "
        #expect(sentence(path, listens: false).hasPrefix(named + "is not there; start the switch"))
        #expect(sentence(path, listens: true).hasPrefix(named + "was offered, and no switch has connected"))
        try UnixSocket.listen(path).close()
        #expect(sentence(path, listens: false) == named + "has nobody who listens; start the switch that has made it")
        #expect(sentence(path, listens: true).hasPrefix(named + "is to be made where another file is"))
        try File.remove(path)
        try directory.write("s", "")
        #expect(sentence(path, listens: false).hasPrefix(named + "is no socket"))
        #expect(sentence(directory("none/s"), listens: true).contains("in a directory that is not there; make the"))
        try #require(symlink("s", directory("l")) == 0)
        #expect(sentence(directory("l"), listens: false).contains("is behind a symbolic link"))
        try #require(chmod(directory.path, 0o700) == 0)
        try File.remove(path)
        let listener = try UnixSocket.listen(path)
        defer { listener.close() }
        #expect(sentence(path, listens: false).contains("is out of reach of QEMU's user; let others search"))
    }

    // MARK: The other end

    @Test func aSwitchThatDoesNotComeIsNoticed() throws {
        let directory = try directory()
        let path = directory("nic.sock")
        let socket = SwitchSocket(path, listens: true)
        try socket.grant(to: user)
        #expect(
            code { () throws(SystemError) in try socket.probe(as: user, group: user, milliseconds: 1) } == ETIMEDOUT)
        #expect(!File.exists(path))
    }

    @Test(arguments: ["client", "server"]) func aSwitchIsAskedOneQuestion(mode: String) throws {
        let directory = try directory()
        let path = directory("port.sock")
        let socket = SwitchSocket(path, listens: mode == "server")
        if socket.listens { try socket.grant(to: user) }
        let switchPort = try SwitchPort(path, connects: socket.listens)
        defer { switchPort.end() }
        try socket.probe(as: user, group: user, milliseconds: 10_000)
        // QEMU's documentation, vhost-user.rst: the request 1, version 1, no payload.
        #expect(switchPort.asked == [[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]])
        #expect(switchPort.connections == 0, "the port is free for QEMU")
        #expect(socket.listens == !File.exists(path))
    }

    @Test(arguments: ["client", "server"]) func aSwitchThatDoesNotAnswerIsNone(mode: String) throws {
        let header: [UInt8] = [1, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0]
        let changes: [(Int, UInt8)] = [(0, 2), (4, 1), (4, 6), (8, 4), (11, 1)]
        let garbled = changes.map { at, byte in
            var header = header
            header[at] = byte
            return header
        }
        let answers: [(SwitchPort.Answer, Int32)] =
            [(.silence, ETIME), (.hangUp, ECONNRESET), (.slowly(header + SwitchPort.features), ETIME)]
            + [(.bytes(Array("HTTP/1.1 400 Bad Request".utf8)), EPROTO), (.bytes(header), ETIME)]
            + garbled.map { (.bytes($0 + SwitchPort.features), EPROTO) }
        for (answer, expected) in answers {
            let directory = try directory()
            let path = directory("port.sock")
            let socket = SwitchSocket(path, listens: mode == "server")
            if socket.listens { try socket.grant(to: user) }
            let switchPort = try SwitchPort(path, connects: socket.listens, answer)
            defer { switchPort.end() }
            let begin = ContinuousClock.now
            let result = code { () throws(SystemError) in
                try socket.probe(as: user, group: user, milliseconds: 300)
            }
            #expect(result == expected, "\(answer)")
            #expect(ContinuousClock.now - begin < .seconds(5), "\(answer)")
            #expect(socket.listens == !File.exists(path))
        }
    }

    @Test func aSwitchThatTakesNoConnectionIsNone() throws {
        let directory = try directory()
        let path = directory("port.sock")
        let listener = try UnixSocket.listen(path, mode: 0o777, backlog: 0)
        defer { listener.close() }
        let first = try UnixSocket.connect(path)
        defer { first.close() }
        let socket = SwitchSocket(path, listens: false)
        let result = code { () throws(SystemError) in try socket.probe(as: user, group: user, milliseconds: 100) }
        #expect(result == ETIMEDOUT)
    }

    // MARK: What is left

    @Test func podsWithSocketsInOneDirectoryDoNotUndoEachOther() async throws {
        let root = try directory()
        let sockets = try directory()
        let pods = try (0..<8).map { number in
            let state = StateDirectory(path: root("pod-\(number)"))
            try File.makeDirectory(state.path)
            return (
                granted: GrantedSockets(state), socket: SwitchSocket(sockets("\(number)"), listens: true),
                user: user + UInt32(number)
            )
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for pod in pods {
                group.addTask {
                    try await LinuxSystem.Thread.run("pod") {
                        for _ in 0..<100 {
                            try pod.granted.grant(pod.socket, to: pod.user)
                            try pod.granted.closeDirectory(of: pod.socket, to: pod.user)
                        }
                        try pod.granted.grant(pod.socket, to: pod.user)
                    }
                }
            }
            try await group.waitForAll()
        }
        for pod in pods { #expect(try pod.granted.grant(pod.socket, to: pod.user) == false, "it was let in already") }
        for pod in pods { try pod.granted.revokeAll() }
        #expect(mode(sockets.path) == 0o755)
        for pod in pods { #expect(pod.granted.isEmpty) }
    }

    /// Whoever is killed while it waits for a switch leaves what is taken back by the file.
    @Test func theSocketOfATryIsTakenBack() throws {
        let directory = try directory()
        let path = directory("nic.sock")
        let socket = SwitchSocket(path, listens: true)
        try socket.grant(to: user)
        let done = try FileDescriptor.event()
        let result = Atomic<Int32>(0)
        try LinuxSystem.Thread.start("try") { [user] in
            result.store(
                code { () throws(SystemError) in try socket.probe(as: user, group: user, milliseconds: 3000) },
                ordering: .relaxed)
            done.signalEvent()
        }
        // Without the test's other threads, which may be slow.
        let end = Clock.milliseconds + 3000
        while !File.exists(path) && Clock.milliseconds < end { sched_yield() }
        var information = stat()
        #expect(lstat(path, &information) == 0 && information.st_uid == user && information.st_mode & 0o777 == 0o775)
        try socket.revoke(from: user)
        #expect(!File.exists(path))
        done.clearEvent()
        #expect(result.load(ordering: .relaxed) == ETIMEDOUT)
    }

    /// A directory that others may write in can become a link to another one at any moment.
    @Test func aSocketBehindALinkIsNotRemoved() throws {
        let directory = try directory()
        for place in ["a", "secret"] { try File.makeDirectory(directory(place), mode: 0o755) }
        let socket = SwitchSocket(directory("a/nic.sock"), listens: true)
        try socket.grant(to: user)
        try UnixSocket.listen(directory("secret/nic.sock")).close()
        try #require(chown(directory("secret/nic.sock"), user, user) == 0)
        try #require(rename(directory("a"), directory("b")) == 0 && symlink("secret", directory("a")) == 0)
        #expect(code { () throws(SystemError) in try socket.revoke(from: user) } == ELOOP)
        #expect(File.exists(directory("secret/nic.sock")))
        // Nor is one made there with root's rights.
        let other = SwitchSocket(directory("a/other.sock"), listens: true)
        #expect(code { () throws(SystemError) in try other.probe(as: user, group: user, milliseconds: 1) } == EACCES)
    }

    // MARK: The list

    @Test func theListIsWhatSetfaclMakes() throws {
        // setfacl -m u:251000:rw on a file of mode 0755.
        let golden: [UInt8] = [
            2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 6, 0, 0x78, 0xd4, 3, 0, 4, 0, 5, 0, 255, 255, 255, 255,
            16,
            0, 7, 0, 255, 255, 255, 255, 32, 0, 5, 0, 255, 255, 255, 255,
        ]
        let list = AccessList(mode: 0o755).granting(6, to: 251_000)
        #expect(list.attribute == golden)
        #expect(AccessList(attribute: golden) == list && !list.isMode)
        #expect(list.revoking(251_000) == AccessList(mode: 0o755))
        #expect(list.granting(4, to: 7).revoking(251_000).attribute.count == golden.count)
    }

    @Test func aMaskKeepsHoldingBackWhatItHeld() {
        // The owning group has rwx on paper, and the mask lets it read alone.
        let masked = AccessList(mode: 0o770).granting(4, to: 5)
        var bytes = masked.attribute
        bytes[bytes.count - 14] = 4  // the mask's permissions
        let list = AccessList(attribute: bytes)?.granting(6, to: 9)
        #expect(list?.revoking(9).revoking(5) == AccessList(mode: 0o740))
    }

    @Test func brokenListsAreNone() {
        let good = AccessList(mode: 0o755).granting(6, to: 1).attribute
        for count in 0..<good.count where count != 4 && !(count - 4).isMultiple(of: 8) {
            #expect(AccessList(attribute: Array(good.prefix(count))) == nil, "\(count)")
        }
        var unknown = good
        unknown[4] = 3
        #expect(AccessList(attribute: unknown) == nil)
        #expect(AccessList(attribute: [1, 0, 0, 0]) == nil)
    }
}

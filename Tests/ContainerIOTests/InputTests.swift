import ContainerIO
import Glibc
import LinuxSystem
import Synchronization
import TestSupport
import Testing

/// What an input has delivered.
private final class Received: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var ends = 0
    }
    private let state = Mutex(State())

    func receive(_ chunk: [UInt8]) {
        state.withLock { state in
            state.bytes += chunk
            if chunk.isEmpty { state.ends += 1 }
        }
    }

    var text: String { state.withLock { String(decoding: $0.bytes, as: UTF8.self) } }
    var count: Int { state.withLock { $0.bytes.count } }
    var ends: Int { state.withLock { $0.ends } }
}

@Suite(.timeLimit(.minutes(1))) struct InputTests {
    private let directory: TemporaryDirectory
    private let path: String
    private let received = Received()

    init() throws {
        ignoreBrokenPipes
        directory = try TemporaryDirectory()
        path = try directory.fifo("in")
    }

    private func open() throws -> Input { try Input(path) { [received] in received.receive($0) } }
    private func writer() throws -> FileDescriptor { try .open(path, O_WRONLY | O_NONBLOCK) }

    @Test func clientsComeAndGoWithoutAnEnd() async throws {
        let input = try open()
        for text in ["one ", "two ", "three"] {
            let writer = try writer()
            try writer.write(Array(text.utf8))
            writer.close()
        }
        #expect(await eventually { received.text == "one two three" })
        #expect(received.ends == 0)
        input.closeWriter()
        #expect(await eventually { received.ends == 1 })
        // CloseIO again, and then Delete.
        input.closeWriter()
        input.close()
        #expect(received.ends == 1)
    }

    @Test func theEndWaitsForTheClientThatStillWrites() async throws {
        let input = try open()
        let writer = try writer()
        input.closeWriter()
        try writer.write(Array("late".utf8))
        #expect(await eventually { received.text == "late" })
        #expect(received.ends == 0)
        writer.close()
        #expect(await eventually { received.ends == 1 })
    }

    @Test func theEndComesWhenNobodyEverWrote() async throws {
        let input = try open()
        input.closeWriter()
        #expect(await eventually { received.ends == 1 })
    }

    @Test func closingIsNoEndAndLetsGoOfTheFIFO() async throws {
        let input = try open()
        let writer = try writer()
        try writer.write([1])
        #expect(await eventually { received.count == 1 })
        input.close()
        // The last reading end is closed: a writer is told so.
        #expect(await eventually { (try? writer.write([2])) == nil })
        #expect(received.ends == 0)
    }

    @Test func muchInput() async throws {
        let input = try open()
        let writer = try FileDescriptor.open(path, O_WRONLY)
        try await Thread.run("writer") { try writer.write(lines(0..<40_000)) }
        writer.close()
        input.closeWriter()
        #expect(await eventually { received.ends == 1 })
        #expect(received.text == String(decoding: lines(0..<40_000), as: UTF8.self))
    }

    @Test func aFIFOThatIsNotThere() {
        #expect(throws: SystemError("open", directory("no"), code: ENOENT)) { try Input(directory("no")) { _ in } }
    }
}

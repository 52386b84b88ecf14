import ContainerIO
import Glibc
import LinuxSystem
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct OutputTests {
    let directory: TemporaryDirectory
    let owner = (id: "c1", namespace: "k8s.io")

    init() throws {
        ignoreBrokenPipes
        directory = try TemporaryDirectory()
    }

    // MARK: FIFOs

    @Test func aFIFOWithoutAReaderBlocksNobody() async throws {
        let output = try Output(.fifo(directory.fifo("out")), owner: owner)
        let start = ContinuousClock.now
        for _ in 0..<100 { output.write(lines(0..<4096)) }
        await output.finish(milliseconds: 100)
        #expect(ContinuousClock.now - start < .seconds(10))
        // Late writers do no harm.
        output.write([1])
        await output.finish()
    }

    @Test func whatWasWrittenBeforeTheReaderCameIsThere() async throws {
        let path = try directory.fifo("out")
        let output = try Output(.fifo(path), owner: owner)
        output.write(lines(0..<2000))
        let reader = try Reader(fifo: path)
        #expect(try await reader.bytes(32_000) == lines(0..<2000))
        async let end = reader.bytes()
        output.write(lines(2000..<2001))
        await output.finish()
        #expect(try await end == lines(2000..<2001))
    }

    /// Far more than a pipe holds, in pieces of all sizes.
    @Test func burstsArriveCompleteAndInOrder() async throws {
        let path = try directory.fifo("out")
        let output = try Output(.fifo(path), owner: owner)
        let reader = try Reader(fifo: path)
        async let all = reader.bytes()
        let bytes = lines(0..<50_000)
        var random = SeededGenerator(1)
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...200_000, using: &random))
            output.write(Array(piece))
            rest = rest.dropFirst(piece.count)
        }
        await output.finish()
        #expect(try await all == bytes)
    }

    @Test func aSlowReaderGetsEverythingUpToTheLimit() async throws {
        let path = try directory.fifo("out")
        let output = try Output(.fifo(path), owner: owner)
        let reader = try Reader(fifo: path)
        output.write(lines(0..<60_000))
        var bytes: [UInt8] = []
        while bytes.count < 960_000 { bytes += try await reader.bytes(min(1000, 960_000 - bytes.count)) }
        #expect(bytes == lines(0..<60_000))
        async let end = reader.bytes()
        await output.finish()
        #expect(try await end == [])
    }

    /// The reader is gone for a while: nobody is held up, the newest is kept, and a notice stands where something is
    /// missing, with the number of bytes that are.
    @Test func aReaderThatComesBackFindsANoticeWhereBytesAreMissing() async throws {
        let path = try directory.fifo("out")
        let output = try Output(.fifo(path), owner: owner)
        var reader = try Reader(fifo: path)
        output.write(lines(0..<100))
        #expect(try await reader.bytes(1600) == lines(0..<100))
        reader.descriptor.close()

        // 3.2 MB, of which a pipe, a chunk that is on its way, and 1 MiB are kept.
        for start in stride(from: 100, to: 200_100, by: 1000) { output.write(lines(start..<start + 1000)) }
        reader = try Reader(fifo: path)
        async let rest = reader.bytes()
        await output.finish()
        let bytes = try await rest

        let text = String(decoding: bytes, as: UTF8.self)
        let notices = text.split(separator: "\r\n").filter { $0.hasPrefix("[slipway:") }
        #expect(!notices.isEmpty)
        let dropped = notices.compactMap { Int($0.split(separator: " ")[1]) }.reduce(0, +)
        let noticeSize = notices.reduce(0) { $0 + $1.utf8.count + 4 }
        #expect(bytes.count - noticeSize + dropped == 3_200_000)
        #expect(text.hasSuffix(String(decoding: lines(200_099..<200_100), as: UTF8.self)))
        // Without the notices the stream jumps at every notice by what it says, and nowhere else.
        var expected = 1600
        for (index, part) in text.split(separator: "\r\n", omittingEmptySubsequences: false).enumerated() {
            if index % 2 == 1 {
                let words = part.split(separator: " ")
                try #require(words.count == 9, "\(part)")
                expected += try #require(Int(words[1]))
            } else {
                let all = lines(expected / 16..<(expected + part.utf8.count) / 16 + 1)
                #expect(Array(part.utf8) == Array(all.dropFirst(expected % 16).prefix(part.utf8.count)))
                expected += part.utf8.count
            }
        }
    }

    /// A containerd that restarts closes its end and opens it again.
    @Test func nothingIsLostWhileNobodyReadsALittle() async throws {
        let path = try directory.fifo("out")
        let output = try Output(.fifo(path), owner: owner)
        for round in 0..<5 {
            let reader = try Reader(fifo: path)
            output.write(lines(round * 100..<round * 100 + 100))
            #expect(try await reader.bytes(1600) == lines(round * 100..<round * 100 + 100))
        }
        await output.finish()
    }

    @Test func theEndComesWithFinishAndNotBefore() async throws {
        let path = try directory.fifo("out")
        let output = try Output(.fifo(path), owner: owner)
        let reader = try Reader(fifo: path)
        #expect(throws: SystemError("read", code: EAGAIN)) { try reader.descriptor.read(upTo: 1) }
        await output.finish()
        #expect(try reader.descriptor.read(upTo: 1) == [])
    }

    /// A reader that comes after the last writer has gone waits in open(2) for ever, and containerd's exec with it.
    @Test func aReaderThatComesAfterTheEndSeesIt() async throws {
        let path = try directory.fifo("out")
        let output = try Output(.fifo(path), owner: owner)
        output.write(lines(0..<3))
        let finished = Flag()
        let start = ContinuousClock.now
        let finish = Task {
            await output.finish()
            finished.raise()
        }
        let early = await eventually(within: .milliseconds(200)) { finished.isRaised }
        #expect(!early, "the reader has not come yet")
        // Whoever opens it without blocking would be answered "end" at once in any case; this one blocks.
        let opened = Flag()
        let reading = Task {
            try await Thread.run("late-reader") {
                let reader = try FileDescriptor.open(path, O_RDONLY)
                opened.raise()
                return try reader.readToEnd(limit: 1000)
            }
        }
        let came = await eventually(within: .seconds(5)) { opened.isRaised }
        // A writer of the test's own frees a reader that was left behind.
        if !came { _ = try FileDescriptor.open(path, O_RDWR) }
        #expect(came)
        #expect(try await reading.value == lines(0..<3))
        await finish.value
        #expect(ContinuousClock.now - start < .seconds(8))
    }

    /// containerd waits in open(2) when the sandbox opens the other end.
    @Test func aReaderThatWaitsInOpenSeesNoEndTooSoon() async throws {
        for round in 0..<300 {
            let path = try directory.fifo("out\(round)")
            let waiting = Flag()
            let reading = Task {
                try await Thread.run("early-reader") {
                    waiting.raise()
                    return try FileDescriptor.open(path, O_RDONLY).readToEnd(limit: 100)
                }
            }
            #expect(await eventually { waiting.isRaised })
            let output = try Output(.fifo(path), owner: owner)
            output.write(lines(round..<round + 1))
            await output.finish()
            #expect(try await reading.value == lines(round..<round + 1), "round \(round)")
        }
    }

    @Test func aReaderThatWasThereIsNotWaitedFor() async throws {
        let path = try directory.fifo("out")
        let reader = try Reader(fifo: path)
        let output = try Output(.fifo(path), owner: owner)
        output.write(lines(0..<3))
        #expect(try await reader.bytes(48) == lines(0..<3))
        reader.descriptor.close()
        let start = ContinuousClock.now
        await output.finish()
        #expect(ContinuousClock.now - start < .seconds(5))
    }

    // MARK: Files

    @Test func filesAreAppendedTo() async throws {
        let path = directory("new/directory/log")
        for text in ["one\n", "two\n"] {
            let output = try Output(.file(path), owner: owner)
            output.write(Array(text.utf8))
            await output.finish()
        }
        #expect(try File.text(path) == "one\ntwo\n")
        let plain = try directory.write("plain", "before\n")
        let output = try Output(.fifo(plain), owner: owner)
        output.write(Array("after\n".utf8))
        await output.finish()
        #expect(try File.text(plain) == "before\nafter\n")
    }

    @Test func nowhere() async throws {
        let output = try Output(.none, owner: owner)
        output.write([1])
        await output.finish()
        #expect(throws: SystemError.self) { try Output(.fifo(directory("no/such/fifo")), owner: owner) }
    }

    /// /dev/full answers every write with ENOSPC.
    @Test func aFullDiskEndsTheOutputAndNothingElse() async throws {
        let output = try Output(.file("/dev/full"), owner: owner)
        output.write(lines(0..<100))
        await output.finish()
    }

    // MARK: Logging programs

    private func logger(_ body: String) throws -> String {
        try directory.write("logger-\(UInt32.random(in: 0 ... .max))", "#!/bin/sh\n\(body)\n", mode: 0o700)
    }

    @Test func aLoggingProgramGetsEverything() async throws {
        let program = try logger("exec 5>&-; echo $CONTAINER_ID $CONTAINER_NAMESPACE $* >$2; cat <&3 >>$2")
        let output = try Output(.binary(program, ["to", directory("log")]), owner: owner)
        output.write(lines(0..<20_000))
        await output.finish()
        let text = try File.text(directory("log"))
        #expect(text == "c1 k8s.io to \(directory("log"))\n" + String(decoding: lines(0..<20_000), as: UTF8.self))
    }

    @Test func aLoggingProgramThatStaysIsToldToEnd() async throws {
        let program = try logger(
            "trap 'echo told >>$1; exit' TERM; echo $$ >$1; exec 5>&-; while :; do sleep 0.1; done")
        let output = try Output(.binary(program, [directory("log")]), owner: owner)
        await output.finish()
        let lines = try File.text(directory("log")).split(separator: "\n")
        #expect(lines.last == "told")
        let pid = try #require(lines.first.flatMap { Int32($0) })
        #expect(kill(pid, 0) == -1 && errno == ESRCH, "the program is still there")
    }

    @Test func aLoggingProgramThatIsNotThere() throws {
        #expect(throws: SystemError("execve", "/no/such/logger", code: ENOENT)) {
            try Output(.binary("/no/such/logger", []), owner: owner)
        }
    }
}

import ContainerIO
import Glibc
import LinuxSystem
import TestSupport
import Testing

/// A console whose machine is the test.
private struct Setup {
    let directory: TemporaryDirectory
    let machine: FileDescriptor
    let console: Console
    let listener: ConsoleListener
    var socket: String { directory("console.sock") }

    init(outputs: [Output] = []) throws {
        ignoreBrokenPipes
        directory = try TemporaryDirectory()
        let (near, far) = try UnixSocket.pair()
        machine = far
        console = try Console(serial: near, outputs: outputs)
        listener = try ConsoleListener(path: directory("console.sock"))
        listener.serve(console)
    }

    func client() throws -> Reader { try Reader(UnixSocket.connect(socket)) }

    func printed(_ bytes: [UInt8]) async throws {
        try await Thread.run("machine") { [machine] in try machine.write(bytes) }
    }
}

@Suite(.timeLimit(.minutes(1))) struct ConsoleTests {
    @Test func twoClientsSeeTheSameAndLateOnesSeeWhatWasPrinted() async throws {
        let setup = try Setup()
        let first = try setup.client()
        try await setup.printed(lines(0..<100))
        #expect(try await first.bytes(1600) == lines(0..<100))
        let second = try setup.client()
        #expect(try await second.bytes(1600) == lines(0..<100))
        try await setup.printed(lines(100..<200))
        #expect(try await first.bytes(1600) == lines(100..<200))
        #expect(try await second.bytes(1600) == lines(100..<200))
    }

    @Test func theBacklogHasALimit() async throws {
        let setup = try Setup()
        let first = try setup.client()
        try await setup.printed(lines(0..<10_000))
        #expect(try await first.bytes(160_000) == lines(0..<10_000))
        let late = try setup.client()
        #expect(try await late.bytes(Console.backlogSize) == lines(10_000 - Console.backlogSize / 16..<10_000))
    }

    @Test func typingReachesTheMachineFromEveryClient() async throws {
        let setup = try Setup()
        let machine = try Reader(setup.machine.duplicate())
        for text in ["ls\r", "exit\r"] {
            let client = try setup.client()
            try client.descriptor.write(Array(text.utf8))
            #expect(try await machine.text(text.utf8.count) == text)
        }
        setup.console.type(Array("containerd".utf8))
        #expect(try await machine.text(10) == "containerd")
    }

    @Test func aClientThatStopsReadingHoldsUpNobody() async throws {
        let log = try TemporaryDirectory()
        let output = try Output(.file(log("log")), owner: ("c", "n"))
        let setup = try Setup(outputs: [output])
        let stuck = try setup.client()
        let live = try setup.client()
        // Both are being served before anything is printed.
        try await setup.printed(Array("ready\n".utf8))
        _ = try await stuck.bytes(6)
        _ = try await live.bytes(6)
        for round in 0..<20 {
            let part = lines(round * 10_000..<(round + 1) * 10_000)
            try await setup.printed(part)
            #expect(try await live.bytes(part.count) == part)
        }
        setup.machine.close()
        await setup.console.end()
        await output.finish()
        #expect(try File.read(log("log"), limit: 1 << 24) == Array("ready\n".utf8) + lines(0..<200_000))
    }

    @Test func clientsSeeTheEndOfTheMachine() async throws {
        let setup = try Setup()
        let client = try setup.client()
        try await setup.printed(Array("Power down.\n".utf8))
        #expect(try await client.text(12) == "Power down.\n")
        async let rest = client.bytes()
        setup.machine.close()
        await setup.console.end()
        #expect(try await rest == [])
        // Who comes after that is hung up on.
        #expect(try await setup.client().bytes() == [])
        setup.listener.serve(nil)
        #expect(try await setup.client().bytes() == [])
    }

    @Test func theEndIsReportedOnceEverythingIsHandedOn() async throws {
        let log = try TemporaryDirectory()
        let output = try Output(.file(log("log")), owner: ("c", "n"))
        let setup = try Setup(outputs: [output])
        try await setup.printed(lines(0..<10_000))
        setup.machine.close()
        await setup.console.end()
        await output.finish()
        #expect(try File.read(log("log")) == lines(0..<10_000))
        await setup.console.end()
        setup.console.type([1])
    }

    @Test func disconnectingEndsItWhateverTheMachineDoes() async throws {
        let setup = try Setup()
        setup.console.disconnect()
        await setup.console.end()
    }

    @Test func clientsAreLimited() async throws {
        let setup = try Setup()
        try await setup.printed(Array("x".utf8))
        var clients: [Reader] = []
        for _ in 0..<Console.maximumClients {
            let client = try setup.client()
            #expect(try await client.text(1) == "x")
            clients.append(client)
        }
        #expect(try await setup.client().bytes() == [], "one client too many is not hung up on")
        // A place that is given up is free again.
        clients.removeLast()
        #expect(
            await eventually {
                let client = try? setup.client()
                return (try? await client?.text(1)) == "x"
            })
    }

    @Test func theSocketIsRootsAloneAndGoesWithTheListener() async throws {
        let setup = try Setup()
        var information = stat()
        #expect(stat(setup.socket, &information) == 0 && information.st_mode & 0o777 == 0o600)
        setup.listener.close()
        #expect(!File.exists(setup.socket))
        #expect(throws: SystemError("connect", setup.socket, code: ENOENT)) { try setup.client() }
    }
}

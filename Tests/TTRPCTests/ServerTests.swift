import FoundationEssentials
import Glibc
import LinuxSystem
import SwiftProtobuf
import Testing

@testable import TTRPC

@Suite(.timeLimit(.minutes(1)))
struct ServerTests {
    @Test func answersAndFails() async throws {
        try await withServer([EchoService().service]) { path, _ in
            let client = try Client(path: path)
            #expect(try await client.call(EchoService.name, "Echo", payload: [1, 2]) == [1, 2])
            #expect(try await client.call(EchoService.name, "Echo", payload: []) == [])
            await #expect(throws: StatusError(.notFound, "not found")) {
                try await client.call(EchoService.name, "Fail", payload: [])
            }
            await #expect(throws: StatusError(.unknown, "oops")) {
                try await client.call(EchoService.name, "Throw", payload: [])
            }
            let metadata = try await client.call(
                EchoService.name, "Metadata", payload: [], metadata: ["k": ["a", "b"], "traceparent": ["x"]])
            #expect(String(decoding: metadata, as: UTF8.self) == "a,b")
            let timeout = try await client.call(EchoService.name, "Timeout", payload: [], timeout: .seconds(7))
            #expect(String(decoding: timeout, as: UTF8.self) == "7.0 seconds")
            #expect(try await client.call(EchoService.name, "Timeout", payload: []) == Array("none".utf8))
        }
    }

    @Test func typedMethodsAndARenamedService() async throws {
        var service = Service("test.v2.Typed")
        service.register("Wrap") { (request: Google_Protobuf_StringValue, _) in
            Google_Protobuf_BytesValue.with { $0.value = .init(request.value.utf8) }
        }
        try await withServer([service, service.renamed("test.v3.Typed")]) { path, _ in
            let client = try Client(path: path)
            for name in ["test.v2.Typed", "test.v3.Typed"] {
                let response = try await client.call(
                    name, "Wrap", Google_Protobuf_StringValue("é"), returning: Google_Protobuf_BytesValue.self)
                #expect(response.value == .init("é".utf8))
            }
            // A field that says it is longer than the message.
            let failure = await code { _ = try await client.call("test.v3.Typed", "Wrap", payload: [0x0a, 0xff]) }
            #expect(failure == .invalidArgument)
        }
    }

    @Test func unknownServiceAndMethodAreNamed() async throws {
        try await withServer([EchoService().service]) { path, _ in
            let client = try Client(path: path)
            await #expect(
                throws: StatusError(
                    .unimplemented, "there is no service \"no.Such\" (called for its method \"Do\"); there is test.Echo"
                )
            ) { try await client.call("no.Such", "Do", payload: []) }
            await #expect(
                throws: StatusError(.unimplemented, "the service \"test.Echo\" has no method \"Do\"")
            ) { try await client.call(EchoService.name, "Do", payload: []) }
        }
    }

    @Test func repliesComeInAnyOrder() async throws {
        let echo = EchoService()
        try await withServer([echo.service]) { path, _ in
            let peer = try RawPeer(path: path)
            try await peer.write(try request(1, "Wait") + request(3))
            #expect(try await peer.readReply()?.stream == 3)
            echo.gate.open()
            #expect(try await peer.readReply()?.stream == 1)
        }
    }

    @Test func manyCallsWhileOthersWait() async throws {
        let echo = EchoService()
        try await withServer([echo.service]) { path, _ in
            let clients = try (0..<4).map { _ in try Client(path: path) }
            let waiting = (0..<20).map { number in
                Task { try await clients[number % 4].call(EchoService.name, "Wait", payload: [UInt8(number)]) }
            }
            await echo.waitForArrivals(20)
            let sum = try await withThrowingTaskGroup(of: Int.self) { group in
                for client in clients {
                    for number in 0..<250 {
                        group.addTask {
                            let payload = Array("\(number)".utf8)
                            let reply = try await client.call(EchoService.name, "Echo", payload: payload)
                            return reply == payload ? 1 : 0
                        }
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(sum == 1000)
            echo.gate.open()
            for (number, task) in waiting.enumerated() { #expect(try await task.value == [UInt8(number)]) }
        }
    }

    @Test func oversizedFrameIsAnsweredAndTheConnectionLives() async throws {
        try await withServer([EchoService().service]) { path, _ in
            let peer = try RawPeer(path: path)
            let length = FrameHeader.maximumLength + 1
            let header = FrameHeader(length: length, stream: 1, kind: .request)
            let large = try await peer.exchange(header.bytes + [UInt8](repeating: 0xaa, count: Int(length)))
            #expect(large?.stream == 1)
            #expect(large?.reply.code == .resourceExhausted)
            let next = try await peer.exchange(try request(3))
            #expect(next?.stream == 3)
            #expect(next?.reply == .success([1, 2, 3]))
            // The limit itself is allowed.
            let whole = Frame(
                stream: 5, kind: .request, payload: [UInt8](repeating: 0, count: Int(FrameHeader.maximumLength)))
            #expect(try await peer.exchange(try frame(whole))?.reply.code == .invalidArgument)
        }
    }

    @Test func oversizedResponseBecomesAnError() async throws {
        try await withServer([EchoService().service]) { path, _ in
            let client = try Client(path: path)
            let failure = await code { _ = try await client.call(EchoService.name, "Large", payload: []) }
            #expect(failure == .resourceExhausted)
        }
    }

    @Test func protocolErrorsDoNotDisturbCallsInFlight() async throws {
        let echo = EchoService()
        try await withServer([echo.service]) { path, _ in
            let peer = try RawPeer(path: path)
            try await peer.write(try request(5, "Wait"))
            await echo.waitForArrivals(1)
            for stream in [0, 2, 3] as [UInt32] {
                let answer = try await peer.exchange(try request(stream))
                #expect(answer?.stream == stream)
                #expect(answer?.reply.code == .invalidArgument)
            }
            let malformed = Frame(stream: 7, kind: .request, payload: [0x0a, 0xff, 0xff])
            #expect(try await peer.exchange(try frame(malformed))?.reply.code == .invalidArgument)
            #expect(try await peer.exchange(try request(9, flags: .remoteOpen))?.reply.code == .unimplemented)
            #expect(try await peer.exchange(try request(11, flags: .remoteClosed))?.reply.code == .unimplemented)
            let data = Frame(stream: 13, kind: .data, payload: [1])
            #expect(try await peer.exchange(try frame(data))?.reply.code == .unimplemented)
            // Ignored: a kind that nobody knows, and a response that nobody asked for.
            try await peer.write(try frame(Frame(stream: 15, kind: .init(rawValue: 99), payload: [1, 2])))
            try await peer.write(try frame(Frame(stream: 15, kind: .response, payload: [1, 2])))
            #expect(try await peer.exchange(try request(15))?.reply == .success([1, 2, 3]))
            echo.gate.open()
            let late = try await peer.readReply()
            #expect(late?.stream == 5)
            #expect(late?.reply == .success([1, 2, 3]))
        }
    }

    @Test func callsInFlightAreBounded() async throws {
        let echo = EchoService()
        try await withServer([echo.service], callLimit: 2) { path, _ in
            let peer = try RawPeer(path: path)
            try await peer.write(try request(1, "Wait") + request(3, "Wait"))
            let refused = try await peer.exchange(try request(5))
            #expect(refused?.stream == 5)
            #expect(refused?.reply.code == .resourceExhausted)
            // The limit is a connection's own.
            #expect(try await Client(path: path).call(EchoService.name, "Echo", payload: [4]) == [4])
            echo.gate.open()
            var streams: Set<UInt32> = []
            for _ in 0..<2 { streams.insert(try await peer.readReply()?.stream ?? 0) }
            #expect(streams == [1, 3])
        }
    }

    @Test func peerThatGoesLosesOnlyItsReplies() async throws {
        let done = Gate()
        let echo = EchoService()
        var service = echo.service
        service.register("Finish") { _ in
            await echo.gate.wait()
            done.open()
            return []
        }
        try await withServer([service]) { path, _ in
            let peer = try RawPeer(path: path)
            try await peer.write(try request(1, "Wait") + request(3, "Finish"))
            await echo.waitForArrivals(1)
            // In the middle of a frame.
            try await peer.write([0, 0, 1])
            peer.socket.close()
            echo.gate.open()
            await done.wait()
            #expect(try await Client(path: path).call(EchoService.name, "Echo", payload: [4]) == [4])
        }
    }

    @Test func peerThatOnlyStopsSendingGetsItsReplies() async throws {
        let echo = EchoService()
        try await withServer([echo.service]) { path, _ in
            let peer = try RawPeer(path: path)
            try await peer.write(try request(1, "Wait"))
            await echo.waitForArrivals(1)
            #expect(shutdown(peer.socket.raw, Int32(SHUT_WR)) == 0)
            echo.gate.open()
            #expect(try await peer.readReply()?.reply == .success([1, 2, 3]))
            #expect(try await peer.read() == nil)
        }
    }

    @Test func slowReaderGetsWholeFramesAndBlocksNobody() async throws {
        try await withServer([EchoService().service]) { path, _ in
            let slow = try RawPeer(path: path)
            let payload = [UInt8](repeating: 5, count: 1 << 20)
            for number in 0..<8 as Range<UInt32> {
                try await slow.write(try request(number * 2 + 1, payload: payload))
            }
            let other = try Client(path: path)
            for _ in 0..<50 { #expect(try await other.call(EchoService.name, "Echo", payload: [4]) == [4]) }
            var streams: Set<UInt32> = []
            for _ in 0..<8 {
                let answer = try await slow.readReply()
                #expect(answer?.reply == .success(payload))
                streams.insert(answer?.stream ?? 0)
            }
            #expect(streams.count == 8)
        }
    }

    @Test func peerThatNeverReadsIsCutOff() async throws {
        try await withServer([EchoService().service]) { path, _ in
            let slow = try RawPeer(path: path)
            let payload = [UInt8](repeating: 5, count: 1 << 20)
            await #expect(throws: SystemError.self) {
                // SIGPIPE would end the test.
                for number in 0..<200 as Range<UInt32> {
                    let bytes = try request(number * 2 + 1, payload: payload)
                    try await Thread.run("test-send") {
                        var sent = 0
                        while sent < bytes.count {
                            let count = bytes[sent...].withUnsafeBytes {
                                send(slow.socket.raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                            }
                            if count < 0 { throw SystemError.last("send") }
                            sent += count
                        }
                    }
                }
            }
            #expect(try await Client(path: path).call(EchoService.name, "Echo", payload: [4]) == [4])
        }
    }

    @Test func shutdownFlushesRepliesAndRefusesNewPeers() async throws {
        let echo = EchoService()
        try await withServer([echo.service]) { path, server in
            let client = try Client(path: path)
            let waiting = Task { try await client.call(EchoService.name, "Wait", payload: [8]) }
            await echo.waitForArrivals(1)
            let stopped = Task { await server.shutdown(within: .seconds(30)) }
            // The socket is shut before the replies are waited for; a connection that slips in before is closed.
            while (try? Client(path: path)) != nil { await Task.yield() }
            echo.gate.open()
            #expect(try await waiting.value == [8])
            await stopped.value
            let failure = await code { _ = try await client.call(EchoService.name, "Echo", payload: []) }
            #expect(failure == .unavailable)
        }
    }

    @Test func shutdownDoesNotWaitForEver() async throws {
        let echo = EchoService()
        try await withServer([echo.service]) { path, server in
            let client = try Client(path: path)
            let waiting = Task { await code { _ = try await client.call(EchoService.name, "Wait", payload: []) } }
            await echo.waitForArrivals(1)
            await server.shutdown(within: .milliseconds(20))
            #expect(await waiting.value == .unavailable)
            echo.gate.open()
        }
    }

    @Test func onlyRootAndTheOwnUserMayConnect() async throws {
        await #expect(processExitsWith: .success) {
            guard geteuid() == 0 else { exit(1) }
            try await withSocketDirectory { directory in
                _ = chmod(directory, 0o755)
                let path = "\(directory)/s"
                let server = Server(services: [EchoService().service])
                try server.listen(on: UnixSocket.listen(path, mode: 0o666))
                let own = try Client(path: path)
                guard try await own.call(EchoService.name, "Echo", payload: [1]) == [1] else { exit(2) }
                guard seteuid(65534) == 0 else { exit(3) }
                let foreign = try Client(path: path)
                let failure = await code { _ = try await foreign.call(EchoService.name, "Echo", payload: [1]) }
                guard seteuid(0) == 0, failure == .unavailable else { exit(4) }
                guard try await own.call(EchoService.name, "Echo", payload: [1]) == [1] else { exit(5) }
                await server.shutdown(within: .zero)
            }
        }
    }
}

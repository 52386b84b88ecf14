import LinuxSystem
import SwiftProtobuf
import Testing

@testable import TTRPC

/// The client against a server played by hand.
@Suite(.timeLimit(.minutes(1)))
struct ClientTests {
    let client: Client
    let server: RawPeer

    init() throws {
        let (near, far) = try UnixSocket.pair()
        client = try Client(socket: near)
        server = RawPeer(socket: far)
    }

    private func call(_ payload: [UInt8] = [], timeout: Duration? = nil) -> Task<[UInt8], any Error> {
        Task { try await client.call("s", "m", payload: payload, timeout: timeout) }
    }

    private func code(of task: Task<[UInt8], any Error>) async -> StatusCode? {
        await TTRPCTests.code { _ = try await task.value }
    }

    @Test func streamIdsAreOddAndRise() async throws {
        for expected in [1, 3, 5] as [UInt32] {
            let task = call([UInt8(expected)])
            let request = try #require(try await server.read())
            #expect(request.stream == expected)
            #expect(request.kind == .request)
            #expect(request.flags == [])
            try await server.write(Reply.success([7]).frame(stream: expected))
            #expect(try await task.value == [7])
        }
    }

    @Test func lateReplyIsHarmless() async throws {
        let late = call(timeout: .milliseconds(1))
        let first = try #require(try await server.read())
        #expect(try Call(envelope: first.payload).timeout == .milliseconds(1))
        #expect(await code(of: late) == .deadlineExceeded)
        let next = call()
        let second = try #require(try await server.read())
        try await server.write(Reply.success([1]).frame(stream: first.stream))
        try await server.write(Reply.success([2]).frame(stream: second.stream))
        #expect(try await next.value == [2])
    }

    @Test func whatNobodyAskedForIsIgnored() async throws {
        let task = call()
        let request = try #require(try await server.read())
        try await server.write(Reply.success([1]).frame(stream: 77))
        try await server.write(try frame(Frame(stream: request.stream, kind: .data, payload: [1])))
        try await server.write(try frame(Frame(stream: request.stream, kind: .init(rawValue: 50), payload: [1])))
        try await server.write(Reply.success([2]).frame(stream: request.stream))
        #expect(try await task.value == [2])
    }

    @Test func oversizedAndMalformedResponses() async throws {
        let large = call()
        var stream = try #require(try await server.read()).stream
        let header = FrameHeader(length: FrameHeader.maximumLength + 9, stream: stream, kind: .response)
        try await server.write(header.bytes + [UInt8](repeating: 0, count: Int(header.length)))
        #expect(await code(of: large) == .resourceExhausted)
        let malformed = call()
        stream = try #require(try await server.read()).stream
        try await server.write(try frame(Frame(stream: stream, kind: .response, payload: [0x0a, 0xff])))
        #expect(await code(of: malformed) == .internal)
    }

    @Test func oversizedRequestIsNotSent() async throws {
        #expect(await code(of: call([UInt8](repeating: 0, count: 4 << 20))) == .resourceExhausted)
        let task = call()
        let request = try #require(try await server.read())
        #expect(request.stream == 1)
        try await server.write(Reply.success([]).frame(stream: 1))
        #expect(try await task.value == [])
    }

    @Test func wrongResponseMessage() async throws {
        let client = client
        let task = Task {
            try await client.call(
                "s", "m", Google_Protobuf_StringValue("x"), returning: Google_Protobuf_StringValue.self)
        }
        _ = try await server.read()
        try await server.write(Reply.success([0x0a, 0xff]).frame(stream: 1))
        #expect(await TTRPCTests.code { _ = try await task.value } == .internal)
    }

    @Test func closedConnectionFailsEveryCall() async throws {
        let tasks = (0..<10).map { _ in call() }
        for _ in 0..<10 { _ = try await server.read() }
        server.socket.close()
        for task in tasks { #expect(await code(of: task) == .unavailable) }
        #expect(client.isClosed)
        #expect(await code(of: call()) == .unavailable)
    }

    @Test func cancelledCallEnds() async throws {
        let task = call()
        _ = try await server.read()
        task.cancel()
        #expect(await code(of: task) == .canceled)
        let before = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await client.call("s", "m", payload: [])
        }
        #expect(await code(of: before) == .canceled)
    }

    @Test func nobodyListens() throws {
        #expect(throws: SystemError.self) { try Client(path: "/tmp/slipway-ttrpc-no-such-socket") }
    }
}

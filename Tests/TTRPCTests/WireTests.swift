import SwiftProtobuf
import Testing

@testable import TTRPC

/// Bytes on the wire, without a socket.
struct WireTests {
    static let connect = hex(
        """
        00000055 00000001 01 00 0a17636f6e7461696e6572642e7461736b2e76322e5461736b1207436f6e6e6563741a050a03616263
        2080e497d0122a240a1a636f6e7461696e6572642d6e616d6573706163652d747472706312066b38732e696f
        """)
    static let call = Call(
        service: "containerd.task.v2.Task", method: "Connect", payload: hex("0a03616263"), timeout: .seconds(5),
        metadata: ["containerd-namespace-ttrpc": ["k8s.io"]])

    @Test func requestOfConnect() throws {
        let header = try #require(FrameHeader(Array(Self.connect.prefix(10))))
        #expect(header == FrameHeader(length: 0x55, stream: 1, kind: .request))
        let payload = Array(Self.connect.dropFirst(10))
        #expect(try Call(envelope: payload) == Self.call)
        #expect(Frame(stream: 1, kind: .request, payload: try Self.call.envelope()).bytes == Self.connect)
    }

    @Test func responses() {
        #expect(Reply.success(hex("086410c801")).frame(stream: 1) == hex("00000007 00000001 02 00 1205086410c801"))
        #expect(Reply(envelope: hex("1205086410c801")) == .success(hex("086410c801")))
        let error = StatusError(.notFound, "not found")
        #expect(
            Reply.failure(error).frame(stream: 3) == hex("0000000f 00000003 02 00 0a0d080512096e6f7420666f756e64"))
        #expect(Reply(envelope: hex("0a0d080512096e6f7420666f756e64")) == .failure(error))
    }

    @Test func emptyResponseIsALoneHeader() {
        #expect(Reply.success([]).frame(stream: 5) == hex("00000000 00000005 02 00"))
        #expect(Reply(envelope: []) == .success([]))
    }

    @Test func unknownCodeAndMalformedResponse() {
        #expect(Reply(envelope: hex("0a05 084d 1201 78")) == .failure(StatusError(.unknown, "x (code 77)")))
        #expect(Reply(envelope: hex("0aff")).code == .internal)
    }

    @Test func headerNeedsTenBytes() {
        #expect(FrameHeader([]) == nil)
        #expect(FrameHeader([UInt8](repeating: 0xff, count: 9)) == nil)
        #expect(FrameHeader([UInt8](repeating: 0xff, count: 11)) == nil)
        #expect(FrameHeader([UInt8](repeating: 0xff, count: 10))?.length == .max)
    }

    @Test func frameLimit() {
        let limit = Int(FrameHeader.maximumLength)
        #expect(Frame(stream: 1, kind: .request, payload: [UInt8](repeating: 0, count: limit)).bytes != nil)
        #expect(Frame(stream: 1, kind: .request, payload: [UInt8](repeating: 0, count: limit + 1)).bytes == nil)
        let reply = Reply.success([UInt8](repeating: 0, count: limit)).frame(stream: 1)
        #expect(Reply(envelope: Array(reply.dropFirst(10))).code == .resourceExhausted)
        let long = Reply.failure(StatusError(.notFound, String(repeating: "é", count: limit))).frame(stream: 1)
        #expect(Reply(envelope: Array(long.dropFirst(10))).code == .notFound)
    }

    @Test(arguments: [
        (Duration.seconds(5), Duration.seconds(5)), (.zero, .nanoseconds(1)), (.seconds(-3), .nanoseconds(1)),
        (.seconds(Int64.max), .nanoseconds(Int64.max)), (.seconds(Int64.min), .nanoseconds(1)),
        (.nanoseconds(1500), .nanoseconds(1500)),
    ])
    func timeouts(_ given: Duration, _ sent: Duration) throws {
        let call = Call(service: "s", method: "m", payload: [], timeout: given)
        #expect(try Call(envelope: call.envelope()).timeout == sent)
    }

    @Test func metadataWithSeveralValues() throws {
        let call = Call(service: "s", method: "m", payload: [], metadata: ["a": ["1", "2"], "b": ["3"]])
        #expect(try Call(envelope: call.envelope()) == call)
    }

    @Test func malformedTypedRequest() {
        let call = Call(service: "s", method: "m", payload: [0xff])
        #expect(throws: StatusError.self) { try call.request(as: Google_Protobuf_Any.self) }
    }

    @Test(arguments: StatusCode.allCases.filter { $0 != .ok })
    func everyCodeTravels(_ code: StatusCode) {
        let reply = Reply.failure(StatusError(code, "why"))
        #expect(Reply(envelope: Array(reply.frame(stream: 1).dropFirst(10))) == reply)
    }

    @Test func streamIds() throws {
        var intake = Intake()
        func admit(_ stream: UInt32) throws -> StatusCode {
            let payload = try Self.call.envelope()
            switch intake.admit(.frame(Frame(stream: stream, kind: .request, payload: payload))) {
            case .run: return .ok
            case .refuse(let error, let refused):
                #expect(refused == stream)
                return error.code
            case .ignore: return .unknown
            }
        }
        #expect(try admit(1) == .ok)
        #expect(try admit(0) == .invalidArgument)
        #expect(try admit(1) == .invalidArgument)
        #expect(try admit(2) == .invalidArgument)
        #expect(try admit(7) == .ok)
        #expect(try admit(5) == .invalidArgument)
        #expect(try admit(.max) == .ok)
        #expect(try admit(9) == .invalidArgument)
    }

    @Test func streamingIsRefusedAndUnknownKindsAreIgnored() throws {
        var intake = Intake()
        func admit(_ stream: UInt32, _ kind: UInt8, _ flags: FrameHeader.Flags) throws -> StatusCode? {
            let frame = Frame(
                stream: stream, kind: .init(rawValue: kind), flags: flags, payload: try Self.call.envelope())
            guard case .refuse(let error, _) = intake.admit(.frame(frame)) else { return nil }
            return error.code
        }
        #expect(try admit(1, 1, .remoteOpen) == .unimplemented)
        #expect(try admit(1, 3, []) == nil)
        #expect(try admit(3, 1, .remoteClosed) == .unimplemented)
        #expect(try admit(5, 3, .remoteClosed) == .unimplemented)
        #expect(try admit(7, 2, []) == nil)
        #expect(try admit(7, 0, []) == nil)
        #expect(try admit(7, 200, []) == nil)
        let header = FrameHeader(length: .max, stream: 7, kind: .init(rawValue: 9))
        #expect(intake.admit(.oversized(header)) == .ignore)
    }
}

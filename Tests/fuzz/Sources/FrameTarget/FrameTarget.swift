@testable import TTRPC

/// What a connection may bring: frames one after another, as the server's intake and the client take them.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var rest = Array(UnsafeBufferPointer(start: bytes, count: count))[...]
    var intake = Intake()
    while let header = FrameHeader(Array(rest.prefix(FrameHeader.size))) {
        precondition(header.bytes == Array(rest.prefix(FrameHeader.size)))
        rest = rest.dropFirst(FrameHeader.size)
        let before = intake.lastStream
        guard header.length <= FrameHeader.maximumLength else {
            _ = intake.admit(.oversized(header))
            precondition(intake.lastStream >= before)
            continue
        }
        // What is missing of a payload would be an error of the socket; here the frame is what there is.
        let payload = Array(rest.prefix(Int(header.length)))
        rest = rest.dropFirst(payload.count)
        let frame = Frame(stream: header.stream, kind: header.kind, flags: header.flags, payload: payload)
        let decision = intake.admit(.frame(frame))
        precondition(intake.lastStream >= before)
        if case .run(let call, let stream) = decision {
            precondition(stream % 2 == 1 && stream > before)
            // What was decoded encodes to the same call.
            let again = (try? call.envelope()).flatMap { try? Call(envelope: $0) }
            precondition(again?.service == call.service && again?.payload == call.payload)
        }
        if case .refuse(let error, let stream) = decision {
            precondition(Reply.failure(error).frame(stream: stream).count <= 1 << 17)
        }
        if case .success(let payload) = Reply(envelope: payload) {
            let frame = Reply.success(payload).frame(stream: 1)
            precondition(Reply(envelope: Array(frame.dropFirst(FrameHeader.size))) == .success(payload))
        }
    }
    return 0
}

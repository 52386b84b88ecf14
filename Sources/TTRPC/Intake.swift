/// The rules for what a server's peer may send, one value a connection.
struct Intake: Sendable {
    /// What to do with a frame.
    enum Decision: Equatable {
        case run(Call, stream: UInt32)
        case refuse(StatusError, stream: UInt32)
        case ignore
    }

    /// The highest stream id of a request so far.
    private(set) var lastStream: UInt32 = 0

    mutating func admit(_ incoming: Incoming) -> Decision {
        switch incoming {
        case .oversized(let header):
            switch header.kind {
            case .request: if isNew(header.stream) { lastStream = header.stream }
            case .data: if header.stream <= lastStream { return .ignore }
            default: return .ignore
            }
            return refuse(
                header.stream, .resourceExhausted,
                "a frame of \(header.length) bytes is larger than the limit of \(FrameHeader.maximumLength) bytes")
        case .frame(let frame):
            switch frame.kind {
            case .request: return admitRequest(frame)
            case .data: return admitData(frame)
            default: return .ignore
            }
        }
    }

    private mutating func admitRequest(_ frame: Frame) -> Decision {
        guard isNew(frame.stream) else {
            return refuse(
                frame.stream, .invalidArgument,
                "stream id \(frame.stream) is not accepted: it has to be odd and greater than the last one, \(lastStream)"
            )
        }
        lastStream = frame.stream
        guard frame.flags.isDisjoint(with: [.remoteOpen, .remoteClosed]) else {
            return refuse(frame.stream, .unimplemented, "streaming calls are not supported, only unary ones")
        }
        do throws(StatusError) {
            return .run(try Call(envelope: frame.payload), stream: frame.stream)
        } catch {
            return .refuse(error, stream: frame.stream)
        }
    }

    /// Data of a stream that was a request before is dropped: that request has or will have its one reply.
    private func admitData(_ frame: Frame) -> Decision {
        if frame.stream <= lastStream { return .ignore }
        return refuse(frame.stream, .unimplemented, "data frames are not supported, only unary calls")
    }

    private func isNew(_ stream: UInt32) -> Bool { stream % 2 == 1 && stream > lastStream }

    private func refuse(_ stream: UInt32, _ code: StatusCode, _ message: String) -> Decision {
        .refuse(StatusError(code, message), stream: stream)
    }
}

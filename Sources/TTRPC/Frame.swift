internal import Glibc
internal import LinuxSystem

/// The ten bytes before each message of ttrpc (its PROTOCOL.md): length, stream, type and flags, in network order.
public struct FrameHeader: Equatable, Sendable {
    /// Bytes of a header.
    public static let size = 10
    /// The most bytes that may follow a header: 4 MiB.
    public static let maximumLength: UInt32 = 4 << 20

    /// What a frame is. Other values may come and are to be ignored.
    public struct Kind: RawRepresentable, Equatable, Sendable {
        /// The byte on the wire.
        public let rawValue: UInt8
        /// Any value.
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// A request, the first frame of a stream.
        public static let request = Kind(rawValue: 1)
        /// The response to a request.
        public static let response = Kind(rawValue: 2)
        /// Data of a streaming call.
        public static let data = Kind(rawValue: 3)
    }

    /// Bits that say how a stream goes on. A unary request and its response have none.
    public struct Flags: OptionSet, Sendable {
        /// The byte on the wire.
        public let rawValue: UInt8
        /// Any bits.
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// The sender sends no more: on a request, a call in which only the server streams.
        public static let remoteClosed = Flags(rawValue: 0x1)
        /// The sender goes on sending: on a request, a call in which the client streams.
        public static let remoteOpen = Flags(rawValue: 0x2)
        /// The frame carries no message.
        public static let noData = Flags(rawValue: 0x4)
    }

    /// Bytes that follow.
    public var length: UInt32
    /// The call: odd, from 1 on, never used twice in a connection.
    public var stream: UInt32
    /// What follows.
    public var kind: Kind
    /// How the stream goes on.
    public var flags: Flags

    /// Makes a header.
    public init(length: UInt32, stream: UInt32, kind: Kind, flags: Flags = []) {
        self.length = length
        self.stream = stream
        self.kind = kind
        self.flags = flags
    }

    /// Decodes a header; nil unless there are exactly ten bytes. Any ten bytes are a header.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.size else { return nil }
        func number(_ range: Range<Int>) -> UInt32 { bytes[range].reduce(0) { $0 << 8 | UInt32($1) } }
        self.init(
            length: number(0..<4), stream: number(4..<8),
            kind: Kind(rawValue: bytes[8]), flags: Flags(rawValue: bytes[9]))
    }

    /// The ten bytes.
    public var bytes: [UInt8] {
        func octets(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number.bigEndian) { Array($0) } }
        return octets(length) + octets(stream) + [kind.rawValue, flags.rawValue]
    }
}

/// A header with what follows it.
public struct Frame: Equatable, Sendable {
    /// The call.
    public var stream: UInt32
    /// What the payload is.
    public var kind: FrameHeader.Kind
    /// How the stream goes on.
    public var flags: FrameHeader.Flags
    /// At most ``FrameHeader/maximumLength`` bytes.
    public var payload: [UInt8]

    /// Makes a frame.
    public init(stream: UInt32, kind: FrameHeader.Kind, flags: FrameHeader.Flags = [], payload: [UInt8]) {
        self.stream = stream
        self.kind = kind
        self.flags = flags
        self.payload = payload
    }

    /// Header and payload; nil when the payload is beyond the limit.
    public var bytes: [UInt8]? {
        guard let length = UInt32(exactly: payload.count), length <= FrameHeader.maximumLength else { return nil }
        return FrameHeader(length: length, stream: stream, kind: kind, flags: flags).bytes + payload
    }
}

/// What was read from a connection.
enum Incoming: Equatable {
    case frame(Frame)
    /// A frame beyond the limit, whose payload was thrown away.
    case oversized(FrameHeader)

    /// Reads the next frame, blocking; nil when the peer has closed between two frames.
    ///
    /// - Throws: `SystemError`; EPIPE when the peer closes in the middle of a frame.
    static func read(from socket: FileDescriptor) throws(SystemError) -> Incoming? {
        guard let bytes = try socket.read(exactly: FrameHeader.size), let header = FrameHeader(bytes) else {
            return nil
        }
        guard header.length <= FrameHeader.maximumLength else {
            try discard(Int(header.length), from: socket)
            return .oversized(header)
        }
        guard let payload = try socket.read(exactly: Int(header.length)) else { throw truncated }
        return .frame(Frame(stream: header.stream, kind: header.kind, flags: header.flags, payload: payload))
    }

    private static func discard(_ count: Int, from socket: FileDescriptor) throws(SystemError) {
        var left = count
        while left > 0 {
            let bytes = try socket.read(upTo: min(left, 65536))
            if bytes.isEmpty { throw truncated }
            left -= bytes.count
        }
    }

    private static var truncated: SystemError { SystemError("read a frame", code: EPIPE) }
}

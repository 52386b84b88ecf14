import Glibc
import LinuxSystem

/// A client of the container runtime's streaming server, as `kubectl attach` and `kubectl exec` are one: a WebSocket
/// (RFC 6455) whose messages bear a channel in their first byte (Kubernetes' `v4.channel.k8s.io`).
final class StreamConnection {
    /// Kubernetes' numbers (k8s.io/apimachinery, remotecommand).
    enum Channel: UInt8, Sendable { case stdin, stdout, stderr, error, resize }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let socket: FileDescriptor
    private var unread: [UInt8] = []
    private var received: [Channel: [UInt8]] = [:]
    /// The server has ended the conversation.
    private(set) var isEnded = false

    /// The key and the answer that RFC 6455 has as its example.
    private static let key = "dGhlIHNhbXBsZSBub25jZQ=="
    private static let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    private static let limit = 1 << 20

    /// Connects to a URL that CRI's Attach or Exec has answered with: `http://ADDRESS:PORT/PATH`, IPv4.
    init(_ url: String) throws {
        let parts = url.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: true)
        guard parts.count == 3, parts[0] == "http:" else { throw Failure(description: "\(url): is no http URL") }
        let host = parts[1].split(separator: ":")
        guard host.count == 2, let port = UInt16(host[1]) else { throw Failure(description: "\(url): has no port") }
        socket = FileDescriptor(owning: Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard inet_pton(AF_INET, String(host[0]), &address.sin_addr) == 1 else {
            throw Failure(description: "\(url): \(host[0]) is no IPv4 address")
        }
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket.raw, $0, size) }
        }
        guard connected == 0 else { throw SystemError.last("connect", url) }
        try shakeHands(host: parts[1], path: parts[2])
    }

    private func shakeHands(host: Substring, path: Substring) throws {
        let lines = [
            "GET /\(path) HTTP/1.1", "Host: \(host)", "Connection: Upgrade", "Upgrade: websocket",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: \(Self.key)",
            "Sec-WebSocket-Protocol: v4.channel.k8s.io", "", "",
        ]
        try socket.write(Array(lines.joined(separator: "\r\n").utf8))
        let end = Array("\r\n\r\n".utf8)
        while true {
            if let range = unread.firstRange(of: end) {
                let head = String(decoding: unread[..<range.lowerBound], as: UTF8.self)
                unread.removeSubrange(..<range.upperBound)
                guard head.hasPrefix("HTTP/1.1 101 "), head.contains(Self.accept), head.contains("v4.channel.k8s.io")
                else { throw Failure(description: "no WebSocket: \(head)\n\(String(decoding: unread, as: UTF8.self))") }
                return
            }
            guard try socket.wait(for: Int16(POLLIN), milliseconds: 10_000) else {
                throw SystemError("read", "the streaming server's answer", code: ETIMEDOUT)
            }
            let more = try socket.read(upTo: 4096)
            guard !more.isEmpty, unread.count < Self.limit else {
                throw Failure(description: "the streaming server hung up: \(String(decoding: unread, as: UTF8.self))")
            }
            unread += more
        }
    }

    /// Sends a text of at most 124 bytes on a channel, by default as if it was typed.
    func send(_ text: String, to channel: Channel = .stdin) throws {
        try send([channel.rawValue] + Array(text.utf8), opcode: 2)
    }

    private func send(_ payload: [UInt8], opcode: UInt8) throws {
        // A client masks what it sends; with zeros it stays legible, and there is no proxy here to protect.
        guard payload.count < 126 else { throw SystemError("send", "\(payload.count) bytes", code: EMSGSIZE) }
        try socket.write([0x80 | opcode, 0x80 | UInt8(payload.count), 0, 0, 0, 0] + payload)
    }

    /// Everything that has come on a channel so far.
    func text(_ channel: Channel) throws -> String {
        while !isEnded, try socket.wait(for: Int16(POLLIN), milliseconds: 0) {
            let more = try socket.read(upTo: 65536)
            unread += more
            while try takeFrame() {}
            if more.isEmpty { isEnded = true }
        }
        return String(decoding: received[channel] ?? [], as: UTF8.self)
    }

    /// Takes one whole frame off what was read; false when there is none.
    private func takeFrame() throws -> Bool {
        guard unread.count >= 2 else { return false }
        let sizeBytes = [126: 2, 127: 8][unread[1] & 0x7f] ?? 0
        let start = 2 + sizeBytes
        guard unread.count >= start else { return false }
        let size =
            sizeBytes == 0 ? Int(unread[1] & 0x7f) : unread[2..<start].reduce(0) { $0 << 8 & 0xffff_ffff | Int($1) }
        guard unread[1] & 0x80 == 0, size <= Self.limit else { throw Failure(description: "a frame of \(size) bytes") }
        guard unread.count >= start + size else { return false }
        let payload = unread[start..<start + size]
        switch unread[0] {
        case 0x82:
            guard let first = payload.first, let channel = Channel(rawValue: first) else {
                throw Failure(description: "a message without a channel: \(payload)")
            }
            received[channel, default: []] += payload.dropFirst()
        case 0x88: isEnded = true
        case 0x89: try send(Array(payload), opcode: 10)
        case let other: throw Failure(description: "a frame of kind \(other)")
        }
        unread.removeFirst(start + size)
        return true
    }

    /// Says goodbye and hangs up, as a client does whose user presses Ctrl-P Ctrl-Q.
    func detach() {
        try? send([], opcode: 8)
        socket.close()
    }
}

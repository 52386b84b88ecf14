import CLinux

/// Writes one netlink request. Lengths are patched in when a part is complete, so nobody counts bytes.
///
/// Layout: netlink(7) header, a fixed structure, then attributes that are padded to four bytes (rtnetlink(7)).
public struct MessageBuilder: Sendable {
    private var buffer: [UInt8] = []

    /// Begins a message. Sequence number and port id stay zero: the channel fills in the sequence number.
    ///
    /// - Parameters:
    ///   - type: `RTM_…`.
    ///   - flags: `NLM_F_…` beside `NLM_F_REQUEST`, which is always set.
    public init(type: Int, flags: Int32) {
        var header = nlmsghdr()
        header.nlmsg_type = UInt16(truncatingIfNeeded: type)
        header.nlmsg_flags = UInt16(truncatingIfNeeded: NLM_F_REQUEST | flags)
        append(header)
    }

    /// The message with its total length.
    public var message: [UInt8] {
        var message = buffer
        let length = UInt32(truncatingIfNeeded: message.count)
        withUnsafeBytes(of: length) { message.replaceSubrange(0..<4, with: $0) }
        return message
    }

    /// Adds a fixed structure of the kernel as it lies in memory.
    public mutating func append(_ value: some BitwiseCopyable) {
        withUnsafeBytes(of: value) { buffer.append(contentsOf: $0) }
        pad()
    }

    /// Adds an attribute with raw content, at most 65531 bytes.
    public mutating func attribute(_ type: Int, _ content: some Collection<UInt8>) {
        let start = open(type)
        buffer.append(contentsOf: content)
        close(start)
    }

    /// Adds an attribute that holds a number or a structure in the host's byte order.
    public mutating func attribute(_ type: Int, value: some BitwiseCopyable) {
        let start = open(type)
        withUnsafeBytes(of: value) { buffer.append(contentsOf: $0) }
        close(start)
    }

    /// Adds an attribute that holds a zero-terminated string.
    public mutating func attribute(_ type: Int, string: String) {
        attribute(type, Array(string.utf8) + [0])
    }

    /// Adds an attribute that holds what `body` adds.
    public mutating func nested(_ type: Int, _ body: (inout MessageBuilder) -> Void) {
        let start = open(type)
        body(&self)
        close(start)
    }

    private mutating func open(_ type: Int) -> Int {
        let start = buffer.count
        append(nlattr(nla_len: 0, nla_type: UInt16(truncatingIfNeeded: type)))
        return start
    }

    private mutating func close(_ start: Int) {
        let length = UInt16(buffer.count - start)
        withUnsafeBytes(of: length) { buffer.replaceSubrange(start..<start + 2, with: $0) }
        pad()
    }

    private mutating func pad() {
        while buffer.count % 4 != 0 { buffer.append(0) }
    }
}

/// The attributes of a message or of a nested attribute, by type. The last one of a type counts.
///
/// Reading is bounded by what was received: an attribute that claims more than there is ends the list, and one whose
/// content is too short for what is asked of it reads as nil.
public struct Attributes: Sendable {
    private var contents: [UInt16: ArraySlice<UInt8>] = [:]

    /// Splits a run of attributes.
    public init(_ bytes: ArraySlice<UInt8>) {
        for attribute in Self.list(bytes) { contents[attribute.type] = attribute.content }
    }

    /// A run of attributes in their order, several of a type included.
    static func list(_ bytes: ArraySlice<UInt8>) -> [(type: UInt16, content: ArraySlice<UInt8>)] {
        var attributes: [(type: UInt16, content: ArraySlice<UInt8>)] = []
        var rest = bytes
        while let length: UInt16 = rest.load(at: 0), let type: UInt16 = rest.load(at: 2),
            length >= 4, Int(length) <= rest.count
        {
            // The two upper bits of the type are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
            attributes.append((type & 0x3fff, rest.dropFirst(4).prefix(Int(length) - 4)))
            rest = rest.dropFirst((Int(length) + 3) & ~3)
        }
        return attributes
    }

    /// Raw content.
    public subscript(_ type: Int) -> ArraySlice<UInt8>? {
        UInt16(exactly: type).flatMap { contents[$0] }
    }

    /// A number or structure in the host's byte order.
    public func value<Value: BitwiseCopyable>(_ type: Int, as: Value.Type = Value.self) -> Value? {
        self[type]?.load(at: 0)
    }

    /// A string up to its terminating zero or the attribute's end; invalid UTF-8 is repaired.
    public func string(_ type: Int) -> String? {
        self[type].map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// Attributes inside an attribute.
    public func nested(_ type: Int) -> Attributes? {
        self[type].map { Attributes($0) }
    }
}

extension ArraySlice<UInt8> {
    /// The value that starts `offset` bytes behind the slice's start; nil when it does not lie in the slice.
    func load<Value: BitwiseCopyable>(at offset: Int, as: Value.Type = Value.self) -> Value? {
        guard offset >= 0, count >= MemoryLayout<Value>.size, offset <= count - MemoryLayout<Value>.size else {
            return nil
        }
        return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Value.self) }
    }
}

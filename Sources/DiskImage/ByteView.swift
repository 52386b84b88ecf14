/// Big- and little-endian fields at offsets of bytes that nobody has checked yet: nil instead of a trap.
struct ByteView {
    let bytes: ArraySlice<UInt8>

    init(_ bytes: some Sequence<UInt8>) {
        self.bytes = Array(bytes)[...]
    }

    var count: Int { bytes.count }

    /// `length` bytes at `offset`, or nil when they are not all there.
    func slice(_ offset: UInt64, _ length: UInt64) -> ArraySlice<UInt8>? {
        let (end, overflow) = offset.addingReportingOverflow(length)
        guard !overflow, end <= UInt64(bytes.count) else { return nil }
        return bytes[(bytes.startIndex + Int(offset))..<(bytes.startIndex + Int(end))]
    }

    func bigEndian32(_ offset: UInt64) -> UInt32? {
        slice(offset, 4)?.reduce(0) { $0 << 8 | UInt32($1) }
    }

    func bigEndian64(_ offset: UInt64) -> UInt64? {
        slice(offset, 8)?.reduce(0) { $0 << 8 | UInt64($1) }
    }

    func has(_ magic: [UInt8], at offset: Int) -> Bool {
        slice(UInt64(offset), UInt64(magic.count)).map { $0.elementsEqual(magic) } ?? false
    }
}

/// Bytes that a tenant chose, made fit for a message: printable ASCII as it is, the rest as `\xNN`, long ones cut.
func escaped(_ bytes: some Collection<UInt8>, limit: Int = 120) -> String {
    let digits = Array("0123456789abcdef")
    var text = ""
    for byte in bytes.prefix(limit) {
        switch byte {
        case UInt8(ascii: "\\"), UInt8(ascii: "\""): text += "\\" + String(UnicodeScalar(byte))
        case 0x20..<0x7f: text.unicodeScalars.append(UnicodeScalar(byte))
        default: text += "\\x\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
        }
    }
    return bytes.count > limit ? text + "..." : text
}

/// ``escaped(_:limit:)`` for a name that is already text.
func escaped(_ text: String) -> String { escaped(Array(text.utf8)) }

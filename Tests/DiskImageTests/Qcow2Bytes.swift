@testable import DiskImage

/// A QCOW2 version 3 header of 1 GiB that is fine as it is, to be spoiled field by field.
struct Qcow2Bytes {
    var bytes: [UInt8]
    var fileSize: UInt64 = 4 << 16

    init(version: UInt32 = 3) {
        bytes = [UInt8](repeating: 0, count: 4096)
        bytes.replaceSubrange(0..<4, with: Qcow2Header.magic)
        put32(version, 4)
        put32(16, 20)
        put64(1 << 30, 24)
        put32(2, 36)
        put64(3 << 16, 40)
        put64(1 << 16, 48)
        put32(1, 56)
        if version == 3 {
            put32(4, 96)
            put32(104, 100)
        }
    }

    mutating func put32(_ value: UInt32, _ offset: Int) {
        withUnsafeBytes(of: value.bigEndian) { bytes.replaceSubrange(offset..<(offset + 4), with: $0) }
    }

    mutating func put64(_ value: UInt64, _ offset: Int) {
        withUnsafeBytes(of: value.bigEndian) { bytes.replaceSubrange(offset..<(offset + 8), with: $0) }
    }

    func with(_ change: (inout Qcow2Bytes) -> Void) -> Qcow2Bytes {
        var copy = self
        change(&copy)
        return copy
    }

    /// The image, or the refusal as text.
    func sniff() -> Result<DiskImage, DiskImage.Refusal> {
        Result { () throws(DiskImage.Refusal) in try DiskImage.sniff(header: bytes, fileSize: fileSize) }
    }
}

/// Deterministic random numbers (SplitMix64), so that a failing seed can be run again.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

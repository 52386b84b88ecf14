import DiskImage

/// A tenant's disk image: eight bytes for the file's length, then its first bytes; the last ones are its tail too.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let all = Array(UnsafeBufferPointer(start: bytes, count: count))
    guard all.count > 8 else { return 0 }
    let header = Array(all.dropFirst(8).prefix(DiskImage.headerLength))
    let tail = Array(all.dropFirst(8).suffix(DiskImage.tailLength))
    let claimed = all[..<8].reduce(0) { $0 << 8 | UInt64($1) }
    for fileSize in [claimed, UInt64(header.count)] {
        do {
            let image = try DiskImage.sniff(header: header, tail: tail, fileSize: fileSize)
            precondition(image.fileSize == fileSize && image.virtualSize > 0)
        } catch {
            precondition(!error.description.isEmpty)
        }
    }
    return 0
}

/// The header of a QCOW2 file, versions 2 and 3, as QEMU's `docs/interop/qcow2` lays it out.
struct Qcow2Header {
    static let magic: [UInt8] = [0x51, 0x46, 0x49, 0xfb]

    let virtualSize: UInt64
    let isDirty: Bool

    /// Bits of the incompatible features: what a reader has to know to read the file at all.
    private enum Feature {
        static let dirty: UInt64 = 1 << 0
        static let corrupt: UInt64 = 1 << 1
        static let externalDataFile: UInt64 = 1 << 2
        static let compressionType: UInt64 = 1 << 3
        static let extendedL2: UInt64 = 1 << 4
        static let known = dirty | corrupt | externalDataFile | compressionType | extendedL2
    }

    private static let dataFileNameExtension: UInt32 = 0x4441_5441
    private static let largestL1Table: UInt64 = 32 << 20

    init(_ view: ByteView, fileSize: UInt64) throws(DiskImage.Refusal) {
        func u32(_ offset: UInt64) throws(DiskImage.Refusal) -> UInt32 {
            guard let value = view.bigEndian32(offset) else { throw .truncated }
            return value
        }
        func u64(_ offset: UInt64) throws(DiskImage.Refusal) -> UInt64 {
            guard let value = view.bigEndian64(offset) else { throw .truncated }
            return value
        }

        let version = try u32(4)
        if version == 1 { throw .foreign("QCOW version 1", .convert) }
        guard version == 2 || version == 3 else {
            throw .field("version", found: UInt64(version), accepted: "2 and 3")
        }
        // v2 ends after snapshots_offset; reading it here makes a shorter file a truncated one.
        _ = try u64(64)
        let features = version == 3 ? try u64(72) : 0
        let headerLength = version == 3 ? UInt64(try u32(100)) : 72

        let clusterBits = UInt64(try u32(20))
        guard (9...21).contains(clusterBits) else {
            throw .field("cluster_bits", found: clusterBits, accepted: "9 to 21")
        }
        let clusterSize: UInt64 = 1 << clusterBits
        guard version == 2 || (104...clusterSize).contains(headerLength) else {
            throw .field("header_length", found: headerLength, accepted: "104 to the cluster size of \(clusterSize)")
        }

        let unknown = features & ~Feature.known
        guard unknown == 0 else { throw .unknownFeatures((0..<64).filter { unknown >> $0 & 1 == 1 }) }
        if features & Feature.corrupt != 0 { throw .corrupt }
        let dataFile = Self.dataFileName(view, from: headerLength, to: clusterSize)
        if dataFile != nil || features & Feature.externalDataFile != 0 {
            throw .externalDataFile(dataFile.map { escaped($0) })
        }
        let backingOffset = try u64(8)
        if backingOffset != 0 {
            let length = min(UInt64(try u32(16)), 1023)
            throw .backingFile(view.slice(backingOffset, length).map { escaped($0) })
        }
        let encryption = try u32(32)
        guard encryption == 0 else { throw .encrypted }

        let compression = headerLength > 104 ? view.slice(104, 1)?.first ?? 0 : 0
        guard features & Feature.compressionType != 0 ? compression == 1 : compression == 0 else {
            throw .field("compression_type", found: UInt64(compression), accepted: "0 (zlib) and 1 (zstd)")
        }
        let entrySize: UInt64 = features & Feature.extendedL2 != 0 ? 16 : 8
        guard entrySize == 8 || clusterBits >= 14 else {
            throw .field("cluster_bits", found: clusterBits, accepted: "14 to 21 with extended L2 entries")
        }
        if version == 3 {
            let order = try u32(96)
            guard order <= 6 else { throw .field("refcount_order", found: UInt64(order), accepted: "0 to 6") }
        }

        let size = try u64(24)
        guard size > 0, size % 512 == 0, size <= UInt64(Int64.max) else {
            throw .field("size", found: size, accepted: "multiples of 512 above 0")
        }
        let entries = UInt64(try u32(36))
        let clusters = size / clusterSize + (size % clusterSize == 0 ? 0 : 1)
        let perTable = clusterSize / entrySize
        let needed = clusters / perTable + (clusters % perTable == 0 ? 0 : 1)
        guard entries >= needed, entries * 8 <= Self.largestL1Table else {
            throw .field(
                "l1_size", found: entries, accepted: "\(needed) to \(Self.largestL1Table / 8) for its size of \(size)")
        }
        let l1 = try u64(40)
        guard l1 != 0, l1 % clusterSize == 0 else {
            throw .field("l1_table_offset", found: l1, accepted: "multiples of the cluster size above 0")
        }
        guard l1 <= fileSize, entries * 8 <= fileSize - l1 else { throw .truncated }
        let refcounts = try u64(48)
        guard refcounts != 0, refcounts % clusterSize == 0 else {
            throw .field("refcount_table_offset", found: refcounts, accepted: "multiples of the cluster size above 0")
        }
        guard refcounts < fileSize else { throw .truncated }

        virtualSize = size
        isDirty = features & Feature.dirty != 0
    }

    /// The name in the header extension for an external data file, if there is one. Without its feature bit QEMU
    /// would not follow it, but nobody honest writes one.
    private static func dataFileName(_ view: ByteView, from start: UInt64, to end: UInt64) -> ArraySlice<UInt8>? {
        var offset = start
        while offset < end, let type = view.bigEndian32(offset), let length = view.bigEndian32(offset + 4), type != 0 {
            if type == dataFileNameExtension { return view.slice(offset + 8, UInt64(length)) ?? [] }
            offset += 8 + (UInt64(length) + 7) & ~7
        }
        return nil
    }
}

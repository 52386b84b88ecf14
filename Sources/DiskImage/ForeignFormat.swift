/// File formats that turn up where a disk image is expected, by their magic numbers.
struct ForeignFormat {
    enum Remedy { case convert, unpack, none }

    let name: String
    let remedy: Remedy

    private struct Magic {
        let bytes: [UInt8]
        let offset: Int
        let format: ForeignFormat

        init(_ text: String, at offset: Int = 0, _ name: String, _ remedy: Remedy) {
            self.init(Array(text.utf8), at: offset, name, remedy)
        }

        init(_ bytes: [UInt8], at offset: Int = 0, _ name: String, _ remedy: Remedy) {
            self.bytes = bytes
            self.offset = offset
            format = ForeignFormat(name: name, remedy: remedy)
        }
    }

    private static let headers: [Magic] = [
        Magic("KDMV", "VMDK", .convert),
        Magic("COWD", "VMDK (ESX)", .convert),
        Magic("# Disk DescriptorFile", "VMDK descriptor", .convert),
        Magic("vhdxfile", "VHDX", .convert),
        Magic("conectix", "VHD", .convert),
        Magic([0x7f, 0x10, 0xda, 0xbe], at: 64, "VDI", .convert),
        Magic("QED\0", "QED", .convert),
        Magic("WithoutFreeSpace", "Parallels", .convert),
        Magic("WithouFreSpacExt", "Parallels", .convert),
        Magic("Bochs Virtual HD Image", "Bochs", .convert),
        Magic("LUKS\u{ba}\u{be}".unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }, "LUKS (encrypted)", .none),
        Magic([0x1f, 0x8b], "gzip", .unpack),
        Magic([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], "xz", .unpack),
        Magic([0x28, 0xb5, 0x2f, 0xfd], "zstd", .unpack),
        Magic([0x04, 0x22, 0x4d, 0x18], "lz4", .unpack),
        Magic("BZh", "bzip2", .unpack),
        Magic([0x50, 0x4b, 0x03, 0x04], "zip", .unpack),
        Magic([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c], "7-Zip", .unpack),
        Magic("ustar", at: 257, "tar (an OVA is one)", .unpack),
        Magic([0x7f, 0x45, 0x4c, 0x46], "ELF", .none),
        // A bzImage carries the boot signature too; "HdrS" tells it from a disk (Linux' x86 boot protocol).
        Magic("HdrS", at: 0x202, "Linux kernel", .none),
        Magic("070701", "cpio (an initramfs is one)", .none),
        Magic("070702", "cpio (an initramfs is one)", .none),
        Magic("hsqs", "SquashFS", .none),
    ]

    private static let tails: [Magic] = [
        Magic("conectix", "VHD (fixed size)", .convert),
        Magic("koly", "DMG", .convert),
    ]

    private static let isoDescriptor = Magic("CD001", at: 32769, "ISO 9660 (without a boot record for disks)", .none)

    static func recognised(header: ByteView, tail: ByteView) -> ForeignFormat? {
        if let magic = headers.first(where: { header.has($0.bytes, at: $0.offset) }) { return magic.format }
        if let magic = tails.first(where: { tail.has($0.bytes, at: $0.offset) }) { return magic.format }
        // A hybrid ISO has a boot record and boots as a disk; a plain one does not.
        let isISO = header.has(isoDescriptor.bytes, at: isoDescriptor.offset)
        return isISO && !header.has([0x55, 0xaa], at: 510) ? isoDescriptor.format : nil
    }
}

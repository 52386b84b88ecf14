import Glibc
public import LinuxSystem

/// A disk image that a machine may boot from: what its header says, checked, with nothing believed of its name.
///
/// A disk is accepted only when reading it can touch no other file: QEMU follows the backing and data files that a
/// QCOW2 header names, with its own rights on the node, and the header is the tenant's.
public struct DiskImage: Equatable, Sendable, Codable {
    /// The two formats that QEMU reads at full speed and that are checked here. The names are QEMU's.
    public enum Format: String, Sendable, Codable {
        /// QCOW2 version 2 or 3 without a backing file, data file or encryption.
        case qcow2
        /// The disk's bytes as they are, with a boot record in the first sector.
        case raw
    }

    /// The format to name to QEMU, which must never probe for itself.
    public let format: Format
    /// The size that the guest sees, in bytes; a multiple of 512.
    public let virtualSize: UInt64
    /// The file's length in bytes.
    public let fileSize: UInt64
    /// A QCOW2 that was not closed after writing with lazy reference counts. Its counts may be stale, its mapping is
    /// not: QEMU reads it correctly as long as it is opened read-only, which a base under an overlay always is.
    public let isDirty: Bool

    /// How many bytes from the start ``sniff(header:tail:fileSize:)`` looks at: far enough for ISO 9660's descriptor
    /// and for the first cluster of a QCOW2 with the usual cluster size.
    public static let headerLength = 65536
    /// How many bytes from the end it looks at: a VHD or DMG footer.
    public static let tailLength = 512

    /// Decides from the file's first bytes, its last ones and its length.
    ///
    /// - Parameters:
    ///   - header: the first ``headerLength`` bytes, fewer when the file is shorter.
    ///   - tail: the last ``tailLength`` bytes, fewer when the file is shorter.
    ///   - fileSize: in bytes.
    /// - Throws: ``Refusal`` for everything that is not a disk to boot from.
    public static func sniff(header: [UInt8], tail: [UInt8] = [], fileSize: UInt64) throws(Refusal) -> DiskImage {
        guard fileSize > 0, !header.isEmpty else { throw .empty }
        let view = ByteView(header)
        if view.has(Qcow2Header.magic, at: 0) {
            let qcow2 = try Qcow2Header(view, fileSize: fileSize)
            return DiskImage(
                format: .qcow2, virtualSize: qcow2.virtualSize, fileSize: fileSize, isDirty: qcow2.isDirty)
        }
        if let foreign = ForeignFormat.recognised(header: view, tail: ByteView(tail)) {
            throw .foreign(foreign.name, .init(foreign.remedy))
        }
        // Every PC firmware looks for this signature; a disk for UEFI alone has it in its protective MBR.
        guard view.has([0x55, 0xaa], at: 510) else { throw .noBootRecord }
        guard fileSize % 512 == 0 else { throw .unaligned(fileSize) }
        return DiskImage(format: .raw, virtualSize: fileSize, fileSize: fileSize, isDirty: false)
    }

    /// Reads what ``sniff(header:tail:fileSize:)`` needs from an open regular file. Blocks for two small reads.
    ///
    /// - Parameter name: what the file is called in messages.
    /// - Throws: ``DiskImageError/refused(_:_:)``, or ``DiskImageError/system(_:)`` when it cannot be read.
    public static func sniff(_ file: FileDescriptor, name: String) throws(DiskImageError) -> DiskImage {
        let size: UInt64
        let header: [UInt8]
        let tail: [UInt8]
        do throws(SystemError) {
            var information = stat()
            guard fstat(file.raw, &information) == 0 else { throw SystemError.last("fstat", escaped(name)) }
            size = UInt64(max(0, information.st_size))
            header = try file.read(upTo: headerLength, at: 0)
            tail = try file.read(upTo: tailLength, at: Int64(clamping: size - min(size, UInt64(tailLength))))
        } catch {
            throw .system(SystemError(error.operation, escaped(name), code: error.code))
        }
        do throws(Refusal) {
            return try sniff(header: header, tail: tail, fileSize: size)
        } catch {
            throw .refused(name, error)
        }
    }
}

extension DiskImage {
    /// Why a file is not a disk to boot from. The description is the second half of a sentence that begins with the
    /// file's name; what the file itself says stands in it escaped.
    public enum Refusal: Error, Equatable, Sendable, CustomStringConvertible {
        /// What would make a file of another format usable.
        public enum Remedy: Equatable, Sendable {
            /// `qemu-img convert -O qcow2`.
            case convert
            /// Unpack it, then look again.
            case unpack
            /// Nothing: it is no disk.
            case replace

            init(_ remedy: ForeignFormat.Remedy) {
                switch remedy {
                case .convert: self = .convert
                case .unpack: self = .unpack
                case .none: self = .replace
                }
            }
        }

        /// 0 bytes long.
        case empty
        /// A format that was recognised and is not accepted: its name and the remedy.
        case foreign(String, Remedy)
        /// Neither a QCOW2 nor any known format, and no boot signature at offset 510.
        case noBootRecord
        /// Raw, but its length, in bytes, is no multiple of 512.
        case unaligned(UInt64)
        /// A QCOW2 that ends before what its header points at.
        case truncated
        /// A QCOW2 over another file: the name, escaped, or nil when it lies outside of what was read.
        case backingFile(String?)
        /// A QCOW2 whose data is in another file: the name, escaped, or nil when the header does not say.
        case externalDataFile(String?)
        /// A QCOW2 with AES or LUKS encryption.
        case encrypted
        /// A QCOW2 that QEMU has marked as corrupt.
        case corrupt
        /// A QCOW2 that needs features unknown here: bit numbers of `incompatible_features`.
        case unknownFeatures([Int])
        /// A QCOW2 header field (by its name in QEMU's specification) with a value that cannot be right.
        case field(String, found: UInt64, accepted: String)

        /// What was found, what is accepted and what would help.
        public var description: String {
            switch self {
            case .empty:
                "is 0 bytes long; a QCOW2 or raw disk image is needed"
            case .foreign(let name, .convert):
                "is \(name); accepted are QCOW2 and raw: convert it with `qemu-img convert -O qcow2`"
            case .foreign(let name, .unpack):
                "is packed: \(name); accepted are QCOW2 and raw: unpack it while building the image "
                    + "(a layer is compressed anyway)"
            case .foreign(let name, .replace):
                "is no disk image but \(name); accepted are QCOW2 and raw"
            case .noBootRecord:
                "is neither QCOW2 nor a raw disk: the boot signature 55 aa is missing at offset 510, "
                    + "which a disk for UEFI has too, in its protective MBR"
            case .unaligned(let size):
                "is a raw disk of \(size) bytes; accepted are multiples of 512: it may be cut off"
            case .truncated:
                "is a QCOW2 that ends before its tables do: it is cut off, copy it again"
            case .backingFile(let name):
                "is a QCOW2 over a backing file (\(name.map { "\"\($0)\"" } ?? "its name is out of reach")), "
                    + "which is not followed: flatten it with `qemu-img convert -O qcow2`"
            case .externalDataFile(let name):
                "is a QCOW2 with an external data file (\(name.map { "\"\($0)\"" } ?? "not named")), "
                    + "which is not followed: put it into one file with `qemu-img convert -O qcow2`"
            case .encrypted:
                "is an encrypted QCOW2, and there is no key for it: convert it with `qemu-img convert -O qcow2`"
            case .corrupt:
                "is a QCOW2 that QEMU has marked as corrupt: repair it with `qemu-img check -r all` and look at the data"
            case .unknownFeatures(let bits):
                "is a QCOW2 that needs unknown features (incompatible_features bit "
                    + bits.map(String.init).joined(separator: ", ") + "); accepted are bits 0, 3 and 4: "
                    + "convert it with `qemu-img convert -O qcow2 -o compat=1.1`"
            case .field(let name, let found, let accepted):
                "is a QCOW2 whose \(name) is \(found); accepted are \(accepted)"
            }
        }
    }
}

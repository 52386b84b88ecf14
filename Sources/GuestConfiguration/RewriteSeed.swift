import Glibc
import LinuxSystem

extension CloudInitSeed {
    /// ISO 9660's logical blocks, at whose boundaries files begin.
    private static let block = 2048
    /// Largest image that is looked through: all files at their largest, and room to spare.
    private static let imageLimit = 16 << 20

    /// Writes a file of an image anew, in its place, while QEMU has the image open and a guest may have it mounted: the
    /// file's length, the other files and the image's directories stay as they are, so that whoever reads finds the file
    /// as it was or as it is. Blocks.
    ///
    /// A guest's kernel goes on showing what it has read before, until the volume is mounted again.
    ///
    /// - Parameters:
    ///   - old: what the image holds.
    ///   - text: what it shall hold; white space fills the rest.
    ///   - path: an image that ``writeImage(to:programs:)`` made.
    /// - Returns: what the image holds then.
    /// - Throws: ``GuestConfigurationError/noRoom(bytes:room:)``, ``GuestConfigurationError/otherImage(_:)`` or
    ///   ``GuestConfigurationError/system(_:)``; the image is as it was.
    public static func rewrite(
        _ old: [UInt8], as text: [UInt8], inImage path: String
    ) throws(GuestConfigurationError) -> [UInt8] {
        guard text.count <= old.count else { throw .noRoom(bytes: text.count, room: old.count) }
        let new = text + [UInt8](repeating: UInt8(ascii: " "), count: old.count - text.count)
        guard new != old else { return old }
        do throws(SystemError) {
            let image = try FileDescriptor.open(path, O_RDWR | O_NOFOLLOW)
            let bytes = try image.readToEnd(limit: imageLimit)
            let places = stride(from: 0, through: bytes.count - old.count, by: block)
            if let place = places.first(where: { bytes[$0..<$0 + old.count].elementsEqual(old) }) {
                try image.write(new, at: Int64(place))
                return new
            }
        } catch {
            throw .system(SystemError(error.operation, path, code: error.code))
        }
        throw .otherImage(path)
    }
}

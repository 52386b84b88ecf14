public import LinuxSystem

/// The disk of an image: the open file and what its header says.
public struct FoundDisk: Sendable {
    /// The file.
    public let file: ImageFile
    /// Its format and size.
    public let image: DiskImage
}

extension DiskImage {
    /// Finds the one disk of an image.
    ///
    /// Looked at are the regular files in `/disk/`, and when there is none of them, those in `/`. A file counts as a
    /// disk when its header is one's, or when it is named like one (`.qcow2`, `.img`, `.raw`), so that a broken disk
    /// is refused with its reason instead of being overlooked. A single file in `/disk/` counts whatever it is.
    ///
    /// - Parameters:
    ///   - root: the image's file system tree. Nothing outside of it is opened, whatever links are in it.
    ///   - explicit: the path in the image that the pod asks for; then nothing else is looked at.
    /// - Throws: ``DiskImageError/none``, ``DiskImageError/several(_:)``, ``DiskImageError/refused(_:_:)``, …
    public static func find(in root: FileDescriptor, explicit: String?) throws(DiskImageError) -> FoundDisk {
        let tree = ImageTree(root: root)
        if let explicit {
            let path = explicit.hasPrefix("/") ? explicit : "/" + explicit
            switch Result(catching: { () throws(SystemError) in try tree.look(path) }) {
            case .success(.file(let file)): return try found(file)
            case .success(.other): throw .notRegular(path)
            case .success(.nothing): throw .missing(path)
            case .failure(let error): throw .system(error)
            }
        }
        let inDisk = try tree.regularFiles(in: "/disk") { _ in true }
        let inRoot = inDisk.isEmpty ? try tree.regularFiles(in: "/") { _ in true } : []
        var disks = inDisk.count == 1 ? inDisk : []
        if inDisk.count != 1 {
            for file in inDisk + inRoot {
                let isDisk = isNamedLikeDisk(file.path) ? true : try hasDiskHeader(file)
                if isDisk { disks.append(file) }
            }
        }
        guard let disk = disks.first else { throw .none }
        guard disks.count == 1 else { throw .several(disks.map(\.path)) }
        return try found(disk)
    }

    private static func found(_ file: ImageFile) throws(DiskImageError) -> FoundDisk {
        FoundDisk(file: file, image: try sniff(file.file, name: file.path))
    }

    private static func isNamedLikeDisk(_ path: String) -> Bool {
        let name = (path.split(separator: "/").last ?? "").lowercased()
        // `/initrd.img` is the usual link of Debian's root file systems.
        if name.hasPrefix("initrd") || name.hasPrefix("initramfs") { return false }
        return [".qcow2", ".img", ".raw"].contains { name.hasSuffix($0) }
    }

    private static func hasDiskHeader(_ file: ImageFile) throws(DiskImageError) -> Bool {
        do throws(DiskImageError) {
            _ = try sniff(file.file, name: file.path)
            return true
        } catch {
            switch error {
            case .refused(_, .backingFile), .refused(_, .externalDataFile), .refused(_, .encrypted),
                .refused(_, .corrupt), .refused(_, .unknownFeatures), .refused(_, .field), .refused(_, .truncated),
                .refused(_, .foreign(_, .convert)):
                return true
            case .refused: return false
            default: throw error
            }
        }
    }
}

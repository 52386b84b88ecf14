public import LinuxSystem

/// What a machine boots from.
public enum BootSource: Sendable {
    /// The image's disk, by the guest's own boot loader.
    case disk(FoundDisk)
    /// The image's kernel, by QEMU.
    case kernel(KernelImage)

    /// Finds it in an image: the disk if there is one, else the kernel.
    ///
    /// - Parameter disk: the path that the pod asks for (annotation `slipway.dev/disk`).
    /// - Throws: ``DiskImageError``, with ``DiskImageError/none`` when there is neither.
    public static func find(in root: FileDescriptor, disk: String? = nil) throws(DiskImageError) -> BootSource {
        do throws(DiskImageError) {
            return .disk(try DiskImage.find(in: root, explicit: disk))
        } catch {
            guard case .none = error, let kernel = try KernelImage.find(in: root) else { throw error }
            return .kernel(kernel)
        }
    }
}

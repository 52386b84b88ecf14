import DiskImage
import DomainXML
import Glibc
import LinuxSystem
import MachinePlanning
import Sandbox
import StateDirectory

/// What the image boots, as it was found in the container's root file system.
struct BootMedium {
    /// The overlay's name in the container's writable layer.
    private static let overlayName = ".slipway-root.qcow2"

    private let source: BootSource

    /// Looks for a disk or a kernel in the image.
    init(_ tree: FileDescriptor, annotations: MachineAnnotations) throws {
        source = try BootSource.find(in: tree, disk: annotations.disk)
    }

    /// As the planner takes it.
    var request: BootRequest {
        switch source {
        case .disk(let disk):
            .disk(
                DiskSource(
                    path: disk.file.path, format: disk.image.format == .qcow2 ? .qcow2 : .raw,
                    virtualSize: disk.image.virtualSize))
        case .kernel(let image):
            .kernel(
                KernelSource(
                    kernel: image.kernel.path, initrd: image.initrd?.path,
                    commandLine: image.commandLine.isEmpty ? nil : image.commandLine))
        }
    }

    /// Whether QEMU's user can read what is booted by its path, so that nobody has to make it the owner.
    var isReadableByAll: Bool {
        switch source {
        case .disk: false
        case .kernel(let image): image.kernel.isReadableByAll && image.initrd?.isReadableByAll != false
        }
    }

    /// Where everything would be on the node.
    func previewPaths(_ directory: StateDirectory) -> MachinePaths {
        switch source {
        case .disk(let disk): OpenMedia(kernel: nil, initrd: nil, base: disk.file.path, files: [:]).paths(directory)
        case .kernel(let image):
            OpenMedia(
                kernel: directory.rootfs + image.kernel.path, initrd: image.initrd.map { directory.rootfs + $0.path },
                base: "", files: [:]
            ).paths(directory)
        }
    }

    /// Opens everything that QEMU needs of it; makes the overlay.
    func open(_ plan: MachinePlan, in tree: FileDescriptor) throws -> OpenMedia {
        switch source {
        case .kernel(let image):
            return OpenMedia(
                kernel: try image.kernel.hostPath(), initrd: try image.initrd?.hostPath(), base: "", files: [:])
        case .disk(let disk):
            let overlay: FileDescriptor
            do {
                overlay = try FileDescriptor.open(
                    Self.overlayName, in: tree, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            } catch {
                if error.code != EROFS { throw error }
                throw SandboxError(
                    .invalidArgument,
                    "rootfs: is mounted read-only; a machine's disk needs the container's writable layer")
            }
            try Overlay.write(to: overlay, virtualSize: plan.disks.first?.virtualSize ?? disk.image.virtualSize)
            return OpenMedia(
                kernel: nil, initrd: nil, base: disk.file.path,
                files: [DiskDescriptor.overlay: overlay, DiskDescriptor.base: disk.file.file])
        }
    }
}

/// The files that QEMU gets.
struct OpenMedia {
    let kernel: String?
    let initrd: String?
    let base: String
    let files: [String: FileDescriptor]

    func paths(_ directory: StateDirectory) -> MachinePaths {
        MachinePaths(
            serial: directory.serial, agent: "\(directory.path)/agent.sock", kernel: kernel, initrd: initrd,
            base: "\(directory.rootfs)\(base)", seed: directory.seed,
            overlay: "\(directory.rootfs)/.slipway-root.qcow2")
    }
}

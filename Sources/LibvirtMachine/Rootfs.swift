import Glibc
import LinuxSystem
import Sandbox

/// A container's root file system, mounted in the sandbox process's own mount namespace: it is never seen on the host,
/// and goes with the process however that ends.
struct Rootfs {
    let path: String

    /// Mounts what containerd asks for, in its order.
    ///
    /// - Throws: ``SandboxError`` that names the mount.
    init(_ mounts: [RootfsMount], at path: String) throws {
        self.path = path
        try File.makeDirectory(path, mode: 0o711)
        guard !mounts.isEmpty else {
            throw SandboxError(.invalidArgument, "Create: rootfs has no mounts; an image's file system is needed")
        }
        do {
            for mount in mounts { try Self.mount(mount, at: path) }
        } catch {
            unmount()
            throw error
        }
    }

    /// Nothing in it can be changed any more. libvirt makes QEMU's user the owner of a kernel and an initrd, which an
    /// overlay file system would answer with a copy of the whole file in the container's writable layer; it takes a
    /// read-only mount for what it is (virSecurityDACSetOwnershipInternal).
    ///
    /// - Throws: `SystemError`.
    func makeReadOnly() throws(SystemError) {
        let flags = Self.safe | Self.bind | Self.readOnly | UInt(MS_REMOUNT)
        guard Glibc.mount("none", path, nil, flags, nil) == 0 else { throw .last("remount read-only", path) }
    }

    /// Undoes it. Whoever still has files open keeps them.
    func unmount() {
        // One for each mount; lazily, because QEMU's own namespace may hold a copy for a moment longer.
        var count = 0
        while umount2(path, Int32(MNT_DETACH)) == 0 && count < 64 { count += 1 }
        _ = rmdir(path)
    }

    private static let readOnly = UInt(MS_RDONLY)
    private static let bind = UInt(MS_BIND)
    /// An image's files are only read here: devices and set-uid programs in it must mean nothing.
    private static let safe = UInt(MS_NODEV) | UInt(MS_NOSUID) | UInt(MS_NOEXEC)

    /// The options that are flags of mount(2): what they set and what they clear.
    private static func flag(_ option: String) -> (set: UInt, clear: UInt)? {
        switch option {
        case "ro": (readOnly, 0)
        case "rw": (0, readOnly)
        case "nosuid", "suid", "nodev", "dev", "noexec", "exec": (0, 0)
        case "noatime": (UInt(MS_NOATIME), 0)
        case "relatime": (UInt(MS_RELATIME), 0)
        case "bind": (bind, 0)
        case "rbind": (bind | UInt(MS_REC), 0)
        default: nil
        }
    }

    private static func mount(_ mount: RootfsMount, at root: String) throws {
        guard !mount.target.split(separator: "/").contains("..") else {
            throw SandboxError(.invalidArgument, "Create: rootfs: target \"\(mount.target)\" leads out of the root")
        }
        let target = mount.target.isEmpty ? root : "\(root)/\(mount.target)"
        var set = safe
        var data: [String] = []
        for option in mount.options {
            if let flag = flag(option) {
                set = (set | flag.set) & ~flag.clear
            } else {
                data.append(option)
            }
        }
        let isBind = set & bind != 0 || mount.type == "bind"
        if isBind { set |= bind }
        let text = data.joined(separator: ",")
        // The kernel takes one page of options; an image of very many layers goes beyond it.
        guard text.utf8.count < 4096 else {
            throw SandboxError(
                .invalidArgument,
                "Create: rootfs: \(mount.options.count) mount options have \(text.utf8.count) bytes; "
                    + "the kernel takes 4095: the image has too many layers")
        }
        guard Glibc.mount(mount.source, target, mount.type, set, isBind ? nil : text) == 0 else {
            throw SandboxError(
                .internalError, "rootfs: \(SystemError.last("mount \(mount.type)", mount.source).description)")
        }
        if isBind {
            let again = set | UInt(MS_REMOUNT)
            guard Glibc.mount("none", target, nil, again, nil) == 0 else {
                throw SandboxError(
                    .internalError, "rootfs: \(SystemError.last("remount", mount.source).description)")
            }
        }
    }
}

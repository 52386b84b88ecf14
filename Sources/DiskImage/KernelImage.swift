public import LinuxSystem

/// A kernel with its initrd and command line for QEMU's direct boot.
public struct KernelImage: Sendable {
    /// `/boot/vmlinuz*`; below 256 MiB.
    public let kernel: ImageFile
    /// The initrd of the same suffix, below 2 GiB; nil when the image has none.
    public let initrd: ImageFile?
    /// The one line of `/boot/cmdline`, printable ASCII, at most 2048 bytes; empty when there is no such file.
    public let commandLine: String

    /// The largest kernel in bytes, exclusive.
    public static let kernelLimit: UInt64 = 256 << 20
    /// The largest initrd in bytes, exclusive: the x86 boot protocol's default `initrd_addr_max` is just below 2 GiB.
    public static let initrdLimit: UInt64 = 2 << 30
    /// The longest command line in bytes: x86 Linux' COMMAND_LINE_SIZE.
    public static let commandLineLimit = 2048

    /// Finds the kernel of an image; nil when there is none.
    ///
    /// Of several kernels the one is taken that has an initrd of the same suffix (`vmlinuz-6.1.0` and
    /// `initrd.img-6.1.0` or `initramfs-6.1.0.img`). A single kernel also takes a single initrd of any suffix.
    ///
    /// - Parameter root: the image's file system tree. Nothing outside of it is opened.
    /// - Throws: ``DiskImageError/severalKernels(_:)``, ``DiskImageError/kernel(_:_:)``, …
    public static func find(in root: FileDescriptor) throws(DiskImageError) -> KernelImage? {
        let tree = ImageTree(root: root)
        let kernels = try tree.regularFiles(in: "/boot") { $0.hasPrefix("vmlinuz") }
        guard !kernels.isEmpty else { return nil }
        let initrds = try tree.regularFiles(in: "/boot") { $0.hasPrefix("initrd") || $0.hasPrefix("initramfs") }
        let pairs = kernels.flatMap { kernel in
            initrds.filter { suffix(ofInitrd: $0) == suffix(ofKernel: kernel) }.map { (kernel, $0) }
        }
        let kernel: ImageFile
        let initrd: ImageFile?
        switch (pairs.count, kernels.count, initrds.count) {
        case (1, _, _): (kernel, initrd) = pairs[0]
        case (0, 1, 0...1): (kernel, initrd) = (kernels[0], initrds.first)
        default: throw .severalKernels((kernels + initrds).map(\.path))
        }
        try check(kernel, initrd)
        return KernelImage(kernel: kernel, initrd: initrd, commandLine: try commandLine(tree))
    }

    private static func suffix(ofKernel file: ImageFile) -> Substring {
        file.path.dropFirst("/boot/vmlinuz".count)
    }

    private static func suffix(ofInitrd file: ImageFile) -> Substring {
        var rest = file.path.dropFirst(file.path.hasPrefix("/boot/initrd") ? 12 : 15)
        if rest.hasPrefix(".img") { rest = rest.dropFirst(4) }
        if rest.hasSuffix(".img") { rest = rest.dropLast(4) }
        return rest
    }

    private static func check(_ kernel: ImageFile, _ initrd: ImageFile?) throws(DiskImageError) {
        guard kernel.size < kernelLimit else {
            throw .kernel(kernel.path, "is \(kernel.size) bytes long; accepted are kernels below \(kernelLimit)")
        }
        let header: ByteView
        do throws(SystemError) {
            header = ByteView(try kernel.file.read(upTo: 0x240, at: 0))
        } catch {
            throw .system(SystemError(error.operation, kernel.path, code: error.code))
        }
        // x86 boot protocol, "HdrS" at 0x202; arm64 booting, "ARM\x64" at 56.
        guard header.has(Array("HdrS".utf8), at: 0x202) || header.has(Array("ARMd".utf8), at: 56) else {
            throw .kernel(
                kernel.path, "is no Linux kernel that can be booted directly; a bzImage or arm64 Image is needed")
        }
        if let initrd, initrd.size == 0 || initrd.size >= initrdLimit {
            throw .kernel(initrd.path, "is \(initrd.size) bytes long; accepted are initrds of 1 to \(initrdLimit - 1)")
        }
    }

    private static func commandLine(_ tree: ImageTree) throws(DiskImageError) -> String {
        let path = "/boot/cmdline"
        var bytes: [UInt8]
        do throws(SystemError) {
            guard let found = try tree.regularFile(path) else { return "" }
            bytes = try found.file.read(upTo: commandLineLimit + 2, at: 0)
        } catch {
            throw .system(SystemError(error.operation, path, code: error.code))
        }
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        guard bytes.count <= commandLineLimit else {
            throw .kernel(path, "is longer than \(commandLineLimit) bytes")
        }
        if let bad = bytes.firstIndex(where: { !(0x20..<0x7f).contains($0) }) {
            throw .kernel(
                path, "holds \"\(escaped([bytes[bad]]))\" at byte \(bad); accepted is one line of printable ASCII")
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

import DiskImage
import Glibc
import LinuxSystem
import Testing

@Suite struct FindTests {
    let tree: TemporaryTree
    let disk: [UInt8] = [UInt8](repeating: 0, count: 510) + [0x55, 0xaa]
    let kernel: [UInt8] = [UInt8](repeating: 0, count: 0x202) + Array("HdrS".utf8) + [UInt8](repeating: 0, count: 64)

    init() throws { tree = try TemporaryTree() }

    @Test func oneDisk() throws {
        #expect(throws: DiskImageError.none) { try DiskImage.find(in: tree.root, explicit: nil) }
        try tree.write("etc/passwd", Array("root".utf8))
        try tree.write("vendor", disk)
        #expect(try DiskImage.find(in: tree.root, explicit: nil).file.path == "/vendor")
        try tree.write("disk/.hidden.qcow2", disk)
        try tree.write("disk/vm", disk)
        let found = try DiskImage.find(in: tree.root, explicit: nil)
        #expect(found.file.path == "/disk/vm")
        #expect(found.image.format == .raw)
        #expect(try found.file.hostPath() == "\(tree.path)/disk/vm")
        try tree.write("disk/vm.sha256", Array("0123".utf8))
        try tree.link("disk/latest.img", to: "vm")
        #expect(try DiskImage.find(in: tree.root, explicit: nil).file.path == "/disk/latest.img")
        #expect(try DiskImage.find(in: tree.root, explicit: "vendor").file.path == "/vendor")
    }

    @Test func severalDisks() throws {
        try tree.write("disk/b\u{1b}.raw", [])
        try tree.write("disk/a.qcow2", disk)
        let error = #expect(throws: DiskImageError.several(["/disk/a.qcow2", "/disk/b\u{1b}.raw"])) {
            try DiskImage.find(in: tree.root, explicit: nil)
        }
        #expect(
            error?.description == """
                the image holds 2 disks ("/disk/a.qcow2", "/disk/b\\x1b.raw"); one is booted: \
                choose it with the annotation slipway.dev/disk
                """)
        #expect(throws: DiskImageError.refused("/disk/b\u{1b}.raw", .empty)) {
            try DiskImage.find(in: tree.root, explicit: "/disk/b\u{1b}.raw")
        }
        #expect(throws: DiskImageError.missing("/disk/c")) {
            try DiskImage.find(in: tree.root, explicit: "/disk/c")
        }
        #expect(throws: DiskImageError.notRegular("/disk")) { try DiskImage.find(in: tree.root, explicit: "/disk") }
    }

    @Test func hostileTree() throws {
        let outside = try TemporaryTree()
        try outside.write("secret.img", disk)
        try tree.link("disk", to: outside.path)
        try tree.link("a.img", to: "\(outside.path)/secret.img")
        try tree.link("b.img", to: "../../../../../../../..\(outside.path)/secret.img")
        try tree.link("c.img", to: "/proc/self/fd/0")
        try tree.link("loop.img", to: "loop.img")
        #expect(mkfifo("\(tree.path)/fifo.img", 0o600) == 0)
        #expect(mknod("\(tree.path)/null.img", S_IFCHR | 0o600, 1 << 8 | 3) == 0)
        #expect(mknod("\(tree.path)/watchdog.img", S_IFCHR | 0o600, 10 << 8 | 130) == 0)
        try File.makeDirectory("\(tree.path)/directory.img")
        #expect(throws: DiskImageError.none) { try DiskImage.find(in: tree.root, explicit: nil) }
        for name in ["fifo.img", "null.img", "directory.img"] {
            #expect(throws: DiskImageError.notRegular("/\(name)")) {
                try DiskImage.find(in: tree.root, explicit: name)
            }
        }
        for name in ["a.img", "b.img", "c.img", "loop.img", "x/../..\(outside.path)/secret.img", "a\0b"] {
            #expect(throws: DiskImageError.missing("/\(name)")) {
                try DiskImage.find(in: tree.root, explicit: name)
            }
        }
    }

    @Test func crowdedDirectory() throws {
        for number in 0..<4096 { try tree.write("disk/\(number)", []) }
        let error = #expect(throws: DiskImageError.self) { try DiskImage.find(in: tree.root, explicit: nil) }
        #expect(error == .tooManyEntries("/disk", limit: 4096))
    }

    @Test func kernels() throws {
        #expect(try KernelImage.find(in: tree.root) == nil)
        try tree.write("boot/vmlinuz-6.1.0", kernel)
        #expect(try KernelImage.find(in: tree.root)?.initrd == nil)
        try tree.write("boot/initramfs.img", [1])
        try tree.link("initrd.img", to: "boot/initramfs.img")
        try tree.link("vmlinuz", to: "boot/vmlinuz-6.1.0")
        try tree.write("boot/cmdline", Array("console=ttyS0 quiet\n".utf8))
        guard case .kernel(let found) = try BootSource.find(in: tree.root) else {
            Issue.record("the links in / were taken for disks")
            return
        }
        #expect(found.kernel.path == "/boot/vmlinuz-6.1.0")
        #expect(found.initrd?.path == "/boot/initramfs.img")
        #expect(found.commandLine == "console=ttyS0 quiet")
        try tree.write("boot/vmlinuz-6.10.0", kernel)
        #expect(throws: DiskImageError.self) { try KernelImage.find(in: tree.root) }
        try tree.write("boot/initramfs-6.10.0.img", [1])
        let chosen = try KernelImage.find(in: tree.root)
        #expect(chosen?.kernel.path == "/boot/vmlinuz-6.10.0")
        #expect(chosen?.initrd?.path == "/boot/initramfs-6.10.0.img")
        try tree.write("boot/initrd.img-6.1.0", [1])
        let error = #expect(throws: DiskImageError.self) { try KernelImage.find(in: tree.root) }
        #expect(error?.description.contains("\"/boot/vmlinuz-6.1.0\", \"/boot/vmlinuz-6.10.0\"") == true)
    }

    @Test func badKernels() throws {
        try tree.write("boot/vmlinuz", disk)
        func reason() -> String {
            do throws(DiskImageError) {
                _ = try KernelImage.find(in: tree.root)
                return "accepted"
            } catch { return error.description }
        }
        #expect(reason().contains("\"/boot/vmlinuz\" is no Linux kernel"))
        try tree.write("boot/vmlinuz", kernel)
        for (line, expected) in [
            ("a\nb", "holds \"\\x0a\" at byte 1"), ("a\u{e9}", "holds \"\\xc3\" at byte 1"),
            (String(repeating: "x", count: 2049), "is longer than 2048 bytes"),
        ] {
            try tree.write("boot/cmdline", Array(line.utf8))
            #expect(reason().contains("\"/boot/cmdline\" \(expected)"))
        }
        try tree.write("boot/cmdline", Array(String(repeating: "x", count: 2048).utf8) + [10])
        try tree.write("boot/initrd", [])
        #expect(reason().contains("\"/boot/initrd\" is 0 bytes long"))
        try tree.write("boot/initrd", [1])
        #expect(reason() == "accepted")
        #expect(truncate("\(tree.path)/boot/vmlinuz", off_t(KernelImage.kernelLimit)) == 0)
        #expect(reason().contains("\"/boot/vmlinuz\" is 268435456 bytes long"))
    }
}

import DiskImage
import Glibc
import LinuxSystem
import Testing

/// What is written and what is believed here, against QEMU's own tools.
@Suite struct QemuTests {
    let tree: TemporaryTree
    let qemuImg = "/usr/bin/qemu-img"

    init() throws { tree = try TemporaryTree() }

    @Test(arguments: [512, 1 << 20, (512 << 20) + 512, 10 << 30, (4 << 40) + 512, 100 << 40] as [UInt64])
    func overlayIsClean(size: UInt64) throws {
        let path = "\(tree.path)/overlay.qcow2"
        try Overlay.create(at: path, virtualSize: size)
        #expect(try run(qemuImg, "check", path).contains("No errors were found"))
        let information = try run(qemuImg, "info", "--output=json", path)
        #expect(information.contains("\"virtual-size\": \(size),"))
        #expect(!information.contains("backing"))
        let image = try DiskImage.sniff(FileDescriptor.open(path, O_RDONLY), name: path)
        #expect(image.virtualSize == size)
    }

    @Test func overlayRefusesBadSizes() throws {
        for size in [0, 511, 513, Overlay.largestSize + 512, UInt64.max] {
            let path = "\(tree.path)/bad"
            let error = #expect(throws: SystemError.self) { try Overlay.create(at: path, virtualSize: size) }
            #expect(error?.code == EINVAL)
            #expect(!File.exists(path))
        }
        try tree.link("dangling", to: "/tmp/slipway-disk-never")
        let error = #expect(throws: SystemError.self) {
            try Overlay.create(at: "\(tree.path)/dangling", virtualSize: 512)
        }
        #expect(error?.code == EEXIST)
    }

    /// Through a backing node named by the caller: reads fall through, writes stay in the overlay.
    @Test func overlayOverBase() throws {
        let base = "\(tree.path)/base.raw"
        let overlay = "\(tree.path)/overlay.qcow2"
        try tree.write("base.raw", [UInt8](repeating: 0xab, count: 3 << 20))
        try Overlay.create(at: overlay, virtualSize: 3 << 20)
        let chain = """
            json:{"driver":"qcow2","file":{"driver":"file","filename":"\(overlay)"},\
            "backing":{"driver":"raw","read-only":true,"file":{"driver":"file","filename":"\(base)","read-only":true}}}
            """
        let output = try run(
            "/usr/bin/qemu-io", "-c", "read -P 0xab 0 3M", "-c", "write -P 0xcd 65k 3k", "-c", "read -P 0xab 0 65k",
            "-c", "read -P 0xcd 65k 3k", "-c", "read -P 0xab 68k 1M", chain)
        #expect(!output.contains("failed") && !output.contains("error"), "\(output)")
        #expect(try File.read(base, limit: 4 << 20).allSatisfy { $0 == 0xab })
        #expect(try run(qemuImg, "check", overlay).contains("No errors were found"))
    }

    @Test(arguments: [
        ["-o", "compat=0.10"], ["-o", "compat=1.1"], ["-o", "cluster_size=2M"], ["-o", "cluster_size=512"],
        ["-o", "extended_l2=on"], ["-o", "compression_type=zstd"], ["-o", "lazy_refcounts=on"],
        ["-o", "refcount_bits=1"],
    ])
    func qemuImagesAreAccepted(options: [String]) throws {
        let path = "\(tree.path)/image.qcow2"
        let (status, output) = try Spawn(qemuImg, ["create", "-q", "-f", "qcow2"] + options + [path, "3G"]).run()
        #expect(status == .exited(0), "\(output)")
        let image = try DiskImage.sniff(FileDescriptor.open(path, O_RDONLY), name: path)
        #expect(image.format == .qcow2)
        #expect(image.virtualSize == 3 << 30)
    }

    @Test func qemuImagesAreRefused() throws {
        func refusal(_ name: String) throws -> DiskImage.Refusal? {
            let file = try FileDescriptor.open("\(tree.path)/\(name)", O_RDONLY)
            do throws(DiskImageError) {
                _ = try DiskImage.sniff(file, name: name)
                return nil
            } catch {
                guard case .refused(_, let refusal) = error else { return nil }
                return refusal
            }
        }
        func create(_ name: String, _ arguments: String...) throws {
            var (status, output) = try Spawn(qemuImg, ["create", "-q"] + arguments).run()
            // qemu-img times a few milliseconds of hashing for a key, and gives up where the kernel's clock of CPU time,
            // which may go in steps of 4 ms, did not move.
            for _ in 0..<50 where output.contains("Unable to get accurate CPU usage") {
                (status, output) = try Spawn(qemuImg, ["create", "-q"] + arguments).run()
            }
            #expect(status == .exited(0), "\(name): \(output)")
        }
        let path = tree.path
        try create("base", "-f", "qcow2", "\(path)/base", "1M")
        try create("over", "-f", "qcow2", "-b", "\(path)/base", "-F", "qcow2", "\(path)/over")
        #expect(try refusal("over") == .backingFile("\(path)/base"))
        try create("data", "-f", "qcow2", "-o", "data_file=\(path)/data.raw", "\(path)/data", "1M")
        #expect(try refusal("data") == .externalDataFile("\(path)/data.raw"))
        try create(
            "luks", "--object", "secret,id=s,data=x", "-f", "qcow2", "-o",
            "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", "\(path)/luks", "1M")
        #expect(try refusal("luks") == .encrypted)
        for format in ["vmdk", "vhdx", "vdi", "vpc", "qed", "qcow"] {
            try create(format, "-f", format, "\(path)/\(format)", "64M")
            guard case .foreign(_, .convert) = try refusal(format) else {
                Issue.record("\(format): \(String(describing: try refusal(format)))")
                continue
            }
        }
        try create("fixed", "-f", "vpc", "-o", "subformat=fixed", "\(path)/fixed", "64M")
        #expect(try refusal("fixed") == .foreign("VHD (fixed size)", .convert))
    }

    /// QEMU reads a dirty image as long as it is opened read-only, and does not change it.
    @Test func dirtyBaseIsReadable() throws {
        let path = "\(tree.path)/dirty.qcow2"
        _ = try run(qemuImg, "create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", path, "1M")
        _ = try run("/usr/bin/qemu-io", "-c", "write -P 0x5a 0 64k", path)
        let file = try FileDescriptor.open(path, O_RDWR)
        let written = pwrite(file.raw, [0, 0, 0, 0, 0, 0, 0, 1] as [UInt8], 8, 72)
        #expect(written == 8)
        #expect(try DiskImage.sniff(file, name: path).isDirty)
        let output = try run("/usr/bin/qemu-io", "-r", "-c", "read -P 0x5a 0 64k", path)
        #expect(output.contains("read 65536/65536"), "\(output)")
        #expect(try DiskImage.sniff(file, name: path).isDirty)
    }
}

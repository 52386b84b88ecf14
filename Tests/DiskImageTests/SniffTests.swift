import DiskImage
import Testing

@Suite struct SniffTests {
    @Test(arguments: [2, 3] as [UInt32])
    func qcow2(version: UInt32) throws {
        let image = try Qcow2Bytes(version: version).sniff().get()
        #expect(image.format == .qcow2)
        #expect(image.virtualSize == 1 << 30)
        #expect(!image.isDirty)
    }

    @Test func acceptedFeatures() throws {
        #expect(try Qcow2Bytes().with { $0.put64(1, 72) }.sniff().get().isDirty)
        let zstd = Qcow2Bytes().with {
            $0.put64(1 << 3, 72)
            $0.put32(112, 100)
            $0.bytes[104] = 1
        }
        #expect(try zstd.sniff().get().virtualSize == 1 << 30)
        let extended = Qcow2Bytes().with {
            $0.put64(1 << 4, 72)
            $0.put32(4, 36)
        }
        #expect(try extended.sniff().get().format == .qcow2)
    }

    @Test func refusedQcow2() {
        let refusals: [(Qcow2Bytes, DiskImage.Refusal)] = [
            (
                Qcow2Bytes().with {
                    $0.put64(512, 8)
                    $0.put32(13, 16)
                    $0.bytes.replaceSubrange(512..<525, with: Array("/etc/sh\u{1b}dow\"\n".utf8))
                }, .backingFile("/etc/sh\\x1bdow\\\"\\x0a")
            ),
            (
                Qcow2Bytes().with {
                    $0.put64(.max, 8)
                    $0.put32(.max, 16)
                }, .backingFile(nil)
            ),
            (Qcow2Bytes(version: 2).with { $0.put64(600, 8) }, .backingFile("")),
            (Qcow2Bytes().with { $0.put64(1 << 2, 72) }, .externalDataFile(nil)),
            (
                Qcow2Bytes().with {
                    $0.put32(0x4441_5441, 104)
                    $0.put32(4, 108)
                    $0.bytes.replaceSubrange(112..<116, with: Array("/raw".utf8))
                }, .externalDataFile("/raw")
            ),
            (
                Qcow2Bytes(version: 2).with {
                    $0.put32(0x6803_f857, 72)
                    $0.put32(3, 76)
                    $0.put32(0x4441_5441, 88)
                    $0.put32(.max, 92)
                }, .externalDataFile("")
            ),
            (Qcow2Bytes().with { $0.put64(1 << 1, 72) }, .corrupt),
            (Qcow2Bytes().with { $0.put64(1 << 5 | 1 << 63, 72) }, .unknownFeatures([5, 63])),
            (Qcow2Bytes().with { $0.put32(1, 32) }, .encrypted),
            (Qcow2Bytes().with { $0.put32(2, 32) }, .encrypted),
            (Qcow2Bytes().with { $0.put32(1, 4) }, .foreign("QCOW version 1", .convert)),
            (Qcow2Bytes().with { $0.put32(4, 4) }, .field("version", found: 4, accepted: "2 and 3")),
            (Qcow2Bytes().with { $0.put32(8, 20) }, .field("cluster_bits", found: 8, accepted: "9 to 21")),
            (
                Qcow2Bytes().with { $0.put32(.max, 20) },
                .field("cluster_bits", found: 4_294_967_295, accepted: "9 to 21")
            ),
            (Qcow2Bytes().with { $0.fileSize = 3 << 16 }, .truncated),
            (Qcow2Bytes().with { $0.bytes.removeLast(4096 - 60) }, .truncated),
            (Qcow2Bytes().with { $0.put64(.max << 16, 40) }, .truncated),
        ]
        for (header, expected) in refusals {
            #expect(header.sniff() == .failure(expected))
        }
        for (offset, value) in [(24, 0), (24, 513), (24, UInt64.max), (40, 0), (40, 5), (48, 0), (48, 1)] {
            guard case .failure(.field) = Qcow2Bytes().with({ $0.put64(value, offset) }).sniff() else {
                Issue.record("\(value) at \(offset) was accepted")
                continue
            }
        }
        for (offset, value) in [(36, 0), (36, 1), (36, UInt32.max), (96, 7), (100, 0), (100, .max)] {
            guard case .failure(.field) = Qcow2Bytes().with({ $0.put32(value, offset) }).sniff() else {
                Issue.record("\(value) at \(offset) was accepted")
                continue
            }
        }
    }

    @Test func raw() throws {
        var disk = [UInt8](repeating: 0, count: 1024)
        #expect(throws: DiskImage.Refusal.noBootRecord) { try DiskImage.sniff(header: disk, fileSize: 1024) }
        disk[510] = 0x55
        disk[511] = 0xaa
        let image = try DiskImage.sniff(header: disk, fileSize: 1 << 40)
        #expect(image.format == .raw)
        #expect(image.virtualSize == 1 << 40)
        #expect(throws: DiskImage.Refusal.unaligned(1025)) { try DiskImage.sniff(header: disk, fileSize: 1025) }
        #expect(throws: DiskImage.Refusal.empty) { try DiskImage.sniff(header: [], fileSize: 0) }
        #expect(throws: DiskImage.Refusal.noBootRecord) { try DiskImage.sniff(header: [7], fileSize: 1) }
        #expect(throws: DiskImage.Refusal.foreign("VHD (fixed size)", .convert)) {
            try DiskImage.sniff(header: disk, tail: Array("conectix".utf8), fileSize: 1024)
        }
    }

    @Test func foreign() {
        func name(_ magic: [UInt8], at offset: Int = 0, boot: Bool = true) -> String? {
            var bytes = [UInt8](repeating: 0, count: 40000)
            if boot { bytes.replaceSubrange(510..<512, with: [0x55, 0xaa]) }
            bytes.replaceSubrange(offset..<(offset + magic.count), with: magic)
            do throws(DiskImage.Refusal) {
                _ = try DiskImage.sniff(header: bytes, fileSize: 40960)
                return nil
            } catch {
                guard case .foreign(let name, _) = error else { return nil }
                return name
            }
        }
        #expect(name(Array("KDMV".utf8)) == "VMDK")
        #expect(name(Array("vhdxfile".utf8)) == "VHDX")
        #expect(name([0x7f, 0x10, 0xda, 0xbe], at: 64) == "VDI")
        #expect(name(Array("QED\0".utf8)) == "QED")
        #expect(name([0x1f, 0x8b, 8]) == "gzip")
        #expect(name([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]) == "xz")
        #expect(name([0x28, 0xb5, 0x2f, 0xfd]) == "zstd")
        #expect(name([0x7f, 0x45, 0x4c, 0x46]) == "ELF")
        #expect(name(Array("LUKS".utf8) + [0xba, 0xbe]) == "LUKS (encrypted)")
        #expect(name(Array("HdrS".utf8), at: 0x202) == "Linux kernel")
        #expect(name(Array("CD001".utf8), at: 32769, boot: false)?.hasPrefix("ISO 9660") == true)
        #expect(name(Array("CD001".utf8), at: 32769) == nil, "a hybrid ISO boots as a disk")
    }

    /// What is accepted stays within bounds; what is refused has a sentence; nothing traps.
    @Test(arguments: 0..<16)
    func anyBytes(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        let interesting: [UInt8] = [0, 1, 0x7f, 0x80, 0xff]
        for _ in 0..<1500 {
            var header = Qcow2Bytes(version: Bool.random(using: &random) ? 3 : 2)
            for _ in 0..<Int.random(in: 0...12, using: &random) {
                let offset = Int.random(in: 4..<160, using: &random)
                let value =
                    Bool.random(using: &random)
                    ? interesting[Int.random(in: 0..<5, using: &random)] : UInt8.random(in: 0...255, using: &random)
                let width = [1, 4, 8][Int.random(in: 0..<3, using: &random)]
                header.bytes.replaceSubrange(
                    offset..<(offset + width), with: [UInt8](repeating: value, count: width))
            }
            if Int.random(in: 0..<4, using: &random) == 0 {
                header.bytes.removeLast(Int.random(in: 0...4096, using: &random))
            }
            if Int.random(in: 0..<4, using: &random) == 0 { header.fileSize = random.next() }
            if Int.random(in: 0..<8, using: &random) == 0 {
                header.bytes = (0..<Int.random(in: 0...600, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
            }
            switch header.sniff() {
            case .success(let image):
                #expect(image.virtualSize > 0 && image.virtualSize % 512 == 0)
                #expect(image.fileSize == header.fileSize)
            case .failure(let refusal):
                #expect(refusal.description.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f })
            }
        }
    }
}

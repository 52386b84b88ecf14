import MachinePlanning
import Testing

@Suite struct AnnotationsTests {
    private func parse(_ name: String, _ value: String) throws(PlanRefusal) -> MachineAnnotations {
        try MachineAnnotations(["slipway.dev/\(name)": value, "example.com/other": "x"])
    }

    private func refusal(_ name: String, _ value: String) -> String? {
        do throws(PlanRefusal) {
            _ = try parse(name, value)
            return nil
        } catch {
            return error.description
        }
    }

    @Test func accepted() throws {
        #expect(try MachineAnnotations(["example.com/disk": "x", "slipway.devious": "y"]) == MachineAnnotations())
        #expect(try parse("disk", "/disk/a b.qcow2").disk == "/disk/a b.qcow2")
        #expect(try parse("kernel-arguments", "console=ttyS0 'a b'").kernelArguments == "console=ttyS0 'a b'")
        #expect(try parse("kernel-arguments", "").kernelArguments == "")
        #expect(try parse("cloud-init", "none").cloudInit == .none)
        #expect(try parse("cloud-init", "nocloud").cloudInit == .nocloud)
        #expect(try parse("hot-nics", "0").hotNICs == 0)
        #expect(try parse("shared-memory", "true").sharedMemory)
        #expect(try parse("cloud-init", "configdrive").cloudInit == .configdrive)
        for (text, size) in [("20Gi", 20 << 30), ("512", 512), ("513", 1024), ("1Pi", 1 << 50), ("3Ki", 3072)]
            as [(String, UInt64)]
        {
            #expect(try parse("disk-size", text).diskSize == size, "\(text)")
        }
    }

    @Test(arguments: [
        ("disk", "relative", "is \"relative\"; an absolute path in the image is accepted"),
        ("disk", "", "is \"\"; an absolute path in the image is accepted"),
        ("disk", "/a\u{0}b", "is \"/a\u{0}b\"; an absolute path in the image is accepted"),
        ("disk-size", "20G", "is \"20G\"; a size such as 20Gi, up to 1Pi, is accepted"),
        ("disk-size", "0", "is \"0\"; a size such as 20Gi, up to 1Pi, is accepted"),
        ("disk-size", "-1Gi", "is \"-1Gi\"; a size such as 20Gi, up to 1Pi, is accepted"),
        ("disk-size", "1025Ti", "is \"1025Ti\"; a size such as 20Gi, up to 1Pi, is accepted"),
        (
            "disk-size", "18446744073709551615Pi",
            "is \"18446744073709551615Pi\"; a size such as 20Gi, up to 1Pi, is accepted"
        ),
        ("kernel-arguments", "a\nb", "up to 2047 printable ASCII characters are accepted"),
        ("kernel-arguments", "ä", "up to 2047 printable ASCII characters are accepted"),
        ("emulator-threads", "isolated", "is \"isolated\"; share or isolate is accepted"),
        ("numa-policy", "", "is \"\"; strict or preferred is accepted"),
        ("realtime", "yes", "is \"yes\"; true or false is accepted"),
        ("lock-memory", "1", "is \"1\"; true or false is accepted"),
        ("max-cpus", "0", "is \"0\"; a number from 1 to 255 is accepted"),
        ("max-cpus", "256", "is \"256\"; a number from 1 to 255 is accepted"),
        ("max-memory", "lots", "is \"lots\"; a size such as 8Gi, up to 1Pi, is accepted"),
        ("hot-nics", "17", "is \"17\"; a number from 0 to 16 is accepted"),
        ("hot-nics", "-1", "is \"-1\"; a number from 0 to 16 is accepted"),
        ("shared-memory", "on", "is \"on\"; true or false is accepted"),
        ("cloud-init", "NoCloud", "is \"NoCloud\"; nocloud, configdrive or none is accepted"),
        (
            "disksize", "1",
            "is not known; known are slipway.dev/cloud-init, slipway.dev/disk, slipway.dev/disk-size, "
                + "slipway.dev/emulator-threads, slipway.dev/hot-nics, slipway.dev/interfaces, "
                + "slipway.dev/kernel-arguments, slipway.dev/lock-memory, slipway.dev/max-cpus, "
                + "slipway.dev/max-memory, slipway.dev/numa-policy, slipway.dev/realtime, slipway.dev/shared-memory"
        ),
        (
            "", "1",
            "is not known; known are slipway.dev/cloud-init, slipway.dev/disk, slipway.dev/disk-size, "
                + "slipway.dev/emulator-threads, slipway.dev/hot-nics, slipway.dev/interfaces, "
                + "slipway.dev/kernel-arguments, slipway.dev/lock-memory, slipway.dev/max-cpus, "
                + "slipway.dev/max-memory, slipway.dev/numa-policy, slipway.dev/realtime, slipway.dev/shared-memory"
        ),
    ])
    func refused(name: String, value: String, problem: String) {
        #expect(refusal(name, value) == "slipway.dev/\(name): \(problem)")
    }

    @Test func theLongestCommandLine() throws {
        #expect(refusal("kernel-arguments", String(repeating: "x", count: 2047)) == nil)
        #expect(refusal("kernel-arguments", String(repeating: "x", count: 2048)) != nil)
    }

    @Test func theAdministratorsWord() {
        #expect {
            _ = try MachineAnnotations(["slipway.dev/cloud-init": "none"]) { $0 != "cloud-init" }
        } throws: { error in
            "\(error)"
                == "slipway.dev/cloud-init: is not allowed to pods of this namespace by this node's Slipway configuration"
        }
        #expect(throws: Never.self) { try MachineAnnotations(["slipway.dev/disk": "/d"]) { $0 == "disk" } }
    }

    @Test func sizesAreWrittenAndReadAlike() {
        for (bytes, text) in [
            (0, "0 B"), (1, "1 B"), (1024, "1 KiB"), (1536, "1536 B"), (512 << 20, "512 MiB"), (3 << 40, "3 TiB"),
        ]
            as [(UInt64, String)]
        {
            #expect(ByteCount.text(bytes) == text)
        }
        #expect(ByteCount.parse("16384Pi") == nil && ByteCount.parse("Gi") == nil && ByteCount.parse("1 Gi") == nil)
        #expect(ByteCount.parse("+5") == nil, "a sign is no part of a size")
    }
}

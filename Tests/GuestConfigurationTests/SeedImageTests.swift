import Glibc
import GuestConfiguration
import LinuxSystem
import Testing

@Suite struct SeedImageTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// Both programs; names by Rock Ridge and Joliet, content byte by byte, the label that cloud-init looks for.
    @Test(arguments: ["/usr/bin/genisoimage", "/usr/bin/xorrisofs"], SeedKind.allCases)
    func readable(program: String, kind: SeedKind) throws {
        let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let seed = try CloudInitSeed(kind, identity: identity, network: network, overrides: [.userData: bytes])
        let path = "\(directory.path)/seed.iso"
        try directory.write("seed.iso", [1, 2, 3])
        try directory.write("seed.iso.files/left-over", [1])
        try seed.writeImage(to: path, programs: ["/nonexistent", program])
        #expect(!File.exists(path + ".files"))
        #expect(try run("/usr/bin/stat", "-c", "%a", path) == "600\n")
        #expect(try run("/usr/sbin/blkid", "-o", "value", "-s", "LABEL", path).lowercased() == kind.label + "\n")
        let paths = CloudInitSeed.File.allCases.map { "/" + kind.directory + kind.name($0) }
        for names in ["-R", "-J"] {
            let list = try run("/usr/bin/isoinfo", names, "-f", "-i", path)
            #expect(
                Set(list.split(separator: "\n").map(String.init))
                    == Set(paths + (kind == .noCloud ? [] : ["/openstack", "/openstack/latest"])), "\(list)")
        }
        for (file, name) in zip(CloudInitSeed.File.allCases, paths) {
            let out = "\(directory.path)/\(kind.name(file))"
            try run("/usr/bin/xorriso", "-osirrox", "on", "-indev", path, "-extract", name, out)
            #expect(try File.read(out) == seed.files[file])
        }
    }

    /// A NIC comes, and others leave: the two files that tell of NICs change in their places, and nothing else does.
    @Test(arguments: SeedKind.allCases) func rewrittenInPlace(kind: SeedKind) throws {
        func seed(_ network: GuestNetwork, room: Int = 0) throws -> CloudInitSeed {
            try CloudInitSeed(kind, identity: identity, network: network, environment: ["A=b"], room: room)
        }
        var larger = network
        larger.interfaces.append(.init(name: "net9", mac: "02:00:00:00:00:09", addresses: ["10.9.0.5/24"]))
        let path = "\(directory.path)/seed.iso"
        let first = try seed(network, room: 1000)
        try first.writeImage(to: path)
        let before = try File.read(path)
        // As QEMU has it.
        let open = try FileDescriptor.open(path, O_RDONLY)
        var told = first.files
        for next in [larger, GuestNetwork(interfaces: []), network] {
            for file in CloudInitSeed.networkFiles {
                let text = try #require(try seed(next).files[file])
                let written = try CloudInitSeed.rewrite(try #require(told[file]), as: text, inImage: path)
                told[file] = written
                #expect(written.starts(with: text) && written.count == first.files[file]?.count)
                #expect(written.dropFirst(text.count).allSatisfy { $0 == UInt8(ascii: " ") })
            }
            for file in CloudInitSeed.File.allCases {
                let out = "\(directory.path)/out"
                try run(
                    "/usr/bin/xorriso", "-osirrox", "on", "-indev", path, "-extract",
                    "/" + kind.directory + kind.name(file), out)
                #expect(try File.read(out) == told[file])
                try File.remove(out)
            }
        }
        let after = try open.readToEnd(limit: 1 << 20)
        #expect(after == before, "as it was at first")

        let room = try #require(told[.metaData])
        let long = [UInt8](repeating: 0x61, count: room.count + 1)
        #expect(throws: GuestConfigurationError.noRoom(bytes: long.count, room: room.count)) {
            try CloudInitSeed.rewrite(room, as: long, inImage: path)
        }
        #expect(throws: GuestConfigurationError.otherImage(path)) {
            try CloudInitSeed.rewrite(long, as: room, inImage: path)
        }
    }

    @Test func failures() throws {
        let seed = try CloudInitSeed(identity: identity, network: network)
        #expect(throws: GuestConfigurationError.noImageProgram(["/nonexistent"])) {
            try seed.writeImage(to: "\(directory.path)/seed.iso", programs: ["/nonexistent"])
        }
        let error = #expect(throws: GuestConfigurationError.self) {
            try seed.writeImage(to: "\(directory.path)/seed.iso", programs: ["/bin/false"])
        }
        guard case .imageProgram("/bin/false", _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(try File.list(directory.path).isEmpty)
    }
}

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

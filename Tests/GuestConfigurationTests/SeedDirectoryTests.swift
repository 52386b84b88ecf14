import Glibc
import GuestConfiguration
import LinuxSystem
import Testing

@Suite struct SeedDirectoryTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func failure(_ kind: SeedKind = .noCloud) throws -> GuestConfigurationError? {
        let opened = try directory.open()
        do throws(GuestConfigurationError) {
            _ = try CloudInitSeed.overrides(in: opened, for: kind)
            return nil
        } catch {
            return error
        }
    }

    @Test func configMap() throws {
        try directory.write("..2026_01_01/user-data", Array("#!/bin/sh\n".utf8))
        try directory.write("..2026_01_01/other", [])
        try directory.link("..data", to: "..2026_01_01")
        try directory.link("user-data", to: "..data/user-data")
        try directory.link("other", to: "..data/other")
        let files = try CloudInitSeed.overrides(in: directory.open())
        #expect(files == [.userData: Array("#!/bin/sh\n".utf8)])
    }

    @Test func bothKinds() throws {
        for name in ["user-data", "network-config", "network_data.json", "user_data"] {
            try directory.write(name, name.utf8)
        }
        let opened = try directory.open()
        #expect(
            try CloudInitSeed.overrides(in: opened, for: .configDrive)
                == [.userData: Array("user_data".utf8), .networkConfig: Array("network_data.json".utf8)])
        #expect(
            try CloudInitSeed.overrides(in: opened)
                == [.userData: Array("user-data".utf8), .networkConfig: Array("network-config".utf8)])
    }

    @Test func theOtherKind() throws {
        try directory.write("user-data", [1])
        #expect(try CloudInitSeed.overrides(in: directory.open(), for: .configDrive) == [.userData: [1]])
        try directory.write("meta-data", [1])
        #expect(
            try failure(.configDrive)
                == .seedFile(
                    "meta-data", reason: "is no file of a configdrive seed, where meta_data.json is accepted"))
        #expect(try failure(.noCloud) == nil)
    }

    @Test func linksOutside() throws {
        try directory.link("user-data", to: "/etc/passwd")
        #expect(
            try failure()
                == .seedFile("user-data", reason: "is a link that leads nowhere in its own volume"))
    }

    @Test func loop() throws {
        try directory.link("vendor-data", to: "vendor-data")
        #expect(try failure()?.description.contains("vendor-data is a link") == true)
    }

    @Test func noRegularFile() throws {
        #expect(mkfifo("\(directory.path)/meta-data", 0o600) == 0)
        #expect(try failure() == .seedFile("meta-data", reason: "is no regular file"))
    }

    @Test func size() throws {
        try directory.write("network-config", [UInt8](repeating: 10, count: CloudInitSeed.fileLimit))
        #expect(try failure() == nil)
        try directory.write("network-config", [UInt8](repeating: 10, count: CloudInitSeed.fileLimit + 1))
        #expect(try failure() == .seedFile("network-config", reason: "is longer than 1048576 bytes"))
    }
}

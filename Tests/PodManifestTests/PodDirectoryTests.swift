import FoundationEssentials
import LinuxSystem
import Testing

@testable import PodManifest

@Suite struct PodDirectoryTests {
    @Test func makesAndRemovesEveryKind() throws {
        let root = "/tmp/slipway-pod-directory-\(UUID().uuidString)"
        let directory = PodDirectory(root)
        defer { try? directory.remove() }
        let files = PodVolume(
            name: "seed", path: "\(root)/volumes/kubernetes.io~configmap/seed",
            content: .files([
                .init(path: "user-data", mode: 0o640, data: Data("a".utf8)),
                .init(path: "deep/er/file", mode: 0o400, data: Data("b".utf8)),
            ]))
        let memory = PodVolume(name: "m", path: "\(root)/volumes/m", content: .memory(limit: 1 << 20))
        try directory.make([
            files, memory, PodVolume(name: "d", path: "\(root)/volumes/d", content: .directory),
            PodVolume(name: "h", path: "\(root)/host/made", content: .hostPath(.directoryOrCreate)),
        ])
        #expect(try File.list(files.path) == ["..data", "..version_1", "deep", "user-data"])
        #expect(try File.text("\(files.path)/user-data") == "a")
        #expect(try File.text("\(files.path)/deep/er/file") == "b")
        #expect(try mode("\(files.path)/user-data") == 0o640)
        #expect(try mode("\(root)/volumes/d") == 0o777)
        #expect(try File.fileSystem(memory.path).type == 0x0102_1994, "tmpfs")
        #expect(try File.list("\(root)/host/made") == [])
        try directory.remove()
        #expect(!File.exists(root))
        try directory.remove()
    }

    @Test func hostPathsAreProven() throws {
        let directory = PodDirectory("/tmp/slipway-pod-directory-\(UUID().uuidString)")
        defer { try? directory.remove() }
        for (path, kind) in [("/etc/hosts", Volume.HostPath.Kind.directory), ("/etc", .file), ("/none", .socket)] {
            let error = #expect(throws: SystemError.self) {
                try directory.make([PodVolume(name: "h", path: path, content: .hostPath(kind))])
            }
            #expect(error?.description.contains(path) == true)
        }
    }

    private func mode(_ path: String) throws -> Int? {
        let target = URL(filePath: path).resolvingSymlinksInPath().path
        return try FileManager.default.attributesOfItem(atPath: target)[.posixPermissions] as? Int
    }
}

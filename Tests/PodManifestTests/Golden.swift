import FoundationEssentials
import Testing

/// Expected texts in files beside the tests. SLIPWAY_UPDATE_GOLDEN=1 writes them anew, to be read in the diff.
enum Golden {
    static func compare(_ text: String, _ name: String, _ here: String = #filePath) throws {
        let path = URL(filePath: here).deletingLastPathComponent().appending(path: "Golden/\(name)")
        if ProcessInfo.processInfo.environment["SLIPWAY_UPDATE_GOLDEN"] != nil {
            try FileManager.default.createDirectory(
                at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: path)
        }
        let expected = String(decoding: try Data(contentsOf: path), as: UTF8.self)
        #expect(text == expected, "differs from Golden/\(name)")
    }
}

/// The repository's example manifests.
enum Examples {
    static let pods: [String] = {
        let root = URL(filePath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "examples")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root.path)) ?? []
        return names.sorted().map { root.appending(path: "\($0)/pod.yaml").path }
            .filter { FileManager.default.fileExists(atPath: $0) }
    }()
}

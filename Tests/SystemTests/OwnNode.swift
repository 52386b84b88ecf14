import FoundationEssentials
import Glibc
import LinuxSystem
import StateDirectory
import TestSupport
import Testing

extension Node {
    /// Runs `body` on a private node of its own, and expects that nothing is left of it.
    ///
    /// - Parameters:
    ///   - networks: the directory beside node.sh with the networks' configurations.
    ///   - images: names of archives in the images' directory.
    static func withOwn(networks: String, images: [String], _ body: () async throws -> Void) async throws {
        let directory = "/tmp/slipway-\(networks)-\(getpid())"
        let before = remains()
        try await $other.withValue(directory) {
            do {
                try script("up", environment: ["NODE_CNI=\(scripts)/\(networks)"])
                for image in images { try script("import", "\(Self.images)/\(image).tar") }
                try await body()
            } catch {
                Issue.record("on the node with \(networks): \(error)")
            }
            let prefix = setting("name") ?? "no node's"
            try script("down")
            await expectNothingLeft(since: before)
            let links = try Spawn("/usr/sbin/ip", ["-o", "link"]).run().output
            #expect(!links.contains(prefix), "links are left: \(links)")
        }
    }

    /// Where the images are, and netprobe.
    static var images: String { getenv("SLIPWAY_IMAGES").map { String(cString: $0) } ?? "/SLIPWAY_IMAGES-is-not-set" }

    /// What the node's script has decided: `name` is what its links begin with.
    static func setting(_ name: String) -> String? {
        let text = (try? directory).flatMap { try? File.text("\($0)/node.env") } ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("\(name)=") }
        return line.map { String($0.dropFirst(name.count + 1)) }
    }

    /// The command `slipway` of the same build as these tests, on the node.
    static func slipway(_ words: String..., milliseconds: Int32 = 60_000) throws -> String {
        try slipwayItself(words + ["--runtime-endpoint", "unix://\(try socket)"], milliseconds: milliseconds)
    }

    /// The command `slipway` of the same build as these tests, for what asks no runtime.
    static func slipwayItself(_ words: [String], milliseconds: Int32 = 60_000) throws -> String {
        let (status, output) = try command(words, milliseconds: milliseconds)
        #expect(status == .exited(0), "slipway \(words.joined(separator: " ")): \(output)")
        return output
    }

    /// The same, however it ends.
    static func command(
        _ words: [String], milliseconds: Int32 = 60_000
    ) throws -> (status: LinuxSystem.Process.Status, output: String) {
        let root = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }
        return try Spawn("\(root)/.build/debug/slipway", words).run(milliseconds: milliseconds)
    }
}

import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import StateDirectory
import Testing

/// Where a test's commands run: a guest, or a network namespace with the programs of this machine.
enum Place: Sendable, CustomStringConvertible {
    case guest(Pod)
    case namespace(String, path: String)

    var description: String {
        switch self {
        case .guest(let pod): "guest \(pod.config.metadata.name)"
        case .namespace(let name, _): name
        }
    }

    /// The network namespace of a pod, whatever runs in it.
    static func links(of pod: Pod) throws -> Place {
        if let path = try? pod.record.networkNamespace {
            return .namespace("links of \(pod.config.metadata.name)", path: path)
        }
        // A container's: through its process.
        let tasks = try Node.ctr("task", "ls").output.split(separator: "\n").map { $0.split(separator: " ") }
        let pid = tasks.first { $0.count > 1 && $0[0] == pod.container }?[1]
        return .namespace(pod.config.metadata.name, path: "/proc/\(try #require(pid))/ns/net")
    }

    /// Runs a shell's script, 20 s at most; what it says.
    @discardableResult
    func run(_ script: String) async throws -> String {
        switch self {
        case .guest(let pod): return try await pod.run("/bin/sh", "-c", script)
        case .namespace(_, let path):
            let spawn = Self.shell(script, path)
            return try await Thread.run("place") { try spawn.run(milliseconds: 20_000).output }
        }
    }

    /// Runs several commands of netprobe, one after another; what each says.
    func probe(_ commands: [String]) async throws -> [String] {
        let output = try await run(commands.map { "echo \"= $(netprobe \($0) 2>&1)\"" }.joined(separator: "\n"))
        let answers = output.split(separator: "\n").filter { $0.hasPrefix("= ") }.map { String($0.dropFirst(2)) }
        try #require(answers.count == commands.count, "\(self): \(commands) was answered by \(output)")
        return answers
    }

    private static func shell(_ script: String, _ path: String) -> Spawn {
        Spawn(
            "/usr/bin/nsenter", ["--net=\(path)", "/bin/sh", "-c", script],
            environment: ["PATH=\(Node.images):/usr/sbin:/usr/bin:/sbin:/bin"])
    }

    /// The addresses of a link that reach beyond it, IPv4 before IPv6, without their lengths.
    func addresses(_ link: String) async throws -> [String] {
        try await run("ip -o addr show dev \(link) scope global").split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            return words.firstIndex { $0.hasPrefix("inet") }.map { String(words[$0 + 1].prefix { $0 != "/" }) }
        }
    }

    /// A link's Ethernet address.
    func mac(_ link: String) async throws -> String {
        // Not from /sys, which shows the links of the namespace that mounted it.
        let words = try await run("ip link show dev \(link)").split { $0.isWhitespace }
        let place = try #require(words.firstIndex(of: "link/ether"), "\(self) \(link): \(words)")
        return String(words[place + 1])
    }

    /// A guest's NICs in the order of their PCI addresses: `0000:02:00.0 eth1 0a:58:…`.
    func nics() async throws -> [String] {
        let script = """
            for link in /sys/class/net/*; do
                [ -e $link/device ] || continue
                echo $(basename $(readlink -f $link/device/..)) ${link##*/} $(cat $link/address)
            done | sort
            """
        return try await run(script).split(separator: "\n").map(String.init)
    }

    /// Records the frames of a link while `body` runs, as `netprobe capture` prints them.
    func capture(_ link: String, while body: () async throws -> Void) async throws -> [Frame] {
        guard case .namespace(_, let path) = self else {
            return try await captureInGuest(link, while: body)
        }
        let file = "/tmp/slipway-capture-\(UUID().uuidString)"
        defer { unlink(file) }
        var spawn = Self.shell("exec netprobe capture \(link)", path)
        spawn.descriptors[1] = try FileDescriptor.open(file, O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)
        let process = try spawn.start()
        func text() -> String { (try? File.text(file, limit: 1 << 26)) ?? "" }
        defer {
            try? process.signal(SIGKILL)
            _ = try? process.wait()
        }
        try #require(await Self.soon { text().contains("capturing") }, "\(self) \(link): \(text())")
        try await body()
        // What has been received is printed soon, and then nothing more comes.
        var before = -1
        _ = await Self.soon(every: 100) {
            let now = text().utf8.count
            defer { before = now }
            return now == before
        }
        return text().split(separator: "\n").compactMap { Frame($0) }
    }

    private func captureInGuest(_ link: String, while body: () async throws -> Void) async throws -> [Frame] {
        let file = "/tmp/capture"
        try await run(
            """
            netprobe capture \(link) >\(file) 2>&1 </dev/null &
            echo $! >\(file).pid
            while ! grep -q capturing \(file); do sleep 0.01; done
            """)
        try await body()
        let text = try await run("sleep 0.2; kill $(cat \(file).pid); cat \(file); rm \(file)*")
        return text.split(separator: "\n").compactMap { Frame($0) }
    }

    private static func soon(every milliseconds: Int = 10, _ condition: () -> Bool) async -> Bool {
        let end = ContinuousClock.now + .seconds(10)
        while !condition() {
            guard ContinuousClock.now < end else { return false }
            try? await Task.sleep(for: .milliseconds(milliseconds))
        }
        return true
    }
}

/// A frame as `netprobe capture` prints it.
struct Frame: Sendable, CustomStringConvertible {
    let isOutgoing: Bool
    let destination: String
    let source: String
    let vlan: Int?
    let type: String
    let length: Int
    let checksum: String
    /// Its first 96 octets.
    let hex: String
    let description: String

    init?(_ line: Substring) {
        let words = line.split(separator: " ").map(String.init)
        guard words.count == 8, let length = Int(words[5]) else { return nil }
        (isOutgoing, destination, source) = (words[0] == "out", words[1], words[2])
        (vlan, type, self.length) = (Int(words[3].dropFirst(5)), words[4], length)
        (checksum, hex, description) = (words[6], words[7], String(line))
    }

    /// To one station alone.
    var isUnicast: Bool { UInt8(destination.prefix(2), radix: 16).map { $0 & 1 == 0 } ?? false }
}

import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import StateDirectory
import SwiftProtobuf
import TestSupport
import Testing

/// A pod with one machine, played through CRI as a kubelet does it.
struct Pod: Sendable {
    let runtime: CRIClient
    let config: CRIPodSandboxConfig
    let id: String
    var container = ""
    let log: String

    /// The sandbox alone.
    init(
        _ runtime: CRIClient, _ name: String, annotations: [String: String] = [:], handler: String = "slipway",
        hostNetwork: Bool = false
    ) async throws {
        self.runtime = runtime
        let directory = "\(try Node.directory)/logs/\(name)-\(UUID().uuidString)"
        try File.makeDirectory(directory, mode: 0o755)
        log = "\(directory)/machine.log"
        config = CRIPodSandboxConfig.with {
            $0.metadata = .with {
                $0.name = name
                $0.namespace = "default"
                $0.uid = UUID().uuidString.lowercased()
            }
            $0.hostname = name
            $0.annotations = annotations
            $0.logDirectory = directory
            $0.linux = .with { linux in
                if hostNetwork { linux.securityContext = .with { $0.namespaceOptions = .with { $0.network = .node } } }
            }
        }
        id = try await runtime.runPodSandbox(config, handler: handler)
    }

    /// A pod that another connection has made.
    init(_ runtime: CRIClient, adopting pod: Pod) {
        (self.runtime, config, id, container, log) = (runtime, pod.config, pod.id, pod.container, pod.log)
    }

    /// Creates and starts the machine.
    mutating func start(
        image: String = "slipway.local/tiny-vnf:latest", memory: Int64 = 192 << 20, cpus: Int64 = 1,
        stdin: Bool = false, attempt: UInt32 = 0, mounts: [(of: String, at: String)] = [],
        _ more: (inout CRILinuxContainerResources) -> Void = { _ in }
    ) async throws {
        var resources = CRILinuxContainerResources.with {
            $0.memoryLimitInBytes = memory
            $0.cpuPeriod = 100_000
            $0.cpuQuota = cpus * 100_000
        }
        more(&resources)
        let container = CRIContainerConfig.with {
            $0.metadata = .with {
                $0.name = "machine"
                $0.attempt = attempt
            }
            $0.image = .with { $0.image = image }
            $0.logPath = "machine.log"
            $0.mounts = mounts.map { mount in
                .with {
                    $0.hostPath = mount.of
                    $0.containerPath = mount.at
                }
            }
            $0.stdin = stdin
            $0.tty = stdin
            $0.linux = .with { $0.resources = resources }
        }
        self.container = try await runtime.createContainer(container, in: id, sandboxConfig: config)
        try await runtime.startContainer(self.container)
    }

    /// Stops and removes everything of it.
    func remove() async throws {
        try await runtime.stopPodSandbox(id)
        try await runtime.removePodSandbox(id)
    }

    var status: CRIContainerStatus { get async throws { try await runtime.containerStatus(container).status } }

    /// The console's text so far.
    var output: String { (try? File.text(log, limit: 1 << 24)) ?? "" }

    /// Waits until the console has said something, `count` times.
    func expect(_ text: String, count: Int = 1, _ location: SourceLocation = #_sourceLocation) async {
        let said = await eventually(within: .seconds(90)) { output.components(of: text) >= count }
        #expect(
            said, "\(config.metadata.name) did not say \"\(text)\": \(output.suffix(400))", sourceLocation: location)
    }

    /// Waits for the end; its exit code.
    func exitCode(within deadline: Duration = .seconds(30)) async throws -> Int32? {
        let ended = await eventually(within: deadline, every: .milliseconds(200)) {
            (try? await status.state) == .containerExited
        }
        return ended ? try await status.exitCode : nil
    }

    /// Runs a command in the guest.
    ///
    /// The guest's agent may come up after the guest has said that it is ready; until then there is 126.
    func run(_ words: String...) async throws -> String {
        var output = ""
        _ = try await eventually(within: .seconds(20)) {
            let reply = try await runtime.execSync(words, in: container, timeout: 20)
            output = String(decoding: reply.stdout, as: UTF8.self)
            return reply.exitCode != 126
        }
        return output
    }

    /// Runs a command in the guest once, 20 s at most; its exit code, or the failure that the runtime reports instead.
    func tryToRun(_ words: String...) async -> String {
        do {
            return "\(try await runtime.execSync(words, in: container, timeout: 20).exitCode)"
        } catch {
            return "\(error)"
        }
    }

    var state: StateDirectory { StateDirectory(namespace: "k8s.io", sandbox: id) }
    var record: SandboxRecord { get throws { try SandboxRecord(readingFrom: state) } }
    var address: String { get async throws { try await runtime.podSandboxStatus(id).status.network.ip } }
}

/// Plays a pod with one machine, and expects that nothing is left of it when `body` is done.
func withPod(
    _ name: String, annotations: [String: String] = [:], image: String = "slipway.local/tiny-vnf:latest",
    stdin: Bool = false, _ body: (inout Pod) async throws -> Void
) async throws {
    let before = Node.remains()
    try await Node.connected { runtime in
        var pod = try await Pod(runtime, name, annotations: annotations)
        do {
            try await pod.start(image: image, stdin: stdin)
            try await body(&pod)
        } catch {
            Issue.record("\(name): \(error); log: \((try? File.text(pod.state.log)) ?? "none")")
        }
        try await pod.remove()
    }
    await Node.expectNothingLeft(since: before)
}

extension String {
    /// How often a text occurs.
    func components(of text: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: text) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}

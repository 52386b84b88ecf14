internal import CRIProtocol
internal import FoundationEssentials
internal import LinuxSystem
internal import PodManifest

/// A pod whose containers have been started.
struct StartedPod: Sendable {
    struct Container: Sendable {
        var id: String
        var name: String
    }

    var sandbox: String
    var addresses: [String]
    var containers: [Container]

    /// ` at 10.0.0.2, fd00::2`, or nothing.
    var addressWords: String { addresses.isEmpty ? "" : " at \(addresses.joined(separator: ", "))" }
}

/// Starts a pod the way a kubelet does, and takes everything back when a step fails.
struct PodPlayer<Runtime: CRICalls> {
    let runtime: Runtime
    let progress: Progress
    let pull: RunCommand.Pull?

    /// Starts a pod and its containers in their order.
    func start(_ playable: PlayablePod) async throws -> StartedPod {
        try await refuseSecond(playable)
        for container in playable.pod.spec.containers { try await provide(container, for: playable) }
        do {
            return try await make(playable)
        } catch {
            progress.clear()
            // The clean-up runs to its end also when the task was cancelled.
            let takenBack = await Task { await takeBack(playable) }.value
            guard let rest = CommandFailure(takenBack), var failure = CommandFailure(error) else { throw error }
            failure = CommandFailure(failure.status, "\(failure)\nand not everything was taken back:\n\(rest)")
            throw failure
        }
    }

    /// Waits until the output of one of the pod's containers has a text.
    func wait(for text: String, in pod: StartedPod, seconds: Int) async throws {
        progress.step("waiting for \"\(text)\"")
        guard let container = pod.containers.first else { return }
        let reader = LogReader(runtime: runtime, container: container.id)
        let deadline = ContinuousClock.now + .seconds(seconds)
        guard try await reader.contains(Array(text.utf8), until: deadline) else {
            progress.clear()
            let status = try await runtime.containerStatus(container.id).status
            if status.state == .containerExited {
                throw CommandFailure(
                    .failure,
                    "container \(container.name) ended with code \(status.exitCode) before it said \"\(text)\"")
            }
            throw CommandFailure(
                .timedOut, "container \(container.name) did not say \"\(text)\" within \(seconds) s; it still runs")
        }
    }

    private func refuseSecond(_ playable: PlayablePod) async throws {
        let same = try await PodEntry.all(runtime).first {
            $0.name == playable.name && $0.namespace == playable.namespace
        }
        if let same {
            throw CommandFailure(
                .failure,
                "pod \(same.path) is already there (\(same.id.prefix(13)), \(same.isReady ? "ready" : "stopped"));"
                    + " slipway rm \(same.name) removes it")
        }
    }

    private func provide(_ container: Container, for playable: PlayablePod) async throws {
        let image = container.image
        let found = try await runtime.image(image) != nil
        switch pull ?? RunCommand.Pull(container) {
        case .missing where found, .never where found: return
        case .never:
            throw CommandFailure(
                .notFound, "image \(image) of container \(container.name) is not on this node, and is not to be pulled")
        case .missing, .always:
            progress.step("pulling image \(image)")
            _ = try await runtime.pullImage(image, for: playable.sandbox)
        }
    }

    private func make(_ playable: PlayablePod) async throws -> StartedPod {
        progress.step("sandbox \(playable.namespace)/\(playable.name)")
        try PodDirectory(playable.directory).make(playable.volumes)
        try File.makeDirectory(playable.sandbox.logDirectory, mode: 0o755)
        let id = try await runtime.runPodSandbox(playable.sandbox, handler: playable.handler)
        let network = try await runtime.podSandboxStatus(id).status.network
        var started = StartedPod(
            sandbox: id, addresses: ([network.ip] + network.additionalIps.map(\.ip)).filter { !$0.isEmpty },
            containers: [])
        for container in playable.pod.spec.containers {
            try Task.checkCancellation()
            progress.step("booting \(container.name)")
            try File.makeDirectory("\(playable.sandbox.logDirectory)/\(container.name)", mode: 0o755)
            let config = try playable.config(of: container, addresses: started.addresses)
            let made = try await runtime.createContainer(config, in: id, sandboxConfig: playable.sandbox)
            try await runtime.startContainer(made)
            started.containers.append(StartedPod.Container(id: made, name: container.name))
        }
        try Task.checkCancellation()
        return started
    }

    private func takeBack(_ playable: PlayablePod) async -> [CommandFailure] {
        // RunPodSandbox may have failed after the runtime had made something under this uid.
        let pods = (try? await PodEntry.all(runtime)) ?? []
        let remains = PodRemains(playable)
        guard let pod = pods.first(where: { $0.uid == playable.uid }) else { return remains.remove() }
        return await PodRemoval(runtime: runtime, remains: remains).remove(pod, grace: 0)
    }
}

extension RunCommand.Pull {
    /// Kubernetes' default: an image that may have changed under its name is pulled each time.
    init(_ container: Container) {
        switch container.imagePullPolicy {
        case .always: self = .always
        case .ifNotPresent: self = .missing
        case .never: self = .never
        case nil:
            let name = container.image.split(separator: "/").last ?? ""
            let isFixed = name.contains("@") || (name.contains(":") && !name.hasSuffix(":latest"))
            self = isFixed ? .missing : .always
        }
    }
}

/// Reads from containerd's configuration who makes cgroups.
enum CgroupDriverSetting {
    static func read(_ runtime: some CRICalls) async throws(CRIError) -> NodeFacts.CgroupDriver {
        let info = try await runtime.status(verbose: true).info
        return driver(configuration: info["config"] ?? "")
    }

    /// systemd when any runtime handler is set to it: containerd wants one choice for the whole node.
    static func driver(configuration: String) -> NodeFacts.CgroupDriver {
        guard let config = try? JSONDecoder().decode(Configuration.self, from: Data(configuration.utf8)) else {
            return .cgroupfs
        }
        let runtimes = config.containerd?.runtimes ?? [:]
        let usesSystemd = runtimes.values.contains { $0.options?.SystemdCgroup == true }
        return usesSystemd || config.systemdCgroup == true ? .systemd : .cgroupfs
    }

    // The names are those of containerd's JSON.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct Configuration: Decodable {
        struct Containerd: Decodable { var runtimes: [String: Runtime]? }
        struct Runtime: Decodable { var options: Options? }
        struct Options: Decodable { var SystemdCgroup: Bool? }

        var containerd: Containerd?
        var systemdCgroup: Bool?
    }
}

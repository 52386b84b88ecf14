internal import ArgumentParser
internal import CRIProtocol
internal import FoundationEssentials
internal import HostTopology
internal import LinuxSystem
internal import PodManifest

/// `slipway run`.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Start the pods of a manifest on this node.",
        discussion: """
            Plays v1 Pods through the container runtime's CRI socket, as a kubelet would: pulls the images, makes the \
            volumes, the sandbox and its containers, and starts them. ConfigMaps and Secrets that the pods use stand \
            in the same file. runtimeClassName names the runtime handler.

            The pod's name is printed when its containers run; what happens until then is said on standard error. \
            A pod that does not come up, or whose start is interrupted, is taken down again. Nothing watches it afterwards: a container that ends \
            stays ended, whatever restartPolicy says. A kubelet on the same node would end the pod as one that it \
            does not know.

            Nothing gives a container CPUs of its own on a node without a kubelet: --cpuset does. Slipway refuses CPUs \
            that another machine has; other programs of the node have to be kept off by other means.

            EXAMPLES
              slipway run -f pod.yaml
              slipway run -f pod.yaml --wait-ready 'login:'   until the console says so
              slipway run -f pod.yaml --attach                then follow the console
              slipway run -f pod.yaml --cpuset 2-3            vCPUs on CPUs 2 and 3, one each
              slipway run -f - <pod.yaml
            """)

    /// When images are pulled.
    enum Pull: String, CaseIterable, ExpressibleByArgument {
        case missing, always, never
    }

    @OptionGroup var node: NodeOptions

    @Option(name: [.short, .long], help: ArgumentHelp("The manifest; - is standard input.", valueName: "file"))
    var file: String

    @Option(help: "When to pull images: missing, always or never. Default: each container's imagePullPolicy.")
    var pull: Pull?

    @Option(help: ArgumentHelp("Wait until a container's output has this text.", valueName: "text"))
    var waitReady: String?

    @Option(help: ArgumentHelp("How long to wait for --wait-ready.", valueName: "seconds"))
    var timeout: Int = 120

    @Option(
        help: ArgumentHelp(
            "CPUs that the container has to itself, as many as its CPU limit if it has one.", valueName: "list"))
    var cpuset: CPUSet?

    @Option(help: ArgumentHelp("The nodes that its memory may come from; needs --cpuset.", valueName: "list"))
    var mems: CPUSet?

    @Option(
        help: ArgumentHelp(
            "The cgroup to put the pod into, a path or a systemd slice; it stays. Default: one of the pod's own.",
            valueName: "cgroup"))
    var cgroupParent: String?

    @Flag(help: "Follow the first container's output until it ends, and end with its exit code.")
    var attach = false

    @Flag(name: [.short, .long], help: "Do not say what is being done.")
    var quiet = false

    func validate() throws {
        guard timeout > 0 else { throw ValidationError("--timeout: \(timeout) is not a number of seconds above 0") }
        guard mems == nil || cpuset != nil else { throw ValidationError("--mems needs --cpuset") }
        if let cgroupParent, cgroupParent.isEmpty { throw ValidationError("--cgroup-parent names no cgroup") }
    }

    func run() async throws {
        let manifest = try Manifest(yaml: try text())
        for warning in manifest.warnings { Output.error("slipway: warning: \(warning)") }
        guard !attach || manifest.pods.count == 1 else {
            throw CommandFailure(.usage, "--attach needs a manifest with one Pod; \(file) has \(manifest.pods.count)")
        }
        guard cpuset == nil || manifest.pods.count == 1 else {
            throw CommandFailure(.usage, "--cpuset needs a manifest with one Pod; \(file) has \(manifest.pods.count)")
        }
        let grant = cpuset.map { CPUGrant(cpus: "\($0)", count: $0.count, mems: mems.map { "\($0)" } ?? "") }
        try await node.connected { runtime in
            var facts = NodeFacts.read(cgroupDriver: try await CgroupDriverSetting.read(runtime))
            facts.podDirectory = node.podDirectory
            facts.logDirectory = node.logDirectory
            facts.cgroupParent = cgroupParent
            for pod in manifest.pods {
                let playable = try PlayablePod(
                    pod, of: manifest, on: facts, uid: UUID().uuidString.lowercased(), grant: grant)
                let progress = Progress(quiet: quiet)
                let player = PodPlayer(runtime: runtime, progress: progress, pull: pull)
                let started = try await player.start(playable)
                if let waitReady {
                    try await player.wait(for: waitReady, in: started, seconds: timeout)
                }
                progress.finish("pod \(playable.namespace)/\(playable.name) runs\(started.addressWords)")
                Output.line(playable.name)
                if attach, let container = started.containers.first {
                    try await follow(runtime, container)
                }
            }
        }
    }

    private func text() throws -> String {
        guard file == "-" else { return try File.text(file, limit: Manifest.sizeLimit) }
        // A descriptor that is not closed with its wrapper: standard input stays the process's.
        let input = FileDescriptor(owning: 0)
        defer { _ = input.release() }
        return String(decoding: try input.readToEnd(limit: Manifest.sizeLimit), as: UTF8.self)
    }

    private func follow(_ runtime: CRIClient, _ container: StartedPod.Container) async throws {
        let reader = LogReader(runtime: runtime, container: container.id)
        try await reader.print(LogOptions(follow: true))
        let code = try await runtime.containerStatus(container.id).status.exitCode
        if code != 0 { throw ExitCode(code) }
    }
}

internal import ArgumentParser
internal import CRIProtocol
internal import Configuration
internal import FoundationEssentials
internal import HostTopology
internal import LibvirtMachine
internal import LinuxSystem
internal import MachinePlanning
internal import PodManifest
internal import StateDirectory

/// `slipway plan`.
struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show what a pod's machine would be, here or on another node; start nothing.",
        discussion: """
            Looks into the image, which has to be on the node, and decides everything as the shim would: vCPUs and \
            their CPUs, RAM and its nodes, disks, each with its reason; --output xml prints the domain XML that \
            libvirt would get. The pod's links are not known before its sandbox exists: one link, eth0, is assumed.

            --host this plans beside what the node's machines hold, with the pages that are free now. --host FILE \
            plans for a topology that slipway topology -o json has saved.

            Which CPUs a pod gets is the kubelet's decision. For a Guaranteed pod with whole CPUs it is simulated: \
            CPUs are taken from those that no machine has as cpuManagerPolicy: static does, whole sockets and nodes \
            first, then whole cores. --cpuset says which instead.

            EXAMPLES
              slipway plan -f pod.yaml
              slipway plan -f pod.yaml -o xml
              slipway plan -f pod.yaml -o json | jq .vcpus
              slipway plan -f pod.yaml --host node.json --no-image   would it fit there?
              slipway plan -f pod.yaml --cpuset 4-5
            """)

    enum Format: String, CaseIterable, ExpressibleByArgument {
        case table, json, xml
    }

    @OptionGroup var node: NodeOptions

    @Option(name: [.short, .long], help: ArgumentHelp("The manifest.", valueName: "file"))
    var file: String

    @Option(name: [.short, .long], help: "table, json or xml.")
    var output: Format = .table

    @Option(help: ArgumentHelp("A saved topology, or this: the node.", valueName: "file"))
    var host = HostSource.this

    @Option(help: ArgumentHelp("The container's own CPUs, in place of simulated ones.", valueName: "list"))
    var cpuset: CPUSet?

    @Option(help: ArgumentHelp("The nodes that its memory may come from.", valueName: "list"))
    var mems: CPUSet?

    @Option(help: ArgumentHelp("CPUs that the kubelet keeps for the system (reservedSystemCPUs).", valueName: "list"))
    var reservedCpus: CPUSet?

    @Flag(help: "Do not look into the image; one disk is assumed.")
    var noImage = false

    @Option(help: ArgumentHelp("Slipway's configuration on the node.", valueName: "path"))
    var config: String?

    @Option(help: ArgumentHelp("The directory of all sandboxes.", valueName: "path", visibility: .hidden))
    var root = StateDirectory.defaultRoot

    func validate() throws {
        guard !noImage || output != .xml else { throw ValidationError("--output xml needs the image") }
    }

    func run() async throws {
        let manifest = try Manifest(yaml: try File.text(file, limit: Manifest.sizeLimit))
        let settings = try Configuration.load(config)
        let topology = try host.read()
        var held = host == .this ? PlacementClaim.all(root: root).holdings : []
        var facts = NodeFacts.read(cgroupDriver: .cgroupfs)
        facts.podDirectory = node.podDirectory
        if host != .this { facts.hugePageSizes = Set(topology.nodes.flatMap { $0.hugePages.map(\.size) }).sorted() }
        for pod in manifest.pods {
            let playable = try PlayablePod(
                pod, of: manifest, on: facts, uid: UUID().uuidString.lowercased(), grant: grant)
            for container in pod.spec.containers {
                let (request, note) = try request(playable, container, settings, topology, beside: held)
                let plan = try show(request, image: container.image, note, on: topology, beside: held)
                // The next pod of the manifest finds what this one has taken.
                held.append(
                    Holding(
                        pod: "\(playable.namespace)/\(playable.name)", cpus: plan.placement.exclusive,
                        pages: plan.placement.holdings))
            }
        }
    }

    private var grant: CPUGrant? {
        cpuset.map { CPUGrant(cpus: "\($0)", count: $0.count, mems: mems.map { "\($0)" } ?? "") }
    }

    /// What the shim would be asked for, and a word on simulated CPUs.
    private func request(
        _ playable: PlayablePod, _ container: Container, _ settings: Configuration, _ topology: HostTopology,
        beside held: [Holding]
    ) throws -> (MachineRequest, note: String?) {
        let annotations = try MachineAnnotations(playable.sandbox.annotations) {
            settings.allows(annotation: $0, in: playable.namespace)
        }
        let limits = try playable.config(of: container, addresses: []).linux.resources
        let pages = limits.hugepageLimits.filter { $0.limit > 0 }
            .compactMap { limit in HugePageSources.pageSize(limit.pageSize).map { ($0, limit.limit) } }
        let (cpus, note) = try cpus(playable.pod.spec.containers, container, topology, beside: held)
        let request = MachineRequest(
            identity: MachineIdentity(
                container: "preview", sandbox: "preview", podName: playable.name,
                podNamespace: playable.namespace, podUID: playable.uid, containerName: container.name),
            cpuQuota: limits.cpuQuota, cpuPeriod: UInt64(max(0, limits.cpuPeriod)),
            cpuShares: UInt64(max(0, limits.cpuShares)), cpus: cpus, mems: mems ?? [],
            memoryLimit: limits.memoryLimitInBytes > 0 ? UInt64(limits.memoryLimitInBytes) : nil,
            hugePages: HugePageSources(limits: Dictionary(pages, uniquingKeysWith: { first, _ in first })),
            profile: settings.profile == .standard ? .standard : .highPerformance,
            boot: .disk(DiskSource(path: "/disk/assumed", format: .raw, virtualSize: 1 << 30)),
            links: [
                RequestedLink("eth0", number: 0, backend: .tap(device: "slw0"), mac: "02:00:00:00:00:01", mtu: 1500)
            ],
            annotations: annotations, accelerator: accelerator(settings), defaultVCPUs: settings.defaultVCPUs,
            defaultMemory: settings.defaultMemory, user: settings.users.lowerBound,
            group: settings.users.lowerBound)
        return (request, note)
    }

    private func accelerator(_ settings: Configuration) -> Decision<Accelerator> {
        switch settings.accelerator {
        case .tcg: Decision(.tcg, "Slipway's configuration says tcg")
        case .kvm: Decision(.kvm, "Slipway's configuration says kvm")
        case .auto:
            AcceleratorChoice.known() ?? Decision(.tcg, "not proven yet on this node; slipway check does it")
        }
    }

    /// The CPUs that the container would have to itself; none where a kubelet would give it none.
    private func cpus(
        _ containers: [Container], _ container: Container, _ topology: HostTopology, beside held: [Holding]
    ) throws(CommandFailure) -> (CPUSet, note: String?) {
        if let cpuset { return (cpuset, nil) }
        guard QualityOfService(containers) == .guaranteed,
            let milli = container.resources?.request("cpu")?.milliValue, milli >= 1000, milli.isMultiple(of: 1000)
        else { return ([], nil) }
        let count = Int(clamping: milli / 1000)
        let free = held.reduce(topology.online.subtracting(reservedCpus ?? [])) { $0.subtracting($1.cpus) }
        guard let cpus = StaticCPUManager(host: topology, available: free).take(count) else {
            throw CommandFailure(
                .refused,
                "\(count) CPUs are asked for, and \(free.isEmpty ? "none is" : "only \(free) are") free: a kubelet would not"
                    + " start this pod here")
        }
        return (cpus, "CPUs \(cpus) are simulated: so would a kubelet with cpuManagerPolicy: static choose")
    }

    private func show(
        _ request: MachineRequest, image: String, _ note: String?, on topology: HostTopology, beside held: [Holding]
    ) throws -> MachinePlan {
        let preview = try noImage ? nil : preview(request, image: image, on: topology, beside: held)
        let plan = try preview?.plan ?? MachinePlan(request, on: topology, beside: held)
        if let note { Output.error("slipway: \(note)") }
        switch output {
        case .xml: Output.write((preview?.xml ?? "").utf8)
        case .json:
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            Output.line(String(decoding: try encoder.encode(plan), as: UTF8.self))
        case .table: Output.line(try Rendering.text(PlanRow.rows(plan), as: .table))
        }
        return plan
    }

    private func preview(
        _ request: MachineRequest, image name: String, on topology: HostTopology, beside held: [Holding]
    ) throws -> MachinePreview {
        let image = try MountedImage(name, socket: try node.socket)
        defer { image.unmount() }
        return try MachinePreview(
            image: image.path, on: topology, beside: held,
            request: { boot in
                var request = request
                request.boot = boot
                return request
            }, annotations: request.annotations)
    }
}

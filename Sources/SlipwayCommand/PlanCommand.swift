internal import ArgumentParser
internal import CRIProtocol
internal import Configuration
internal import FoundationEssentials
internal import LibvirtMachine
internal import LinuxSystem
internal import MachinePlanning
internal import PodManifest

/// `slipway plan`.
struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show what a pod's machine would be; start nothing.",
        discussion: """
            Looks into the image, which has to be on the node, and decides everything as the shim would: vCPUs, RAM, \
            disks, each with its reason; --output xml prints the domain XML that libvirt would get. The pod's links \
            are not known before its sandbox exists: one link, eth0, is assumed.

            EXAMPLES
              slipway plan -f pod.yaml
              slipway plan -f pod.yaml -o xml
              slipway plan -f pod.yaml -o json | jq .vcpus
            """)

    enum Format: String, CaseIterable, ExpressibleByArgument {
        case table, json, xml
    }

    @OptionGroup var node: NodeOptions

    @Option(name: [.short, .long], help: ArgumentHelp("The manifest.", valueName: "file"))
    var file: String

    @Option(name: [.short, .long], help: "table, json or xml.")
    var output: Format = .table

    @Option(help: ArgumentHelp("Slipway's configuration on the node.", valueName: "path"))
    var config: String?

    func run() async throws {
        let manifest = try Manifest(yaml: try File.text(file, limit: Manifest.sizeLimit))
        let settings = try Configuration.load(config)
        let socket = try node.socket
        var facts = NodeFacts.read(cgroupDriver: .cgroupfs)
        facts.podDirectory = node.podDirectory
        for pod in manifest.pods {
            let playable = try PlayablePod(pod, of: manifest, on: facts, uid: UUID().uuidString.lowercased())
            for container in pod.spec.containers {
                let preview = try preview(playable, container, settings, socket)
                Output.write(try text(preview).utf8)
            }
        }
    }

    private func preview(
        _ playable: PlayablePod, _ container: Container, _ settings: Configuration, _ socket: String
    ) throws -> MachinePreview {
        let config = try playable.config(of: container, addresses: [])
        let annotations = try MachineAnnotations(playable.sandbox.annotations) {
            settings.allows(annotation: $0, in: playable.namespace)
        }
        let image = try MountedImage(container.image, socket: socket)
        defer { image.unmount() }
        let limits = config.linux.resources
        let accelerator: Decision<Accelerator> =
            switch settings.accelerator {
            case .tcg: Decision(.tcg, "Slipway's configuration says tcg")
            case .kvm: Decision(.kvm, "Slipway's configuration says kvm")
            case .auto:
                AcceleratorChoice.known() ?? Decision(.tcg, "not proven yet on this node; slipway check does it")
            }
        return try MachinePreview(
            image: image.path,
            request: { boot in
                MachineRequest(
                    identity: MachineIdentity(
                        container: "preview", sandbox: "preview", podName: playable.name,
                        podNamespace: playable.namespace, podUID: playable.uid, containerName: container.name),
                    cpuQuota: limits.cpuQuota, cpuPeriod: UInt64(max(0, limits.cpuPeriod)),
                    memoryLimit: limits.memoryLimitInBytes > 0 ? UInt64(limits.memoryLimitInBytes) : nil, boot: boot,
                    links: [RequestedLink(name: "eth0", tap: "slw0", mac: "02:00:00:00:00:01", mtu: 1500)],
                    annotations: annotations, accelerator: accelerator, defaultVCPUs: settings.defaultVCPUs,
                    defaultMemory: settings.defaultMemory, user: settings.users.lowerBound,
                    group: settings.users.lowerBound)
            }, annotations: annotations)
    }

    private func text(_ preview: MachinePreview) throws -> String {
        switch output {
        case .xml: return preview.xml
        case .json:
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(preview.plan), as: UTF8.self) + "\n"
        case .table: return try Rendering.text(PlanRow.rows(preview.plan), as: .table) + "\n"
        }
    }
}

/// One decision of a plan.
struct PlanRow: Renderable {
    let what: String
    let decided: String
    let reason: String

    static let columns = ["WHAT", "DECIDED", "WHY"]
    static let tableColumns = 3
    var cells: [String] { [what, decided, reason] }

    static func rows(_ plan: MachinePlan) -> [PlanRow] {
        var rows = [
            PlanRow(what: "machine", decided: "\(plan.identity.podNamespace)/\(plan.identity.podName)", reason: ""),
            PlanRow(what: "accelerator", decided: plan.accelerator.value.rawValue, reason: plan.accelerator.reason),
            PlanRow(what: "vCPUs", decided: "\(plan.vcpus.value)", reason: plan.vcpus.reason),
            PlanRow(what: "RAM", decided: ByteCount.text(plan.memory.value), reason: plan.memory.reason),
            PlanRow(what: "boot", decided: plan.boot.value == .disk ? "disk" : "kernel", reason: plan.boot.reason),
        ]
        for disk in plan.disks {
            switch disk.content {
            case .root(let base):
                rows.append(
                    PlanRow(
                        what: "disk \(disk.target)", decided: ByteCount.text(disk.virtualSize ?? base.virtualSize),
                        reason: "writable over the image's \(base.path), \(base.format.rawValue)"))
            case .seed:
                rows.append(PlanRow(what: "disk \(disk.target)", decided: "seed", reason: "cloud-init, NoCloud"))
            }
        }
        for nic in plan.nics {
            rows.append(
                PlanRow(what: "NIC \(nic.link)", decided: "PCI bus \(nic.bus), MTU \(nic.mtu)", reason: nic.reason))
        }
        return rows
    }
}

internal import ArgumentParser
internal import CNI
internal import LinuxSystem
internal import Netlink
internal import PodNetwork
internal import StateDirectory

/// `slipway net attach`.
struct NetAttachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach",
        abstract: "Attach a running machine to one more network.",
        discussion: """
            Calls the network's CNI plugins (ADD) for the pod, as a container runtime would, and waits until the guest \
            has the NIC. NETWORK is the name of a configuration in the node's CNI directory, or of its file. --config \
            reads a .conf or .conflist file or a NetworkAttachmentDefinition instead.

            When a plugin fails, what the others have done is deleted. When the guest cannot have the NIC, the \
            attachment stays and is listed with the reason, until it is detached or the pod ends.

            EXAMPLES
              slipway net attach router lan
              slipway net attach router lan --interface net7 --ip 10.5.0.9/24
              slipway net attach router --config lan.yaml
              slipway net attach router sriov --device 0000:3b:02.1
            """)

    @Argument(help: "Name, namespace/name or beginning of a sandbox id.")
    var pod: String

    @Argument(help: "The network's name; with --config that of a definition in the file, if there are several.")
    var network: String?

    @Option(
        help: ArgumentHelp(
            "The link's name in the pod. Default: the first of net1, net2, … that is free.", valueName: "name"))
    var interface: String?

    @Option(help: ArgumentHelp("The NIC's Ethernet address, for plugins that take one.", valueName: "address"))
    var mac: String?

    @Option(
        help: ArgumentHelp(
            "An address for it, for plugins that take one; may be given twice.", valueName: "address/length"))
    var ip: [String] = []

    @Option(
        help: ArgumentHelp(
            "A PCI function for it: a spare one of those that a device plugin gave to the pod (PCIDEVICE_…).",
            valueName: "address"))
    var device: String?

    @Option(help: ArgumentHelp("A .conf, .conflist or NetworkAttachmentDefinition file.", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("The node's directory of networks.", valueName: "path"))
    var cniConfDir = NetworkDirectory.defaultPath

    @Option(
        help: ArgumentHelp(
            "A directory of plugins; may be repeated. Default: \(PluginRunner.defaultPath.joined(separator: " and ")).",
            valueName: "path"))
    var cniBinDir: [String] = []

    @OptionGroup var waiting: NetWaiting
    @OptionGroup var options: NetOptions

    func validate() throws {
        guard network != nil || config != nil else { throw ValidationError("Give a network's name, or --config.") }
        if let mac, MACAddress(mac)?.isStation != true {
            throw ValidationError("--mac \(mac): a unicast Ethernet address such as 0a:58:0a:58:00:05 is accepted.")
        }
        for ip in ip where IPPrefix(ip) == nil && IPAddress(ip) == nil {
            throw ValidationError("--ip \(ip): an address such as 10.5.0.9/24 or fd00:5::9/64 is accepted.")
        }
        for directory in cniBinDir where !directory.hasPrefix("/") || directory.contains(":") {
            throw ValidationError("--cni-bin-dir \(directory): an absolute path without colons is accepted.")
        }
    }

    func run() async throws {
        let entry = try SandboxEntry.find(pod, root: options.root)
        let namespace = try entry.requireNamespace()
        var configuration = try NetworkSource.read(network, file: config, directory: NetworkDirectory(cniConfDir))
        let device = try device.map { try SpareFunction($0, of: entry).address }
        if let device { configuration = try configuration.giving(device: device) }
        let network = configuration
        let interface = try await freeInterface(entry, namespace)
        var made = PluginArguments.pod(
            sandbox: entry.sandbox, namespace: namespace, interface: interface, podName: entry.record.podName,
            podNamespace: entry.record.podNamespace, podUID: entry.record.podUID, mac: mac.map { $0.lowercased() },
            addresses: ip, device: device)
        made.deviceInformation =
            "\(DeviceInformation.cniDirectory)/"
            + DeviceInformation.fileName(network: configuration.name, sandbox: entry.sandbox, interface: interface)
        let arguments = made
        // What an earlier attachment of this name may have left.
        try entry.directory.keep(interface)
        let runner = PluginRunner(path: cniBinDir.isEmpty ? PluginRunner.defaultPath : cniBinDir)
        let attached = try await Thread.run("cni-add") {
            try entry.attachments.attach(network, arguments, by: runner)
        }
        guard entry.isRunning else {
            // Its own end found the attachment in our hands.
            try await Thread.run("remains") { try entry.removeIfEnded() }
            throw CommandFailure(.failure, "pod \(entry.pod) ended while \(interface) was attached")
        }
        let addresses = (attached.result?.addresses ?? []).map(\.address).joined(separator: " ")
        Output.line("\(interface): attached to \(network.name)" + (addresses.isEmpty ? "" : ", \(addresses)"))
        if waiting.doesNotWait { return }
        guard entry.record.machine != nil else {
            return Output.line("\(interface): the machine gets it when it is made")
        }
        try await waitForNIC(interface, entry)
    }

    private func waitForNIC(_ interface: String, _ entry: SandboxEntry) async throws {
        let found = try await wait(for: entry, seconds: waiting.timeout) { nics -> InterfaceReport? in
            nics.first { nic in
                guard nic.link == interface else { return false }
                switch nic.state {
                case .up, .down, .failed: return true
                case .plugging, .unplugging: return false
                }
            }
        }
        guard let nic = found else {
            throw CommandFailure(
                .timedOut,
                "\(interface): the guest does not have it after \(waiting.timeout) s; it stays attached, and "
                    + "slipway net ls \(pod) shows what becomes of it")
        }
        if let reason = nic.state.reason {
            throw CommandFailure(
                .failure,
                "\(interface): the guest cannot have it: \(reason)\nIt stays attached until slipway net detach \(pod) "
                    + interface)
        }
        let number = nic.number.map { " \($0)" } ?? ""
        Output.line("\(interface): NIC\(number) of the guest" + (nic.mac.map { ", \($0)" } ?? ""))
    }

    /// The name that was asked for, or the first free one.
    private func freeInterface(_ entry: SandboxEntry, _ namespace: String) async throws -> String {
        let links = try await NetworkNamespace(path: namespace).run { try RTNetlink().links().map(\.name) }
        // A device without a link has a name too, and so has a function while the guest drives it.
        let devices = ((try? File.list(DeviceInformation.cniDirectory)) ?? []).compactMap { file in
            DeviceInformation.interface(ofFile: file, sandbox: entry.sandbox)
        }
        let functions = try entry.status().interfaces.filter(\.isFunction).map(\.link)
        let taken = Set(links + devices + functions + entry.attachments.interfaces)
        if let interface {
            guard !taken.contains(interface) else {
                throw CommandFailure(
                    .usage,
                    "--interface \(interface): the pod has a link, a device or an attachment of this name already")
            }
            return interface
        }
        return Self.firstFree(taken)
    }

    static func firstFree(_ taken: Set<String>) -> String {
        // One more than there are names cannot be taken.
        let number = (1...taken.count + 1).first { !taken.contains("net\($0)") }
        return "net\(number ?? taken.count + 1)"
    }
}

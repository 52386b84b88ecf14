internal import ArgumentParser
internal import LinuxSystem
internal import Netlink
internal import PodNetwork

/// `slipway net set`.
struct NetSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change a link of a running pod.",
        discussion: """
            Changes the link in the pod's network namespace; the sandbox does the same to the guest's NIC. A link that \
            is switched off loses its routes in the namespace, as everywhere in Linux.

            EXAMPLES
              slipway net set router net1 --mtu 9000
              slipway net set router net1 --link down
            """)

    enum LinkState: String, CaseIterable, ExpressibleByArgument {
        case up, down
    }

    @Argument(help: "Name, namespace/name or beginning of a sandbox id.")
    var pod: String

    @Argument(help: "The link's name in the pod.")
    var interface: String

    @Option(help: ArgumentHelp("Largest packet.", valueName: "bytes"))
    var mtu: UInt32?

    @Option(help: ArgumentHelp("The Ethernet address.", valueName: "address"))
    var mac: String?

    @Option(help: "up or down.")
    var link: LinkState?

    @OptionGroup var options: NetOptions

    func validate() throws {
        guard mtu != nil || mac != nil || link != nil else {
            throw ValidationError("Give --mtu, --mac or --link.")
        }
        // The least that IPv4 needs (RFC 791), and the most that its length field can say.
        if let mtu, !(68...65_535).contains(mtu) { throw ValidationError("--mtu \(mtu): 68 to 65535 are accepted.") }
        if let mac, MACAddress(mac)?.isStation != true {
            throw ValidationError("--mac \(mac): a unicast Ethernet address such as 0a:58:0a:58:00:05 is accepted.")
        }
    }

    var change: LinkChange {
        LinkChange(up: link.map { $0 == .up }, mtu: mtu, mac: mac.flatMap { MACAddress($0) })
    }

    func run() async throws {
        let entry = try SandboxEntry.find(pod, root: options.root)
        let (interface, change) = (interface, change)
        try await NetworkNamespace(path: entry.requireNamespace()).run {
            let netlink = try RTNetlink()
            let links = try netlink.links().filter { !$0.isMadeForGuest && !$0.flags.contains(.loopback) }
            guard links.contains(where: { $0.name == interface }) else {
                throw CommandFailure(
                    .notFound,
                    "pod \(entry.pod) has no link \"\(interface)\"; it has \(links.map(\.name).joined(separator: ", "))"
                )
            }
            try netlink.changeLink(interface, change)
        }
    }
}

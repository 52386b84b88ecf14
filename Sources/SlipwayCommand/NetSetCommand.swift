internal import ArgumentParser
internal import LinuxSystem
internal import Netlink
internal import PodNetwork
internal import StateDirectory

/// `slipway net set`.
struct NetSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change a link of a running pod.",
        discussion: """
            Changes the link in the pod's network namespace; the sandbox does the same to the guest's NIC. Linux takes \
            its routes and IPv6 addresses off a link that is switched off. The guest is told them nevertheless, and \
            --link up gives the link those back that --link down has taken.

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
        let (interface, change, note) = (interface, change, entry.directory.switchedOff(interface))
        try await NetworkNamespace(path: entry.requireNamespace()).run {
            let netlink = try RTNetlink()
            let links = try netlink.links().filter { !$0.isMadeForGuest && !$0.flags.contains(.loopback) }
            guard let link = links.first(where: { $0.name == interface }) else {
                throw CommandFailure(
                    .notFound,
                    "pod \(entry.pod) has no link \"\(interface)\"; it has \(links.map(\.name).joined(separator: ", "))"
                )
            }
            if change.up == false, link.flags.contains(.up) {
                try SwitchedOffLink(link, netlink).write(to: note)
            }
            try netlink.changeLink(interface, change)
            if change.up == true {
                if let taken = SwitchedOffLink(readingFrom: note), taken.linkIndex == link.index {
                    try taken.giveBack(to: link, netlink)
                }
                try File.remove(note)
            }
        }
    }
}

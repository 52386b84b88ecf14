internal import Netlink
internal import PodNetwork

/// One line of `slipway net ls`: a NIC, or a network attached by hand that is none (yet).
struct InterfaceRow: Renderable, Equatable, Sendable {
    static let columns = [
        "NIC", "LINK", "NETWORK", "BINDING", "MAC", "MTU", "ADDRESSES", "STATE", "GUEST PCI", "GUEST", "DROPPED",
    ]
    static let tableColumns = 8

    let cells: [String]

    /// A status's rows, and sentences about what is not as it should be.
    static func rows(_ status: NetworkReport) -> (rows: [InterfaceRow], notes: [String]) {
        let networks = Dictionary(status.attachments.map { ($0.interface, $0.network) }) { first, _ in first }
        var rows = status.interfaces.map { nic in
            InterfaceRow(cells: [
                nic.number.map { "\($0)" } ?? "-", nic.link, nic.network ?? networks[nic.link] ?? "-",
                nic.binding ?? "-", nic.mac.map { "\($0)" } ?? "-", nic.mtu.map { "\($0)" } ?? "-",
                nic.addresses.isEmpty ? "-" : nic.addresses.map(\.description).joined(separator: ","),
                nic.state.word, nic.guestAddress ?? "-", nic.guestName ?? "-", nic.dropped.map { "\($0)" } ?? "-",
            ])
        }
        let links = Set(status.interfaces.map(\.link))
        rows += status.attachments.filter { !links.contains($0.interface) }.map { attachment in
            InterfaceRow(cells: [
                "-", attachment.interface, attachment.network.isEmpty ? "-" : attachment.network, "-", "-", "-", "-",
                attachment.problem == nil ? "attached" : "incomplete", "-", "-", "-",
            ])
        }
        let notes =
            status.interfaces.compactMap { nic in nic.state.reason.map { "\(nic.link): \($0)" } }
            + status.attachments.compactMap { attachment in
                attachment.problem.map { "\(attachment.interface): \($0)" }
            }
        return (rows, notes)
    }
}

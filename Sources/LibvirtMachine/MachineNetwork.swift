import GuestConfiguration
import LinuxSystem
import MachinePlanning
import Netlink
import PodNetwork
import StateDirectory

/// The pod's network as a machine takes it over. Everything blocks and runs inside the pod's network namespace.
struct MachineNetwork {
    private let plan: NetworkPlan
    private let service: AddressService
    private var server: AddressServiceProcess?

    /// Reads what the CNI plugins made.
    ///
    /// - Parameter resolvConf: the pod's resolv.conf.
    init(resolvConf: String, directory: StateDirectory) throws {
        plan = try NetworkPlan(reading: RTNetlink(), resolvConf: resolvConf)
        service = AddressService(directory: directory.dhcp)
    }

    /// The links as the planner takes them.
    var links: [RequestedLink] {
        plan.interfaces.map { RequestedLink(name: $0.link, tap: $0.tap, mac: "\($0.mac)", mtu: $0.mtu) }
    }

    /// Joins every link to a TAP, and starts to answer guests that ask for their addresses.
    mutating func apply(owner: UInt32, hostName: String, log: @escaping @Sendable (String) -> Void) throws {
        let binding = try NetworkBinding()
        var answering: [AddressServiceLink] = []
        for interface in plan.interfaces {
            if let link = try binding.bind(interface, owner: owner) { answering.append(link) }
        }
        guard !answering.isEmpty else { return }
        try File.makeDirectory(service.directory, mode: 0o711)
        server = try AddressServiceProcess(
            service, AddressServiceConfiguration(answering, dns: plan.dns, hostName: hostName), oomScoreAdj: 0, log: log
        )
    }

    /// Undoes it; the pod's links are as they were.
    func remove() throws {
        server?.end()
        try NetworkBinding().unbindAll()
        try File.removeTree(service.directory)
    }

    /// As cloud-init is told.
    ///
    /// - Parameter nics: the NICs as they were planned.
    func guestNetwork(_ nics: [MachinePlan.NIC]) -> GuestNetwork {
        GuestNetwork(
            interfaces: plan.interfaces.map { interface in
                GuestNetwork.Interface(
                    name: interface.link, mac: "\(interface.mac)", mtu: Int(interface.guestMTU),
                    addresses: interface.addresses.map { "\($0)" },
                    routes: interface.routes.map {
                        GuestNetwork.Route(
                            to: "\($0.destination)", via: $0.gateway.map { "\($0)" }, onLink: $0.onLink,
                            metric: $0.metric.map { Int($0) })
                    },
                    nameservers: plan.dns.nameservers.map { "\($0)" }, search: plan.dns.search,
                    pciAddress: nics.first { $0.link == interface.link }.map(\.guestAddress),
                    tags: [interface.network, interface.link].compactMap(\.self),
                    isTrusted: interface.settings.isTrusted, isUp: interface.settings.isUp)
            })
    }
}

extension MachinePlan.NIC {
    /// Where the guest finds it: alone on the bus of its root port.
    var guestAddress: String {
        let bus = String(bus, radix: 16)
        return "0000:" + (bus.utf8.count < 2 ? "0" : "") + bus + ":00.0"
    }
}

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
        plan.interfaces.map { interface in
            RequestedLink(
                interface.link, number: interface.number, backend: interface.backend, mac: "\(interface.mac)",
                mtu: interface.settings.mtu.map { min($0, interface.mtu) } ?? interface.mtu,
                queues: interface.settings.queues, rxRing: interface.settings.rxRing, txRing: interface.settings.txRing,
                isUp: interface.settings.isUp)
        }
    }

    /// Joins every link to a TAP, and starts to answer guests that ask for their addresses.
    mutating func apply(_ machine: MachinePlan, log: @escaping @Sendable (String) -> Void) throws {
        let binding = try NetworkBinding()
        var answering: [AddressServiceLink] = []
        for interface in plan.interfaces {
            let queues = machine.nic(interface.number)?.queues.value ?? 1
            if let link = try binding.bind(interface, owner: machine.user, multiQueue: queues > 1) {
                answering.append(link)
            }
        }
        guard !answering.isEmpty else { return }
        try File.makeDirectory(service.directory, mode: 0o711)
        server = try AddressServiceProcess(
            service,
            AddressServiceConfiguration(answering, dns: plan.dns, hostName: machine.identity.podName), oomScoreAdj: 0,
            log: log)
    }

    /// Undoes it; the pod's links are as they were.
    func remove() throws {
        server?.end()
        try NetworkBinding().unbindAll()
        try File.removeTree(service.directory)
    }

    /// As cloud-init is told.
    var guestNetwork: GuestNetwork {
        GuestNetwork(
            interfaces: plan.interfaces.map { interface in
                GuestNetwork.Interface(
                    name: interface.link, mac: "\(interface.mac)", mtu: Int(interface.mtu),
                    addresses: interface.addresses.map { "\($0)" },
                    routes: interface.routes.map {
                        GuestNetwork.Route(
                            to: "\($0.destination)", via: $0.gateway.map { "\($0)" }, onLink: $0.onLink)
                    },
                    nameservers: plan.dns.nameservers.map { "\($0)" }, search: plan.dns.search)
            })
    }
}

extension InterfacePlan {
    /// As the machine's planner takes it.
    var backend: NICBackend {
        switch binding {
        case .tap, .masquerade: .tap(device: tap)
        case .macvtap(let made): .macvtap(device: made ? tap : link)
        case .hostDevice(let address): .hostDevice(address: address, isManaged: false)
        case .vhostUser(let path, let listens): .vhostUser(path: path, listens: listens)
        case .vdpa(let path): .vdpa(path: path)
        }
    }
}

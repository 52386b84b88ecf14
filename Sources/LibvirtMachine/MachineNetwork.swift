import GuestConfiguration
import HostFunction
import LinuxSystem
import MachinePlanning
import Netlink
import PodNetwork
import StateDirectory
import SwitchSocket
import Synchronization

/// The pod's networks as one machine has them: what joins its NICs to the links, and who answers its questions for
/// addresses. Everything blocks and runs inside the pod's network namespace, on one thread after the other.
final class MachineNetwork: Sendable {
    private struct State {
        var plan: NetworkPlan
        /// QEMU's user, once there is one.
        var user: UInt32?
        /// The number of every NIC that there has been, by its link's name.
        var numbers: [String: Int]
        var answering: [Int: AddressServiceLink] = [:]
        /// Switches that are tried for NICs that are to come.
        var trials: [SwitchTrial] = []
        var server: AddressServiceProcess?
    }

    private struct SwitchTrial {
        let socket: SwitchSocket
        let errand: Errand<Void>
    }

    /// An event that is signalled when a switch has been tried for a NIC that is to come.
    let tried: FileDescriptor

    private let state: Mutex<State>
    private let service: AddressService
    /// Where functions that were taken from their drivers are recorded.
    private let functions: String
    /// Sockets of switches to which QEMU was let in.
    private let sockets: GrantedSockets
    /// The pod's namespace by its file; nil where it has none.
    private let namespace: String?
    private let hostName: String
    private let log: @Sendable (String) -> Void

    /// Reads what the CNI plugins made.
    ///
    /// - Parameter hostName: what the guest is called by DHCP.
    /// - Throws: `SystemError`, `NetworkRefusal`.
    init(
        _ request: NetworkRequest, namespace: String?, hostName: String, directory: StateDirectory,
        log: @escaping @Sendable (String) -> Void
    ) throws {
        tried = try FileDescriptor.event()
        functions = directory.functions
        sockets = GrantedSockets(directory)
        self.namespace = namespace
        let plan = try NetworkPlan(reading: RTNetlink(), request: request)
        let numbers = Dictionary(plan.interfaces.map { ($0.link, $0.number) }, uniquingKeysWith: { first, _ in first })
        state = Mutex(State(plan: plan, numbers: request.kept.merging(numbers) { _, new in new }))
        service = AddressService(directory: directory.dhcp)
        self.hostName = hostName
        self.log = log
        for (mac, twins) in Dictionary(grouping: plan.interfaces, by: \.mac) where twins.count > 1 {
            log(
                "NICs \(twins.map(\.link).joined(separator: ", ")) have one Ethernet address, \(mac), and a guest that "
                    + "tells its NICs by it, as cloud-init does, cannot; \"mac\" of a network in the pod's annotation gives "
                    + "it another, if its plugins take one")
        }
    }

    /// What the guest has, or is about to get.
    var plan: NetworkPlan { state.withLock { $0.plan } }

    /// The number of every NIC that there has been, by its link's name: the pod's later machines have the same.
    var numbers: [String: Int] { state.withLock { $0.numbers } }

    /// The links as the planner takes them.
    var links: [RequestedLink] { plan.interfaces.map { RequestedLink($0) } }

    /// Takes the functions that the guest shall drive from their drivers, which has to be before the machine is planned.
    /// After an error ``remove()`` gives them back.
    func takeFunctions() throws {
        for interface in plan.interfaces { try takeFunction(of: interface) }
    }

    private func takeFunction(of interface: InterfacePlan) throws {
        guard case .hostDevice(let address) = interface.binding else { return }
        var link: FunctionLink?
        // One that was taken already has no link any more.
        if interface.linkIndex > 0, let namespace, try !HostFunction(address, link: nil).isFree {
            link = try FunctionLink(interface.link, in: namespace)
        }
        try HostFunction(address, link: link).take(recordingIn: functions, mac: interface.mac) {
            log("NIC \(interface.link): \($0)")
        }
    }

    /// Joins every NIC, and starts to answer guests that ask for their addresses. After an error ``remove()`` undoes what
    /// was done.
    func apply(_ machine: MachinePlan) throws {
        for interface in plan.interfaces {
            if let socket = interface.switchSocket {
                try letIn(interface, to: socket, machine)
                try refusing(interface, socket, machine) { try socket.probe(as: machine.user, group: machine.group) }
            }
            try join(interface, machine)
        }
        try answer()
    }

    /// Joins a NIC that the guest gets to its link. A switch has been tried before.
    func join(_ interface: InterfacePlan, _ machine: MachinePlan) throws {
        state.withLock { $0.user = machine.user }
        // libvirt, which opens it, says less of one that is not there.
        if case .vdpa(let path) = interface.binding, !File.exists(path) {
            throw NetworkRefusal.device(
                link: interface.link, found: "\(path), which is not there",
                accepted: "a vDPA device of this node (vdpa dev show) that the driver vhost_vdpa has")
        }
        try takeFunction(of: interface)
        let queues = machine.nic(interface.number)?.queues.value ?? 1
        let link = try NetworkBinding().bind(interface, owner: machine.user, multiQueue: queues > 1)
        state.withLock { state in
            state.answering[interface.number] = link
            guard !state.plan.interfaces.contains(interface) else { return }
            state.numbers[interface.link] = interface.number
            state.plan.apply(.plug(interface))
        }
    }

    /// Whether a NIC that is to come can be joined. QEMU stands still for as long as nobody is at the other end, so a
    /// switch is tried first, and tells by ``tried``: one that is away or hangs takes its time.
    ///
    /// - Throws: `SwitchRefusal`; then QEMU is not let in any more.
    func isReady(_ interface: InterfacePlan, _ machine: MachinePlan) throws -> Bool {
        guard let socket = interface.switchSocket else { return true }
        if let trial = state.withLock({ state in state.trials.first { $0.socket == socket } }) {
            guard let result = trial.errand.result else { return false }
            state.withLock { $0.trials.removeAll { $0.socket == socket } }
            try refusing(interface, socket, machine) { try result.get() }
            // Another NIC's socket in the same directory may have been made meanwhile, and the directory closed.
            try letIn(interface, to: socket, machine)
            return true
        }
        try letIn(interface, to: socket, machine)
        let errand = try Errand("switch", done: tried) { try socket.probe(as: machine.user, group: machine.group) }
        state.withLock { $0.trials.append(SwitchTrial(socket: socket, errand: errand)) }
        return false
    }

    /// Takes access back that no NIC needs: those that were to come may have gone meanwhile.
    ///
    /// - Parameter coming: what the guest shall have.
    func tidy(_ coming: NetworkPlan) throws {
        let wanted = coming.interfaces.compactMap(\.switchSocket)
        let needed = state.withLock { state in
            state.trials.removeAll { $0.errand.result != nil && !wanted.contains($0.socket) }
            return state.plan.interfaces.compactMap(\.switchSocket) + state.trials.map(\.socket)
        }
        try sockets.revokeAll(except: needed)
    }

    private func letIn(_ interface: InterfacePlan, to socket: SwitchSocket, _ machine: MachinePlan) throws {
        try refusing(interface, socket, machine) { try sockets.grant(socket, to: machine.user) }
    }

    /// Says what a switch that cannot be had has to do with the NIC, and takes access back.
    private func refusing(
        _ interface: InterfacePlan, _ socket: SwitchSocket, _ machine: MachinePlan, _ body: () throws -> Void
    ) throws {
        do { try body() } catch {
            try? sockets.revoke(socket, from: machine.user)
            guard let cause = error as? SystemError else { throw error }
            throw SwitchRefusal(interface: interface.link, socket: socket, cause: cause)
        }
    }

    /// QEMU has made the sockets to which switches connect.
    func closeDirectories() {
        guard let user = state.withLock({ $0.user }) else { return }
        for interface in plan.interfaces {
            guard let socket = interface.switchSocket else { continue }
            do { try sockets.closeDirectory(of: socket, to: user) } catch {
                log("NIC \(interface.link): the directory of its socket stays open to QEMU: \(error)")
            }
        }
    }

    /// Lets QEMU in to sockets that their switches have made anew.
    ///
    /// - Returns: the NICs behind them.
    func letInAgain() -> [InterfacePlan] {
        guard let user = state.withLock({ $0.user }) else { return [] }
        return plan.interfaces.filter { interface in
            guard let socket = interface.switchSocket, !socket.listens else { return false }
            // A switch that is away has no socket; its directory tells when there is one.
            return (try? sockets.grant(socket, to: user)) == true
        }
    }

    /// Takes a NIC that the guest has no more off its link.
    func release(_ interface: InterfacePlan) throws {
        state.withLock { state in
            state.answering[interface.number] = nil
            state.plan.apply(.unplug(interface))
        }
        try NetworkBinding().unbind(tap: interface.tap)
        if case .hostDevice(let address) = interface.binding {
            try HostFunction.giveBack(address, recordedIn: functions)
        }
        if let socket = interface.switchSocket, let user = state.withLock({ $0.user }) {
            try sockets.revoke(socket, from: user)
        }
    }

    /// Joins a NIC that the guest keeps to what its link has become.
    func rejoin(_ interface: InterfacePlan) throws {
        try NetworkBinding().rejoin(interface)
        state.withLock { state in
            if let old = state.plan.interfaces.first(where: { $0.number == interface.number }) {
                state.plan.apply(.rejoin(from: old, to: interface))
            }
        }
    }

    /// Gives a NIC that the guest keeps other addresses.
    func readdress(_ interface: InterfacePlan) throws {
        let link = try NetworkBinding().readdress(interface)
        state.withLock { state in
            state.answering[interface.number] = link
            state.plan.apply(.readdress(interface))
        }
    }

    /// Takes note of a change that needs nothing but to be told to the guest.
    func note(_ step: NetworkStep) { state.withLock { $0.plan.apply(step) } }

    /// Brings the address service to what the NICs are now.
    func answer() throws {
        try state.withLock { state in
            // What is told of a NIC is what it is now: its MTU may be another one since it was joined.
            let links = state.plan.interfaces.sorted { $0.number < $1.number }.compactMap { interface in
                state.answering[interface.number].map { link in
                    AddressServiceLink(name: link.name, index: link.index, plan: interface, routes: link.routes)
                }
            }
            let configuration = AddressServiceConfiguration(links, dns: state.plan.dns, hostName: hostName)
            if let server = state.server {
                try server.update(configuration)
            } else if !links.isEmpty {
                try File.makeDirectory(service.directory, mode: 0o711)
                state.server = try AddressServiceProcess(service, configuration, oomScoreAdj: 0, log: log)
            }
        }
    }

    /// Undoes it; the pod's links are as they were. The first error does not stop the rest.
    func remove() throws {
        let server = state.withLock { state in
            defer { state.server = nil }
            return state.server
        }
        server?.end()
        // Whatever else fails: the network's plugins, which are called next, want the links.
        for problem in HostFunction.giveBackAll(in: functions) { log("cannot \(problem)") }
        let results = [
            Result { try NetworkBinding().unbindAll() }, Result { try sockets.revokeAll() },
            Result { try File.removeTree(service.directory) },
        ]
        for result in results { try result.get() }
    }

    /// As cloud-init is told, in the order of the guest's PCI bus.
    ///
    /// - Parameter nics: the NICs as they were planned.
    func guestNetwork(_ nics: [MachinePlan.NIC]) -> GuestNetwork {
        GuestNetwork(
            interfaces: plan.interfaces.sorted { $0.number < $1.number }.map { interface in
                GuestNetwork.Interface(
                    name: interface.link, mac: "\(interface.mac)", mtu: Int(interface.guestMTU),
                    addresses: interface.addresses.map { "\($0)" },
                    routes: interface.routes.map {
                        GuestNetwork.Route(
                            to: "\($0.destination)", via: $0.gateway.map { "\($0)" }, onLink: $0.onLink,
                            metric: $0.metric.map { Int($0) })
                    },
                    nameservers: plan.dns.nameservers.map { "\($0)" }, search: plan.dns.search,
                    pciAddress: nics.first { $0.link == interface.link }.map(\.pciAddress),
                    tags: [interface.network, interface.link].compactMap(\.self),
                    isTrusted: interface.settings.isTrusted, isUp: interface.settings.isUp)
            })
    }
}

extension InterfacePlan {
    /// Where it meets its switch; nil for a NIC that has none in user space.
    fileprivate var switchSocket: SwitchSocket? {
        guard case .vhostUser(let path, let listens) = binding else { return nil }
        return SwitchSocket(path, listens: listens)
    }

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

extension RequestedLink {
    /// A link as the machine's planner takes it.
    init(_ interface: InterfacePlan) {
        self.init(
            interface.link, number: interface.number, backend: interface.backend, mac: "\(interface.mac)",
            mtu: interface.mtu, queues: interface.settings.queues, rxRing: interface.settings.rxRing,
            txRing: interface.settings.txRing, isUp: interface.hasCarrier)
    }
}

extension MachinePlan {
    /// Most pairs of queues that a NIC has unless it asks for more: beyond, a guest gains little, and every pair costs
    /// descriptors, interrupts and, with vhost-net, a thread.
    static let defaultQueues = 8
    /// Pairs of queues that NICs which do not ask share among them, so that many NICs on many vCPUs do not multiply.
    static let sharedQueues = 64

    /// Decides about the NICs and the root ports that are kept for later ones.
    mutating func plan(_ links: [RequestedLink], reserved: Int) throws(PlanRefusal) {
        guard links.count <= Self.maximumNICs else {
            throw PlanRefusal(
                field: "network",
                problem:
                    "\(links.count) links in the pod's network namespace; up to \(Self.maximumNICs) are accepted")
        }
        for link in links {
            guard (0..<Self.maximumNICs).contains(link.number) else {
                throw Self.refusal(
                    link, "has the number \(link.number); 0 to \(Self.maximumNICs - 1) are accepted")
            }
        }
        let used = (links.map(\.number).max() ?? -1) + 1
        nicPorts = Decision(
            used + reserved, "\(used) for links at start, \(reserved) for later ones (slipway.dev/hot-nics)")
        for link in links {
            try insert(link, share: Self.sharedQueues / links.count, because: Self.reason(link))
        }
    }

    /// The plan with one more NIC, as the machine runs.
    ///
    /// - Throws: ``PlanRefusal`` that names the link when its number has no root port or has a NIC already, and when the
    ///   machine was not started for what it needs.
    public func adding(_ link: RequestedLink) throws(PlanRefusal) -> MachinePlan {
        guard (0..<nicPorts.value).contains(link.number) else {
            throw Self.refusal(
                link,
                "would be NIC \(link.number) of a machine with \(nicPorts.value) root ports for NICs; remove another "
                    + "one, or start the pod with a larger \(MachineAnnotations.prefix)hot-nics", kind: .exhausted)
        }
        if let kind = link.backend.sharesMemory, !sharedMemory.value {
            throw Self.refusal(
                link,
                "is \(kind), and the machine's memory is not shared; start the pod with "
                    + "\(MachineAnnotations.prefix)shared-memory: \"true\"")
        }
        var plan = self
        let taken = nics.reduce(0) { $0 + $1.queues.value }
        try plan.insert(
            link, share: Self.sharedQueues - taken, because: "NIC \(link.number), plugged in while the machine ran")
        return plan
    }

    /// The plan without a NIC; its root port is free then. None of that number is fine.
    public func removing(_ number: Int) -> MachinePlan {
        var plan = self
        plan.nics.removeAll { $0.number == number }
        return plan
    }

    /// The NIC of a number.
    public func nic(_ number: Int) -> NIC? { nics.first { $0.number == number } }

    private static func reason(_ link: RequestedLink) -> String {
        link.number == 0 ? "the pod's first link" : "link \(link.number + 1) of the pod, in their order"
    }

    private mutating func insert(
        _ link: RequestedLink, share: Int, because reason: String
    ) throws(PlanRefusal) {
        if let other = nic(link.number) {
            throw Self.refusal(link, "has the number \(link.number), which link \(other.link) has already")
        }
        try check(link)
        let nic = NIC(
            number: link.number, link: link.name, backend: link.backend, mac: link.mac, mtu: link.mtu,
            queues: queues(link, share: share), rxRing: link.rxRing, txRing: link.txRing, isUp: link.isUp,
            driver: driver(link.backend), bus: UInt8(clamping: link.number + 1),
            guestBus: UInt8(clamping: link.number + 1), reason: reason)
        nics.insert(nic, at: nics.firstIndex { $0.number > nic.number } ?? nics.endIndex)
    }

    private func check(_ link: RequestedLink) throws(PlanRefusal) {
        // The virtio specification's least, and the most that its 16 bits hold.
        guard (68...65535).contains(link.mtu) else {
            throw Self.refusal(link, "has an MTU of \(link.mtu); 68 to 65535 are accepted")
        }
        if link.backend.isHostDevice {
            guard link.queues == nil, link.rxRing == nil, link.txRing == nil, link.isUp else {
                throw Self.refusal(
                    link, "is a PCI function, whose queues, rings and carrier are its hardware's; leave them out")
            }
        }
        if let queues = link.queues, !(1...NICBackend.maximumQueues).contains(queues) {
            throw Self.refusal(link, "asks for \(queues) queues; 1 to \(NICBackend.maximumQueues) are accepted")
        }
        if let queues = link.queues, queues > 1, isLimitedToOneQueue(link.backend) {
            throw Self.refusal(
                link,
                "asks for \(queues) queues; a vhost-user NIC has 1 where QEMU's translator executes the guest, as each "
                    + "more needs MSI-X, which ends QEMU there")
        }
        if let ring = link.rxRing, ![256, 512, 1024].contains(ring) {
            throw Self.refusal(link, "asks for a receive ring of \(ring); 256, 512 and 1024 are accepted")
        }
        guard let ring = link.txRing else { return }
        // QEMU's limit: TAPs send from an I/O vector of so many buffers.
        let accepted = link.backend.isVhostUser ? [256, 512, 1024] : [256]
        guard accepted.contains(ring) else {
            let words =
                link.backend.isVhostUser
                ? "256, 512 and 1024 are accepted" : "256 is accepted, and up to 1024 for vhost-user alone"
            throw Self.refusal(link, "asks for a send ring of \(ring); \(words)")
        }
    }

    private func isLimitedToOneQueue(_ backend: NICBackend) -> Bool {
        backend.isVhostUser && accelerator.value == .tcg
    }

    private func queues(_ link: RequestedLink, share: Int) -> Decision<Int> {
        if link.backend.isHostDevice { return Decision(1, "the hardware's") }
        if let queues = link.queues { return Decision(queues, "asked for") }
        if isLimitedToOneQueue(link.backend) { return Decision(1, "QEMU's translator executes the guest") }
        // A macvtap goes with its link, whoever deletes that. A guest that then lets go of a NIC with several queues, or
        // starts anew, ends QEMU (virtio_net_set_queue_pairs: Assertion `!r' failed).
        if case .macvtap = link.backend { return Decision(1, "QEMU survives the end of a macvtap with one") }
        let wanted = min(vcpusLimit.value, Self.defaultQueues)
        guard share >= wanted else {
            return Decision(max(share, 1), "its part of the \(Self.sharedQueues) that NICs share")
        }
        return Decision(
            wanted,
            vcpusLimit.value > Self.defaultQueues
                ? "no more unless asked for"
                : vcpusLimit.value == 1 ? "one vCPU" : "one for each of \(vcpusLimit.value) vCPUs")
    }

    private func driver(_ backend: NICBackend) -> Decision<NIC.Driver> {
        switch backend {
        case .vhostUser: Decision(.peer, "the switch")
        case .vdpa, .hostDevice: Decision(.peer, "hardware")
        // libvirt gives vhost-net to guests of KVM alone.
        case .tap, .macvtap:
            accelerator.value == .tcg
                ? Decision(.qemu, "QEMU's translator executes the guest")
                : vhostNet ? Decision(.vhost, "the node has /dev/vhost-net") : Decision(.qemu, "no /dev/vhost-net")
        }
    }

    private static func refusal(
        _ link: RequestedLink, _ problem: String, kind: PlanRefusal.Kind = .invalid
    ) -> PlanRefusal {
        PlanRefusal(kind, field: "network, link \(link.name)", problem: problem)
    }

    /// Whether processes other than QEMU can map the guest's RAM, which has to be so from the start.
    static func sharedMemory(_ request: MachineRequest) -> Decision<Bool> {
        if let link = request.links.first(where: { $0.backend.sharesMemory != nil }) {
            return Decision(true, "who is behind link \(link.name) reads and writes it")
        }
        return request.annotations.sharedMemory
            ? Decision(true, MachineAnnotations.prefix + "shared-memory") : Decision(false, "nobody reads it but QEMU")
    }
}

internal import MachinePlanning

extension Comparison {
    /// The NICs that hang on TAPs: each TAP is there and open, with the pod's link beside it, and no other one is open.
    func nics() -> [Drift] {
        var drift: [Drift] = []
        var planned: Set<String> = []
        for nic in plan.nics {
            let subject = "NIC \(nic.link)"
            if case .tap(let tap) = nic.backend {
                planned.insert(tap)
                let open = machine.taps.count { $0 == tap }
                if open == 0 {
                    drift.append(Drift(subject, planned: "on \(tap)", found: "QEMU has not opened it"))
                } else if open != nic.queues.value {
                    drift.append(
                        Drift(subject, planned: "\(nic.queues.value) queues of \(tap)", found: "\(open) open"))
                }
                if let links = machine.links, !links.contains(tap) {
                    drift.append(Drift(subject, planned: "on \(tap)", found: "no such link in the pod's namespace"))
                }
            }
            if nic.backend.hasLink, let links = machine.links, !links.contains(nic.link) {
                drift.append(
                    Drift(
                        subject, planned: "beside the pod's link \(nic.link)", found: "no such link",
                        remedy: "the guest has not let go of it, if the link was taken away a moment ago"))
            }
        }
        for tap in Set(machine.taps).subtracting(planned).sorted() {
            drift.append(Drift("TAP \(tap)", planned: "not the machine's", found: "open"))
        }
        return drift
    }
}

extension NICBackend {
    /// Whether a link of the pod's namespace stands beside the guest's NIC.
    fileprivate var hasLink: Bool {
        switch self {
        case .tap, .macvtap: true
        case .vhostUser, .vdpa, .hostDevice: false
        }
    }
}

internal import MachinePlanning
internal import PodNetwork

extension Comparison {
    /// The NICs: QEMU has opened what each hangs on, and no other TAP, and nothing is missing between there and the pod's
    /// link.
    func nics() -> [Drift] {
        var drift: [Drift] = []
        var planned: Set<String> = []
        for nic in plan.nics {
            let subject = "NIC \(nic.link)"
            switch nic.backend {
            case .tap(let tap), .macvtap(let tap):
                planned.insert(tap)
                let open = machine.taps.count { $0 == tap }
                if open == 0 {
                    drift.append(Drift(subject, planned: "on \(tap)", found: "QEMU has not opened it"))
                } else if open != nic.queues.value {
                    drift.append(
                        Drift(subject, planned: "\(nic.queues.value) queues of \(tap)", found: "\(open) open"))
                }
                drift += (machine.network?.gaps(between: tap, and: nic.link) ?? []).map { gap in
                    Drift(subject, planned: gap.planned, found: gap.found, remedy: gap.remedy)
                }
            case .vhostUser(let path, _):
                // The switch may have the directory at another place: the socket's own name has to do.
                func name(_ path: String) -> Substring? { path.split(separator: "/").last }
                if let connections = machine.connections, !connections.contains(where: { name($0) == name(path) }) {
                    drift.append(
                        Drift(
                            subject, planned: "connected over \(path)", found: "not connected",
                            remedy: "the switch does not run, or has no such port"))
                }
            case .vdpa(let path):
                if !machine.openDevices.contains(where: { "/dev/\($0)" == path }) {
                    drift.append(Drift(subject, planned: "on \(path)", found: "QEMU has not opened it"))
                }
            // Compared as the device that it is.
            case .hostDevice: break
            }
        }
        for tap in Set(machine.taps).subtracting(planned).sorted() {
            drift.append(Drift("TAP \(tap)", planned: "not the machine's", found: "open"))
        }
        return drift
    }
}

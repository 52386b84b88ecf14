import DomainXML
import Libvirt
import MachinePlanning
import PodNetwork
import Sandbox

// NICs of a running machine. All calls block.
extension LibvirtMachine {
    /// Gives the guest a NIC and joins it to its link. After an error both are as they were.
    ///
    /// - Throws: `PlanRefusal` when the machine has no place for it, `SystemError`, `LibvirtError`.
    func plug(_ interface: InterfacePlan, into network: MachineNetwork) throws {
        try change { plan in
            let next = try plan.adding(RequestedLink(interface))
            try network.join(interface, next)
            do {
                try domain.attach(device: try nic(interface.number, of: next).deviceXML)
                network.closeDirectories()
            } catch {
                try? network.release(interface)
                throw error
            }
            resize.pinVhostWorkers(next)
            return next
        }
    }

    /// Asks the guest to let go of a NIC. It does so when it gets to it: libvirt tells by the device's alias.
    ///
    /// - Returns: false when the machine has no such device.
    func unplug(_ number: Int) throws -> Bool {
        guard let nic = planned.nic(number) else { return false }
        do {
            try domain.detach(alias: nic.alias)
            return true
        } catch {
            if error.isNoDevice { return false }
            throw error
        }
    }

    /// The guest has let go of a NIC.
    func forget(_ number: Int) throws {
        try change { $0.removing(number) }
    }

    /// Shows the guest a carrier on a NIC, or none.
    func set(carrier isUp: Bool, of number: Int) throws {
        try change { plan in
            guard let index = plan.nics.firstIndex(where: { $0.number == number }), plan.nics[index].isUp != isUp else {
                return plan
            }
            var next = plan
            next.nics[index].isUp = isUp
            // The carrier of hardware is the hardware's.
            guard !next.nics[index].backend.isHardware else { return plan }
            if case .vhostUser = next.nics[index].backend {
                try domain.set(carrier: isUp, of: next.nics[index].alias)
            } else {
                try domain.update(device: next.nics[index].deviceXML)
            }
            return next
        }
    }

    private func nic(_ number: Int, of plan: MachinePlan) throws -> MachinePlan.NIC {
        guard let nic = plan.nic(number) else {
            throw SandboxError(.internalError, "the plan has no NIC \(number)")
        }
        return nic
    }
}

extension NICBackend {
    fileprivate var isHardware: Bool {
        switch self {
        case .hostDevice, .vdpa: true
        default: false
        }
    }
}

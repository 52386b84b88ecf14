import Libvirt
import LinuxSystem
import MachinePlanning
import PodNetwork

/// A machine as the follower of its network sees it. All calls block.
protocol FollowedMachine: Sendable {
    /// The plan as it is at this moment.
    var planned: MachinePlan { get }
    /// Readable when the machine has ended.
    var ended: FileDescriptor { get }
    /// Calls when the guest has let go of a device, with its alias, on any thread.
    ///
    /// - Returns: what keeps the calls coming for as long as it is kept.
    func onDeparture(_ body: @escaping @Sendable (String) -> Void) throws -> any Sendable
    /// Gives the guest a NIC and joins it to its link. After an error both are as they were.
    func plug(_ interface: InterfacePlan, into network: MachineNetwork) throws
    /// Asks the guest to let go of a NIC; false when the machine has no such device.
    func unplug(_ number: Int) throws -> Bool
    /// The guest has let go of a NIC.
    func forget(_ number: Int) throws
    /// Shows the guest a carrier on a NIC, or none.
    func set(carrier isUp: Bool, of number: Int) throws
    /// Whether QEMU has a connection to the switch of a vhost-user NIC.
    func isConnected(toSwitchOf alias: String) throws -> Bool
    /// The names that the guest has for its NICs, by Ethernet address, in its order.
    ///
    /// - Throws: where no agent answers.
    func guestInterfaces() throws -> [String: [String]]
}

extension LibvirtMachine: FollowedMachine {
    var ended: FileDescriptor { process.pidfd }

    func onDeparture(_ body: @escaping @Sendable (String) -> Void) throws -> any Sendable {
        try domain.onDevice { event in
            if case .removed(let alias) = event { body(alias) }
        }
    }

    func isConnected(toSwitchOf alias: String) throws -> Bool { try domain.isConnected(toSwitchOf: alias) }

    func guestInterfaces() throws -> [String: [String]] { try GuestAgent(domain).interfaces() }
}

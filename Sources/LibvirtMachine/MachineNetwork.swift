import LinuxSystem
import MachinePlanning
import StateDirectory

/// The pod's network as a machine takes it over.
struct MachineNetwork {
    let links: [RequestedLink]

    static func plan() throws -> MachineNetwork { MachineNetwork(links: []) }
    func apply(owner: UInt32) throws {}
    func serveAddresses(plan: MachinePlan, directory: StateDirectory) async throws {}
    func remove() {}
}

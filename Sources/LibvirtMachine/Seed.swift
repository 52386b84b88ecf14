import Glibc
import GuestConfiguration
import HostTopology
import LinuxSystem
import MachinePlanning
import OCIRuntimeSpec
import PodNetwork

/// The machine's cloud-init seed.
enum Seed {
    /// Writes the image. Blocks for the run of one program.
    ///
    /// - Parameter overrides: the pod's own seed directory, whose files stand in place of ours.
    static func write(
        _ kind: SeedKind, to path: String, plan: MachinePlan, network: MachineNetwork, spec: Spec, overrides: String?
    ) throws {
        let files = try overrides.map { directory in
            try CloudInitSeed.overrides(in: FileDescriptor.open(directory, O_RDONLY | O_DIRECTORY), for: kind)
        }
        let identity = GuestIdentity(
            hostname: plan.identity.podName, instanceID: plan.uuid.value, namespace: plan.identity.podNamespace,
            name: plan.identity.podName)
        let seed = try CloudInitSeed(
            kind, identity: identity, network: network.guestNetwork(plan.nics), machine: plan.guestMachine,
            environment: DeviceEnvironment.rewriting(spec.process?.env ?? [], plan.guestAddresses),
            command: spec.process?.args ?? [], overrides: files ?? [:])
        try seed.writeImage(to: path)
    }
}

extension MachineAnnotations.CloudInit {
    /// The kind of seed to make; nil for none.
    var seed: SeedKind? {
        switch self {
        case .nocloud: .noCloud
        case .configdrive: .configDrive
        case .none: nil
        }
    }
}

extension MachinePlan {
    /// Where the guest finds the host's PCI functions, by their addresses on the host.
    var guestAddresses: [String: String] {
        var addresses: [String: String] = [:]
        for nic in nics {
            if case .hostDevice(let address, _) = nic.backend { addresses[address] = nic.pciAddress }
        }
        for device in devices { addresses[device.address] = NIC.pciAddress(bus: device.bus) }
        return addresses
    }

    /// What the guest is told of its placement.
    var guestMachine: GuestMachine {
        let isPinned = if case .pinned = placement.processors.value { true } else { false }
        let pageSize: UInt64 = if case .huge(let size) = placement.pages.value { size } else { 4096 }
        return GuestMachine(
            vcpus: vcpus.value, threadsPerCore: placement.topology.value.threads, isPinned: isPinned,
            realtime: "\(placement.realtime.value)", pageSize: pageSize,
            cells: placement.cells.map { GuestMachine.Cell(vcpus: "\($0.vcpus)", memory: $0.memory) })
    }
}

import Glibc
import GuestConfiguration
import HostTopology
import LinuxSystem
import MachinePlanning
import OCIRuntimeSpec
import PodNetwork

/// The machine's cloud-init seed, which follows its NICs: a guest that boots again is told those that it has then.
struct Seed: Sendable {
    /// What a NIC takes in one of the files, with two addresses and as many routes.
    private static let bytesPerNIC = 768

    private let kind: SeedKind
    private let path: String
    private let identity: GuestIdentity
    private let command: [String]
    /// What the image holds of the files that tell of NICs, without those that the pod brought.
    private var told: [CloudInitSeed.File: [UInt8]] = [:]

    /// Writes the image. Blocks for the run of one program.
    ///
    /// - Parameter overrides: the pod's own seed directory, whose files stand in place of ours.
    init(
        writing kind: SeedKind, to path: String, plan: MachinePlan, network: MachineNetwork, spec: Spec,
        overrides: String?
    ) throws {
        let overriding = try overrides.map { directory in
            try CloudInitSeed.overrides(in: FileDescriptor.open(directory, O_RDONLY | O_DIRECTORY), for: kind)
        }
        self.kind = kind
        self.path = path
        command = spec.process?.args ?? []
        identity = GuestIdentity(
            hostname: plan.identity.podName, instanceID: plan.uuid.value, namespace: plan.identity.podNamespace,
            name: plan.identity.podName)
        let seed = try CloudInitSeed(
            kind, identity: identity, network: network.guestNetwork(plan.nics), machine: plan.guestMachine,
            environment: DeviceEnvironment.rewriting(spec.process?.env ?? [], plan.guestAddresses), command: command,
            // For those that may come, and for more addresses of those that are there.
            overrides: overriding ?? [:], room: (plan.nicPorts.value - plan.nics.count + 1) * Self.bytesPerNIC)
        try seed.writeImage(to: path)
        for file in CloudInitSeed.networkFiles where overriding?[file] == nil { told[file] = seed.files[file] }
    }

    /// Brings the image, which QEMU has open, to what the NICs are now. Nothing is written where it says so already.
    mutating func follow(_ plan: MachinePlan, _ network: MachineNetwork) throws {
        guard !told.isEmpty else { return }
        let seed = try CloudInitSeed(
            kind, identity: identity, network: network.guestNetwork(plan.nics), machine: plan.guestMachine,
            command: command)
        for (file, old) in told {
            told[file] = try CloudInitSeed.rewrite(old, as: seed.files[file] ?? [], inImage: path)
        }
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
            if let address = nic.backend.function { addresses[address] = nic.pciAddress }
        }
        for device in devices { addresses[device.address] = device.pciAddress }
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

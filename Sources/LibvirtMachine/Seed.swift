import Glibc
import GuestConfiguration
import LinuxSystem
import MachinePlanning
import OCIRuntimeSpec

/// The machine's cloud-init seed.
enum Seed {
    /// Writes the image. Blocks for the run of one program.
    ///
    /// - Parameter overrides: the pod's own seed directory, whose files stand in place of ours.
    static func write(
        to path: String, plan: MachinePlan, network: MachineNetwork, spec: Spec, overrides: String?
    ) throws {
        let files = try overrides.map { directory in
            try CloudInitSeed.overrides(in: FileDescriptor.open(directory, O_RDONLY | O_DIRECTORY))
        }
        let identity = GuestIdentity(
            hostname: plan.identity.podName, instanceID: plan.uuid.value, namespace: plan.identity.podNamespace,
            name: plan.identity.podName)
        let seed = try CloudInitSeed(
            identity: identity, network: network.guestNetwork, environment: spec.process?.env ?? [],
            command: spec.process?.args ?? [], overrides: files ?? [:])
        try seed.writeImage(to: path)
    }
}

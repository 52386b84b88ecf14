import Cgroup
import DiskImage
import DomainXML
public import HostTopology
import LinuxSystem
public import MachinePlanning
import StateDirectory

/// What a machine would be, without starting anything: the same decisions and the same XML as for a real one.
public struct MachinePreview: Sendable {
    /// What is decided.
    public let plan: MachinePlan
    /// What libvirt would be given.
    public let xml: String

    /// Looks into an image's file system tree and decides.
    ///
    /// - Parameters:
    ///   - image: a directory with the image's files.
    ///   - host: the node that it would run on.
    ///   - others: what other pods hold there.
    ///   - request: as for a real machine; what it boots is taken from the image.
    /// - Throws: `PlanRefusal`, or `DiskImageError` when there is nothing to boot.
    public init(
        image: String, on host: HostTopology, beside others: [Holding] = [],
        request: (BootRequest) throws -> MachineRequest, annotations: MachineAnnotations
    ) throws {
        let medium = try BootMedium(FileDescriptor.openDirectory(image), annotations: annotations)
        plan = try MachinePlan(try request(medium.request), on: host, beside: others)
        let directory = StateDirectory(namespace: "k8s.io", sandbox: plan.identity.sandbox)
        xml = plan.domainXML(medium.previewPaths(directory))
    }
}

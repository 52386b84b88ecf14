import OCIRuntimeSpec
import Sandbox

/// The volumes of a container's spec as a machine sees them.
struct Volumes {
    /// Where a pod mounts its cloud-init seed.
    static let seedDestination = "/var/lib/cloud/seed/nocloud"

    /// Files and directories that the kubelet or containerd put into every container. A guest gets what is in them in
    /// other ways (its network configuration, its host name) or, like a service account's token, not at all.
    private static let everyContainers: Set<String> = [
        "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/shm", "/dev/termination-log",
        "/var/run/secrets/kubernetes.io/serviceaccount", "/run/secrets/kubernetes.io/serviceaccount",
    ]

    /// The host's directory of the cloud-init seed, if the pod has one.
    let seed: String?
    /// The host's file of the pod's resolv.conf, if there is one.
    let resolvConf: String?

    /// - Throws: ``SandboxError`` for anything that the guest would not get.
    init(_ spec: Spec) throws {
        if let device = spec.linux?.devices?.first {
            throw SandboxError(
                .invalidArgument,
                "devices: \(device.path): block volumes and devices of plugins cannot be given to a machine; leave "
                    + "volumeDevices and the device's resource out of the pod")
        }
        if let pages = spec.linux?.resources?.hugepageLimits?.first(where: { $0.limit > 0 }) {
            throw SandboxError(
                .invalidArgument,
                "limits.hugepages: \(pages.limit) bytes of \(pages.pageSize) pages: a machine's RAM cannot be on huge "
                    + "pages; use limits.memory")
        }
        let mounts = spec.mounts ?? []
        var seed: String?
        for mount in mounts {
            let isBind = mount.type == "bind" || (mount.options ?? []).contains { $0 == "bind" || $0 == "rbind" }
            guard isBind, !Self.everyContainers.contains(mount.destination) else { continue }
            guard mount.destination == Self.seedDestination else {
                throw SandboxError(
                    .invalidArgument,
                    "volumeMounts: \(mount.destination): volumes cannot be shared with a machine; a ConfigMap or Secret "
                        + "with cloud-init files at \(Self.seedDestination) is accepted")
            }
            seed = mount.source
        }
        self.seed = seed
        resolvConf = mounts.first { $0.destination == "/etc/resolv.conf" }?.source
    }
}

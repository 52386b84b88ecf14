import LinuxSystem
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

    /// statfs(2): HUGETLBFS_MAGIC.
    private static let hugetlbfs: Int64 = 0x9584_58f6

    /// The host's directory of the cloud-init seed, if the pod has one.
    let seed: String?
    /// The host's file of the pod's resolv.conf, if there is one.
    let resolvConf: String?
    /// Page sizes of HugePages volumes. The guest's RAM takes the pages; the volume itself has nothing to show to it.
    let hugePages: [UInt64]
    /// The host's directories of volumes that hold sockets of switches: QEMU uses them, the guest has nothing to see.
    let socketDirectories: [String]

    /// - Parameter sockets: paths of the host's.
    /// - Throws: ``SandboxError`` for anything that the guest would not get.
    init(_ spec: Spec, sockets: [String] = []) throws {
        let mounts = spec.mounts ?? []
        var seed: String?
        var hugePages: [UInt64] = []
        var socketDirectories: [String] = []
        for mount in mounts {
            let isBind = mount.type == "bind" || (mount.options ?? []).contains { $0 == "bind" || $0 == "rbind" }
            guard isBind, !Self.everyContainers.contains(mount.destination) else { continue }
            if let source = mount.source, let found = try? File.fileSystem(source), found.type == Self.hugetlbfs {
                hugePages.append(found.blockSize)
                continue
            }
            if let source = mount.source, sockets.contains(where: { $0.hasPrefix("\(source)/") }) {
                socketDirectories.append(source)
                continue
            }
            guard mount.destination == Self.seedDestination else {
                throw SandboxError(
                    .invalidArgument,
                    "volumeMounts: \(mount.destination): volumes cannot be shared with a machine; a ConfigMap or Secret "
                        + "with cloud-init files at \(Self.seedDestination) is accepted")
            }
            seed = mount.source
        }
        self.seed = seed
        self.hugePages = hugePages
        self.socketDirectories = socketDirectories
        resolvConf = mounts.first { $0.destination == "/etc/resolv.conf" }?.source
    }
}

import Cgroup
import HostTopology
import LinuxSystem
import MachinePlanning
import OCIRuntimeSpec
import Sandbox

/// What the kubelet has granted to a container, as its OCI specification and its pod's cgroup say it.
struct PodResources {
    /// `linux.resources.cpu.cpus`.
    let cpus: CPUSet
    /// `linux.resources.cpu.mems`.
    let mems: CPUSet
    /// Huge pages.
    let hugePages: HugePageSources
    /// The PCI functions of the VFIO groups that a device plugin has given.
    let devices: [String]

    /// - Parameters:
    ///   - hugePageVolumes: page sizes of the container's HugePages volumes.
    ///   - podCgroup: where the kubelet keeps the limits of the whole pod.
    /// - Throws: `SandboxError` for lists that are none, and for devices that cannot be given to a machine.
    init(_ spec: Spec, hugePageVolumes: [UInt64], podCgroup: Cgroup?, sysfs: String = "/sys") throws {
        let resources = spec.linux?.resources
        cpus = try Self.list(resources?.cpu?.cpus, "cpu.cpus")
        mems = try Self.list(resources?.cpu?.mems, "cpu.mems")
        var limits: [UInt64: UInt64] = [:]
        for limit in resources?.hugepageLimits ?? [] where limit.limit > 0 {
            guard let size = HugePageSources.pageSize(limit.pageSize) else {
                throw SandboxError(
                    .invalidArgument,
                    "config.json: linux.resources.hugepageLimits: pageSize \"\(limit.pageSize)\"; a size such as 2MB "
                        + "or "
                        + "1GB is accepted")
            }
            limits[size] = limit.limit
        }
        var podLimits: [UInt64: UInt64] = [:]
        for size in hugePageVolumes where limits[size] == nil {
            podLimits[size] = podCgroup?.hugePageLimit(size: size)
        }
        hugePages = HugePageSources(limits: limits, volumes: hugePageVolumes, podLimits: podLimits)
        devices = try Self.functions(spec, sysfs: sysfs)
    }

    /// A CPU or node list of the kernel's.
    static func list(_ text: String?, _ field: String) throws -> CPUSet {
        do {
            return try CPUSet(text ?? "")
        } catch {
            throw SandboxError(.invalidArgument, "config.json: linux.resources.\(field): \(error)")
        }
    }

    /// Device plugins give VFIO groups as device nodes, and say in `PCIDEVICE_…` which functions of them are meant and in
    /// which order (k8snetworkplumbingwg/sriov-network-device-plugin).
    private static func functions(_ spec: Spec, sysfs: String) throws -> [String] {
        let prefix = "/dev/vfio/"
        var groups: [[String]] = []
        for device in spec.linux?.devices ?? [] where !isOfNetworks(device.path) {
            guard device.path.hasPrefix(prefix) else {
                throw SandboxError(
                    .invalidArgument,
                    "devices: \(device.path): block volumes and devices other than VFIO groups cannot be given to a "
                        + "machine; "
                        + "leave volumeDevices and the device's resource out of the pod")
            }
            let name = device.path.dropFirst(prefix.count)
            if name == "vfio" { continue }
            let functions = UInt32(name).flatMap { try? File.list("\(sysfs)/kernel/iommu_groups/\($0)/devices") }
            guard let functions, !functions.isEmpty else {
                throw SandboxError(.invalidArgument, "devices: \(device.path): is no VFIO group of this node")
            }
            groups.append(functions.sorted())
        }
        let named = (spec.process?.env ?? []).filter { $0.hasPrefix("PCIDEVICE_") && !$0.contains("_INFO=") }
            .flatMap { $0.split(separator: "=", maxSplits: 1).dropFirst().joined().split(separator: ",") }
            .map(String.init)
        // Plugins that name nothing mean the whole group.
        let silent = groups.filter { $0.allSatisfy { !named.contains($0) } }.flatMap { $0 }
            .filter { isFunction($0, sysfs) }
        let granted = groups.flatMap { $0 }
        var seen: Set<String> = []
        return (named.filter(granted.contains) + silent).filter { seen.insert($0).inserted }
    }

    /// What device plugins give beside a network's function; the machine's NICs have their own ways to them.
    private static func isOfNetworks(_ path: String) -> Bool {
        ["/dev/vhost-net", "/dev/net/tun"].contains(path) || path.hasPrefix("/dev/vhost-vdpa-")
    }

    /// Bridges share the groups of what is behind them, and stay the host's.
    private static func isFunction(_ address: String, _ sysfs: String) -> Bool {
        let text = (try? File.text("\(sysfs)/bus/pci/devices/\(address)/class", limit: 32)) ?? ""
        return !text.hasPrefix("0x0604")
    }
}

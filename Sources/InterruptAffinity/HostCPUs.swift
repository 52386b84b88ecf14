import Glibc
import HostTopology
import LinuxSystem

/// The CPUs that interrupts can be sent to.
struct HostCPUs: Equatable {
    /// CPUs that are online.
    var online: CPUSet
    /// Those of them that are neither isolated nor without a timer tick.
    var housekeeping: CPUSet
    /// By memory node.
    var nodes: [Int: CPUSet] = [:]

    /// The online CPUs of a device's node; all where none is known or the node has none.
    func near(_ node: Int?) -> CPUSet {
        let cpus = node.flatMap { nodes[$0] }?.intersection(online) ?? []
        return cpus.isEmpty ? online : cpus
    }
}

extension HostCPUs {
    /// Reads four small files and one for each node.
    ///
    /// - Throws: `SystemError` when it is not known which CPUs are online.
    init(sysfs: String) throws(SystemError) {
        func set(_ path: String) throws(SystemError) -> CPUSet {
            let text = try File.text("\(sysfs)/devices/system/\(path)", limit: 1 << 16)
            do throws(CPUSet.Malformed) {
                return try CPUSet(text)
            } catch {
                throw SystemError("parse", "\(sysfs)/devices/system/\(path)", code: EINVAL)
            }
        }
        online = try set("cpu/online")
        // Missing without the kernel's option for it, `(null)` in some kernels.
        let isolated = (try? set("cpu/isolated")) ?? []
        let tickless = (try? set("cpu/nohz_full")) ?? []
        housekeeping = online.subtracting(isolated).subtracting(tickless)
        for name in (try? File.list("\(sysfs)/devices/system/node")) ?? [] where name.hasPrefix("node") {
            if let id = Int(name.dropFirst(4)) { nodes[id] = try? set("node/\(name)/cpulist") }
        }
    }
}

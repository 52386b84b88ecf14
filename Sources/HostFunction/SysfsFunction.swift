import Glibc
import LinuxSystem
import Netlink

/// A PCI function in sysfs (Documentation/ABI/testing/sysfs-bus-pci).
struct SysfsFunction {
    private let address: String
    private let bus: String
    private var path: String { "\(bus)/devices/\(address)" }

    init(_ address: String, _ sysfs: String) {
        self.address = address
        bus = "\(sysfs)/bus/pci"
    }

    var exists: Bool { File.exists(path) }

    /// The driver that it is bound to.
    var driver: String? {
        File.target(of: "\(path)/driver")?.split(separator: "/").last.map(String.init)
    }

    /// Has this driver take it, or, with nil, the one that the kernel chooses.
    func set(driver wanted: String?) throws(SystemError) {
        try choose(driver: wanted)
        if driver != nil { try File.put(address, into: "\(path)/driver/unbind") }
        try File.put(address, into: "\(bus)/drivers_probe")
    }

    /// Which driver may take it from now on; nil: any.
    func choose(driver wanted: String?) throws(SystemError) {
        // A name that was written stays until an empty line is.
        try File.put((wanted ?? "") + "\n", into: "\(path)/driver_override")
    }

    /// The names of its links that are in the namespace that sysfs shows, the node's.
    var links: [String] { (try? File.list("\(path)/net")) ?? [] }

    /// Moves its link, which a driver has made in the node's network namespace, into a pod's.
    ///
    /// A link that is there already is fine.
    func move(to namespace: String, as name: String, procfs: String) throws(HostFunctionError) {
        var problem = ""
        // Drivers make links on work queues of their own, and udev renames them.
        for _ in 0..<40 {
            if isThere(name, in: namespace) { return }
            if let found = links.first {
                do {
                    let pod = try NetworkNamespace(path: namespace)
                    let node = try NetworkNamespace(path: "\(procfs)/1/ns/net")
                    return try node.runAndWait { try RTNetlink().moveLink(found, to: pod.descriptor, as: name) }
                } catch {
                    problem = " (\(error))"
                }
            }
            _ = poll(nil, 0, 50)
        }
        throw .noLink(address, name + problem)
    }

    private func isThere(_ name: String, in namespace: String) -> Bool {
        let link = try? NetworkNamespace(path: namespace).runAndWait {
            try RTNetlink().links().first { $0.name == name }
        }
        guard let link else { return false }
        // Older kernels do not say whose it is.
        return link.pciAddress.map { $0 == address } ?? links.isEmpty
    }
}

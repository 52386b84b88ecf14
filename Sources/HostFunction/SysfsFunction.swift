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
        // A name that was written stays until an empty line is.
        try File.put((wanted ?? "") + "\n", into: "\(path)/driver_override")
        if driver != nil { try File.put(address, into: "\(path)/driver/unbind") }
        try File.put(address, into: "\(bus)/drivers_probe")
    }

    /// The names of its links that are in the namespace that sysfs shows, the node's.
    var links: [String] { (try? File.list("\(path)/net")) ?? [] }

    /// Moves its link, which a driver has made in the node's network namespace, into a pod's.
    func move(to namespace: String, as name: String, procfs: String) throws(HostFunctionError) {
        // Drivers make links on work queues of their own.
        var found: String?
        for _ in 0..<40 {
            found = links.first
            if found != nil { break }
            _ = poll(nil, 0, 50)
        }
        // Nobody's link is ours to look for when the pod's has it already.
        guard let found else {
            if Self.isThere(name, in: namespace) { return }
            throw .noLink(address, name)
        }
        do {
            let pod = try NetworkNamespace(path: namespace)
            let node = try NetworkNamespace(path: "\(procfs)/1/ns/net")
            try node.runAndWait {
                try RTNetlink().moveLink(found, to: pod.descriptor, as: name)
            }
        } catch {
            throw .noLink(address, "\(name) (\(error))")
        }
    }

    private static func isThere(_ name: String, in namespace: String) -> Bool {
        (try? NetworkNamespace(path: namespace).runAndWait { try RTNetlink().links().contains { $0.name == name } })
            ?? false
    }
}

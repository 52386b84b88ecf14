import FoundationEssentials
import Glibc
public import LinuxSystem
public import Netlink
import Synchronization

/// A PCI function of the node that a guest drives, by VFIO, although the pod was given it with a driver of the host: it
/// is taken from that driver, and given back.
///
/// What is needed to give it back is written down before it is taken, in a directory of the sandbox, so that anybody who
/// knows the directory can do it (``giveBackAll(in:sysfs:procfs:)``). Calls block for as long as drivers take; one that
/// gives a function back waits until nobody has it open.
public struct HostFunction: Codable, Equatable, Sendable {
    /// Its address on the host, `0000:3b:02.1`.
    public let address: String
    /// The driver that it had; nil: none.
    public let driver: String?
    /// Its link in the pod's network namespace, which goes with the driver and comes back with it; nil: it had none.
    public let link: FunctionLink?

    /// Its place at its physical function, and its Ethernet address there; nil: it is no virtual function.
    public let virtual: VirtualFunction?

    /// The driver of functions that processes drive.
    public static let vfio = "vfio-pci"

    /// A function as it is now.
    ///
    /// - Parameter link: its link in the pod's network namespace.
    /// - Throws: ``HostFunctionError/notThere(_:)``.
    public init(
        _ address: String, link: FunctionLink?, sysfs: String = "/sys", procfs: String = "/proc"
    ) throws(HostFunctionError) {
        let bus = SysfsFunction(address, sysfs)
        guard bus.exists else { throw .notThere(address) }
        self.address = address
        self.link = link
        driver = bus.driver
        virtual = VirtualFunction(address, sysfs: sysfs, procfs: procfs)
    }

    /// Whether a process can drive it already.
    public var isFree: Bool { driver == Self.vfio }

    /// The names of its links in the node's network namespace.
    ///
    /// - Parameter address: the function's.
    public static func nodeLinks(_ address: String, sysfs: String = "/sys") -> [String] {
        SysfsFunction(address, sysfs).links
    }

    /// Gives it the guest's Ethernet address at its physical function, and takes it from its driver. After an error it has
    /// its driver again. One that was taken already stays as it is.
    ///
    /// - Parameters:
    ///   - directory: where the record goes; made when it is not there.
    ///   - mac: the guest's address; nil leaves it.
    ///   - log: told when the physical function does not take the address: some drivers cannot, and the guest's driver
    ///     has one of its own choice then.
    /// - Throws: ``HostFunctionError``.
    public func take(
        recordingIn directory: String, mac: MACAddress? = nil, sysfs: String = "/sys", procfs: String = "/proc",
        log: (String) -> Void = { _ in }
    ) throws(HostFunctionError) {
        // Also where it has that address already: one of a driver's own choice is forgotten when another driver starts.
        let wanted = virtual?.mac == nil ? nil : mac
        guard !isFree || wanted != nil && !File.exists(file(directory)) else { return }
        let bus = SysfsFunction(address, sysfs)
        do {
            try File.makeDirectory(directory)
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            try File.replace(file(directory), with: Array(try encoder.encode(self)))
        } catch {
            throw .record(address, "\(error)")
        }
        if let virtual, let mac = wanted {
            do { try virtual.set(mac, procfs: procfs) } catch {
                log("PCI function \(address): its address cannot be set at \(virtual.physicalLink): \(error)")
            }
        }
        guard !isFree else { return }
        do throws(SystemError) {
            try bus.set(driver: Self.vfio)
        } catch {
            try? giveBack(recordedIn: directory, sysfs: sysfs, procfs: procfs)
            throw .cannotBind(address, to: Self.vfio, error)
        }
        let found = bus.driver
        guard found == Self.vfio else {
            try? giveBack(recordedIn: directory, sysfs: sysfs, procfs: procfs)
            throw .notTaken(address, driver: found)
        }
    }

    /// Gives it back to its driver, and its link to the pod's namespace, if that is still there. Doing it twice is fine.
    ///
    /// - Throws: ``HostFunctionError``; the record stays then.
    public func giveBack(
        recordedIn directory: String, sysfs: String = "/sys", procfs: String = "/proc"
    ) throws(HostFunctionError) {
        let bus = SysfsFunction(address, sysfs)
        // A function that was pulled out of the node has nothing to get back.
        if bus.exists {
            try restoreDriver(bus)
            // CNI's plugin takes back no address but one that it has set.
            if let virtual, let mac = virtual.mac { try? virtual.set(mac, procfs: procfs) }
            try restoreLink(bus, procfs)
        }
        do throws(SystemError) {
            try File.remove(file(directory))
        } catch {
            throw .record(address, "\(error)")
        }
    }

    private func restoreDriver(_ bus: SysfsFunction) throws(HostFunctionError) {
        if isFree { return }
        do throws(SystemError) {
            if bus.driver == driver { try bus.choose(driver: nil) } else { try bus.set(driver: nil) }
        } catch {
            throw .cannotBind(address, to: driver ?? "nothing", error)
        }
    }

    private func restoreLink(_ bus: SysfsFunction, _ procfs: String) throws(HostFunctionError) {
        guard let link, NetworkNamespace.isThere(link.namespace) else { return }
        try bus.move(to: link.namespace, as: link.name, procfs: procfs)
        do {
            try link.restore()
        } catch {
            throw .noLink(address, "\(link.name) (\(error))")
        }
    }

    private func file(_ directory: String) -> String { "\(directory)/\(address).json" }

    /// Gives back the function of an address, if it is recorded in a directory; nothing there is fine.
    ///
    /// - Throws: ``HostFunctionError``, `SystemError`, `DecodingError`; the record stays then.
    public static func giveBack(
        _ address: String, recordedIn directory: String, sysfs: String = "/sys", procfs: String = "/proc"
    ) throws {
        let path = "\(directory)/\(address).json"
        guard File.exists(path) else { return }
        try HostFunction(readingFrom: path).giveBack(recordedIn: directory, sysfs: sysfs, procfs: procfs)
    }

    /// Gives back every function that is recorded in a directory, which need not be there.
    ///
    /// - Returns: what could not be given back, as sentences.
    public static func giveBackAll(
        in directory: String, sysfs: String = "/sys", procfs: String = "/proc"
    ) -> [String] {
        let problems = Mutex<[String]>([])
        var running: [FileDescriptor] = []
        for name in (try? File.list(directory)) ?? [] where name.hasSuffix(".json") {
            let work = { @Sendable in
                do {
                    let function = try HostFunction(readingFrom: "\(directory)/\(name)")
                    try function.giveBack(recordedIn: directory, sysfs: sysfs, procfs: procfs)
                } catch {
                    problems.withLock { $0.append("give back the function of \(directory)/\(name): \(error)") }
                }
            }
            // Beside each other: a driver may take a second, and `delete` has five.
            do {
                let done = try FileDescriptor.event()
                try Thread.start("function") {
                    work()
                    done.signalEvent()
                }
                running.append(done)
            } catch {
                work()
            }
        }
        for done in running { done.clearEvent() }
        return problems.withLock { $0.sorted() }
    }

    private init(readingFrom path: String) throws {
        // An address of a link takes some hundred bytes of JSON.
        self = try JSONDecoder().decode(HostFunction.self, from: Data(try File.read(path, limit: 1 << 20)))
    }
}

/// A PCI function that cannot be taken or given back.
public enum HostFunctionError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The node has none of this address.
    case notThere(String)
    /// Its record cannot be written or removed.
    case record(String, String)
    /// The kernel refuses.
    case cannotBind(String, to: String, SystemError)
    /// No driver took it, or another one.
    case notTaken(String, driver: String?)
    /// Its link has not come back.
    case noLink(String, String)

    /// A sentence with what would help.
    public var description: String {
        switch self {
        case .notThere(let address): "PCI function \(address): is not on this node"
        case .record(let address, let problem): "PCI function \(address): its record cannot be kept: \(problem)"
        case .cannotBind(let address, let driver, let error):
            "PCI function \(address): cannot be bound to \(driver): \(error); vfio-pci has to be loaded, and the IOMMU on"
        case .notTaken(let address, let driver):
            "PCI function \(address): is bound to \(driver ?? "no driver"), and vfio-pci was wanted; vfio-pci has to be "
                + "loaded, and the IOMMU on"
        case .noLink(let address, let link):
            "PCI function \(address): its driver has it again, but link \(link) has not come back"
        }
    }
}

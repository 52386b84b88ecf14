import FoundationEssentials
import Glibc
public import LinuxSystem

/// A PCI function of the node that a guest drives, by VFIO, although the pod was given it with a driver of the host: it
/// is taken from that driver, and given back.
///
/// What is needed to give it back is written down before it is taken, in a directory of the sandbox, so that anybody who
/// knows the directory can do it (``giveBackAll(in:sysfs:procfs:)``). Calls block for as long as drivers take.
public struct HostFunction: Codable, Equatable, Sendable {
    /// Its address on the host, `0000:3b:02.1`.
    public let address: String
    /// The driver that it had; nil: none.
    public let driver: String?
    /// Its link in the pod's network namespace, which goes with the driver and comes back with it; nil: it had none.
    public let link: String?
    /// The file of that namespace.
    public let namespace: String?

    /// The driver of functions that processes drive.
    public static let vfio = "vfio-pci"

    /// A function as it is now.
    ///
    /// - Parameters:
    ///   - link: its link in the pod's network namespace.
    ///   - namespace: the namespace's file.
    /// - Throws: ``HostFunctionError/notThere(_:)``.
    public init(_ address: String, link: String?, namespace: String?, sysfs: String = "/sys") throws(HostFunctionError)
    {
        let bus = SysfsFunction(address, sysfs)
        guard bus.exists else { throw .notThere(address) }
        self.address = address
        self.link = link
        self.namespace = namespace
        driver = bus.driver
    }

    /// Whether a process can drive it already.
    public var isFree: Bool { driver == Self.vfio }

    /// Takes it from its driver. After an error it has its driver again.
    ///
    /// - Parameter directory: where the record goes; made when it is not there.
    /// - Throws: ``HostFunctionError``.
    public func take(recordingIn directory: String, sysfs: String = "/sys") throws(HostFunctionError) {
        guard !isFree else { return }
        let bus = SysfsFunction(address, sysfs)
        do {
            try File.makeDirectory(directory)
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            try File.replace("\(directory)/\(address).json", with: Array(try encoder.encode(self)))
        } catch {
            throw .record(address, "\(error)")
        }
        do throws(SystemError) {
            try bus.set(driver: Self.vfio)
        } catch {
            try? giveBack(recordedIn: directory, sysfs: sysfs)
            throw .cannotBind(address, to: Self.vfio, error)
        }
        guard bus.driver == Self.vfio else {
            try? giveBack(recordedIn: directory, sysfs: sysfs)
            throw .notTaken(address, driver: bus.driver)
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
            if bus.driver != driver || bus.driver == Self.vfio {
                do throws(SystemError) {
                    try bus.set(driver: nil)
                } catch {
                    throw .cannotBind(address, to: driver ?? "nothing", error)
                }
            }
            if let link, let namespace, NetworkNamespace.isThere(namespace) {
                try bus.move(to: namespace, as: link, procfs: procfs)
            }
        }
        do throws(SystemError) {
            try File.remove("\(directory)/\(address).json")
        } catch {
            throw .record(address, "\(error)")
        }
    }

    /// Gives back the function of an address, if it is recorded in a directory; nothing there is fine.
    ///
    /// - Throws: ``HostFunctionError``, `SystemError`, `DecodingError`; the record stays then.
    public static func giveBack(
        _ address: String, recordedIn directory: String, sysfs: String = "/sys", procfs: String = "/proc"
    ) throws {
        let path = "\(directory)/\(address).json"
        guard File.exists(path) else { return }
        let function = try JSONDecoder().decode(HostFunction.self, from: Data(try File.read(path, limit: 1 << 16)))
        try function.giveBack(recordedIn: directory, sysfs: sysfs, procfs: procfs)
    }

    /// Gives back every function that is recorded in a directory, which need not be there.
    ///
    /// - Returns: what could not be given back, as sentences.
    public static func giveBackAll(
        in directory: String, sysfs: String = "/sys", procfs: String = "/proc"
    ) -> [String] {
        var problems: [String] = []
        for name in (try? File.list(directory)) ?? [] where name.hasSuffix(".json") {
            do {
                try giveBack(
                    String(name.dropLast(".json".count)), recordedIn: directory, sysfs: sysfs, procfs: procfs)
            } catch {
                problems.append("give back the function of \(directory)/\(name): \(error)")
            }
        }
        return problems
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

/// What a device plugin or a CNI plugin says about the device behind an interface (Network Plumbing Working Group,
/// Device Information Specification 1.1.0, section 3).
public enum DeviceInformation: Codable, Equatable, Sendable {
    /// A PCI function.
    case pci(address: String)
    /// A virtio data path in hardware; `path` is its character device with the driver `vhost`.
    case vdpa(path: String, driver: VDPADriver, pciAddress: String?)
    /// A socket of a switch in user space.
    case vhostUser(path: String, mode: SocketMode)
    /// A shared memory interface of VPP.
    case memif(path: String)

    /// Which driver a vDPA device is bound to.
    public enum VDPADriver: String, Codable, CaseIterable, Sendable {
        // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
        case vhost, virtio
    }

    /// The part that the pod plays at a socket (section 3.1.5.1).
    public enum SocketMode: String, Codable, CaseIterable, Sendable {
        /// The host makes the socket, the pod connects.
        case client
        /// The pod makes the socket, the host connects.
        case server
    }

    /// Largest file that is read.
    public static let maximumSize = 1 << 14

    /// Reads a file of one of the directories.
    ///
    /// - Parameter name: the file's path, for the refusal.
    public init(_ json: some Collection<UInt8>, name: String) throws(AnnotationRefusal) {
        let written = try decodeJSON(
            WrittenDevice.self, json, name: name, limit: Self.maximumSize,
            accepted: "a JSON object of the Device Information Specification")
        self = try written.device(name: name, element: "")
    }
}

extension DeviceInformation {
    /// Where device plugins put their files, ``fileName(resource:device:)``.
    public static let devicePluginDirectory = "/var/run/k8s.cni.cncf.io/devinfo/dp"
    /// Where Multus and CNI plugins put theirs, ``fileName(network:sandbox:interface:)``.
    public static let cniDirectory = "/var/run/k8s.cni.cncf.io/devinfo/cni"

    /// The name of a device plugin's file (section 4.1).
    ///
    /// - Parameters:
    ///   - resource: `intel.com/sriov`.
    ///   - device: the device plugin's name of it, for a PCI function its address.
    public static func fileName(resource: String, device: String) -> String {
        flat("\(resource)-\(device)-device.json")
    }

    /// The name of the file that Multus gives to a network's plugins, which it makes for networks with a
    /// `k8s.v1.cni.cncf.io/resourceName` and fills from the device plugin's.
    ///
    /// - Parameters:
    ///   - network: `namespace/name`.
    ///   - sandbox: the id of the pod's sandbox, which is CNI's container id.
    public static func fileName(network: String, sandbox: String, interface: String) -> String {
        flat("\(network)-\(sandbox)_\(interface)")
    }

    /// The interface that a file in ``cniDirectory`` is about; nil when it is another sandbox's.
    public static func interface(ofFile name: String, sandbox: String) -> String? {
        // A sandbox's id has neither - nor _, so that the first match is the only one.
        guard !sandbox.isEmpty, name.utf8.count <= 512 else { return nil }
        let pattern = Array("-\(sandbox)_".utf8)
        let bytes = Array(name.utf8)
        guard bytes.count > pattern.count else { return nil }
        for start in 0..<(bytes.count - pattern.count) where bytes[start...].starts(with: pattern) {
            let interface = String(decoding: bytes[(start + pattern.count)...], as: UTF8.self)
            return Word.isInterface(interface) ? interface : nil
        }
        return nil
    }

    private static func flat(_ name: String) -> String {
        String(name.map { $0 == "/" ? "-" : $0 })
    }
}

/// Device information as it is written.
struct WrittenDevice: Decodable {
    var type: String
    var version: String?
    var pci: PCI?
    var vdpa: VDPA?
    var vhostUser: VhostUser?
    var memif: Memif?

    enum CodingKeys: String, CodingKey {
        case type, version, pci, vdpa, memif
        case vhostUser = "vhost-user"
    }

    struct PCI: Decodable {
        var address: String
        enum CodingKeys: String, CodingKey { case address = "pci-address" }
    }

    struct VDPA: Decodable {
        var driver: String
        var path: String
        var pciAddress: String?
        enum CodingKeys: String, CodingKey {
            case driver, path
            case pciAddress = "pci-address"
        }
    }

    struct VhostUser: Decodable {
        var mode: String
        var path: String
    }

    struct Memif: Decodable {
        var path: String
    }

    /// What it says, if that can be true.
    func device(name: String, element: String) throws(AnnotationRefusal) -> DeviceInformation {
        func refusal(_ field: String, _ found: String?, _ accepted: String) -> AnnotationRefusal {
            AnnotationRefusal(
                name, element: element, field: field, found: found.map { "\"\($0)\"" } ?? "nothing",
                accepted: accepted)
        }
        func path(_ field: String, _ text: String) throws(AnnotationRefusal) -> String {
            guard Word.isPath(text) else {
                throw refusal(field, text, "an absolute path without .., at most 107 bytes")
            }
            return text
        }
        func pci(_ field: String, _ text: String) throws(AnnotationRefusal) -> String {
            guard let address = PCIAddress.canonical(text) else {
                throw refusal(field, text, "a PCI address such as 0000:3b:02.1")
            }
            return address
        }
        func word<Value: RawRepresentable<String> & CaseIterable>(
            _ field: String, _ text: String, _ type: Value.Type
        ) throws(AnnotationRefusal) -> Value {
            guard let value = Value(rawValue: text) else {
                throw refusal(field, text, Value.allCases.map(\.rawValue).joined(separator: ", "))
            }
            return value
        }

        // Later minor versions add keys, as 1.1.0 did.
        if let version, version.split(separator: ".", omittingEmptySubsequences: false).first != "1" {
            throw refusal("device-info.version", version, "1.0.0, 1.1.0 or another of major version 1")
        }
        switch type {
        case "pci":
            guard let value = self.pci else { throw refusal("device-info.pci", nil, "an object") }
            return .pci(address: try pci("device-info.pci.pci-address", value.address))
        case "vdpa":
            guard let value = vdpa else { throw refusal("device-info.vdpa", nil, "an object") }
            return .vdpa(
                path: try path("device-info.vdpa.path", value.path),
                driver: try word("device-info.vdpa.driver", value.driver, DeviceInformation.VDPADriver.self),
                pciAddress: try value.pciAddress.flatMap { $0.isEmpty ? nil : $0 }.map {
                    text throws(AnnotationRefusal) in
                    try pci("device-info.vdpa.pci-address", text)
                })
        case "vhost-user":
            guard let value = vhostUser else { throw refusal("device-info.vhost-user", nil, "an object") }
            return .vhostUser(
                path: try path("device-info.vhost-user.path", value.path),
                mode: try word("device-info.vhost-user.mode", value.mode, DeviceInformation.SocketMode.self))
        case "memif":
            guard let value = memif else { throw refusal("device-info.memif", nil, "an object") }
            return .memif(path: try path("device-info.memif.path", value.path))
        default:
            throw refusal("device-info.type", type, "pci, vdpa, vhost-user, memif")
        }
    }
}

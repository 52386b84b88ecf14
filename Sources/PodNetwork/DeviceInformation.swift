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

    /// The part that the pod plays at a socket.
    public enum SocketMode: String, Codable, CaseIterable, Sendable {
        /// The host makes the socket, the pod connects.
        case client
        /// The pod makes the socket, the host connects.
        case server
    }

    /// Where device plugins put their files, ``fileName(resource:device:)``.
    public static let devicePluginDirectory = "/var/run/k8s.cni.cncf.io/devinfo/dp"
    /// Where Multus and CNI plugins put theirs, ``interface(ofFile:sandbox:)``.
    public static let cniDirectory = "/var/run/k8s.cni.cncf.io/devinfo/cni"

    /// Reads a file of one of the directories.
    ///
    /// - Parameter name: the file's path, for the refusal.
    public init(_ json: some Sequence<UInt8>, name: String) throws(AnnotationRefusal) {
        throw AnnotationRefusal(name, found: "nothing", accepted: "a JSON object")
    }

    /// The name of a device plugin's file.
    ///
    /// - Parameters:
    ///   - resource: `intel.com/sriov`.
    ///   - device: the device plugin's name of it, for a PCI function its address.
    public static func fileName(resource: String, device: String) -> String {
        ""
    }

    /// The interface that a file in ``cniDirectory`` is about, if it is the sandbox's.
    public static func interface(ofFile name: String, sandbox: String) -> String? {
        nil
    }
}

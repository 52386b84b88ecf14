/// What bears on a pod's NICs beside the links in its network namespace.
public struct NetworkRequest: Equatable, Sendable {
    /// The annotation `k8s.v1.cni.cncf.io/networks`: the order of the NICs and the names of their networks.
    public var selection: NetworkSelection
    /// The annotation `slipway.dev/interfaces`, by interface name.
    public var settings: [String: InterfaceSettings]
    /// The text of the pod's resolv.conf.
    public var resolvConf: String
    /// Text that is this pod's alone and stays the same while it lives, such as its uid: Ethernet addresses are made of
    /// it for devices to which nobody gave one.
    public var identity: String

    /// Numbers that interfaces of this pod had earlier, by name. A name that is here keeps its number, also after it was
    /// away. Empty when the pod's first plan is made.
    public var kept: [String: Int]
    /// What the guest has now; empty before it runs. Numbers of these count as ``kept``. A link that was made anew under
    /// its name leaves the guest's NIC its Ethernet address, and a function that the guest drives stays although its
    /// link is gone: it left when the function was taken.
    public var guest: [InterfacePlan]
    /// Interfaces whose functions shall leave the guest, as nothing in the namespace can tell.
    public var released: Set<String>
    /// Numbers are below this: the machine has no more root ports for NICs.
    public var numberLimit: Int

    /// PCI functions that the pod's environment names, ``DeviceEnvironment/addresses(_:)``. A pod can write it by hand: it
    /// says which of the functions whose links are in the pod's namespace the guest shall drive, and nothing more.
    public var pciDevices: Set<String>
    /// PCI functions whose VFIO group's device node is among those of config.json: a function in the annotation
    /// `network-status` counts if it is one of these.
    public var grantedFunctions: Set<String>
    /// Device nodes and mounted directories of the host that the pod was given, from config.json: a path in the
    /// annotation `network-status` counts if it is one of these or below one.
    public var grantedPaths: Set<String>
    /// Device information of the node's files, by interface name. See ``DeviceInformation/interface(ofFile:sandbox:)``.
    public var devices: [String: DeviceInformation]
    /// The annotation `k8s.v1.cni.cncf.io/network-status`.
    public var status: NetworkStatus
    /// Cached results of CNI plugins, by interface name. They win over ``status``, as they have prefix lengths.
    public var results: [String: AttachmentResult]

    /// A request of its parts.
    public init(
        selection: NetworkSelection = NetworkSelection(), settings: [String: InterfaceSettings] = [:],
        resolvConf: String = "", identity: String = "", kept: [String: Int] = [:], guest: [InterfacePlan] = [],
        released: Set<String> = [], numberLimit: Int = NetworkPlan.maximumLinks, pciDevices: Set<String> = [],
        grantedFunctions: Set<String> = [], grantedPaths: Set<String> = [], devices: [String: DeviceInformation] = [:],
        status: NetworkStatus = NetworkStatus(), results: [String: AttachmentResult] = [:]
    ) {
        self.selection = selection
        self.settings = settings
        self.resolvConf = resolvConf
        self.identity = identity
        self.kept = kept
        self.guest = guest
        self.released = released
        self.numberLimit = numberLimit
        self.pciDevices = pciDevices
        self.grantedFunctions = grantedFunctions
        self.grantedPaths = grantedPaths
        self.devices = devices
        self.status = status
        self.results = results
    }

    /// Reads the three annotations and the environment.
    ///
    /// - Parameters:
    ///   - namespace: the pod's Kubernetes namespace, in which networks are that name none.
    ///   - environment: `NAME=value` as in config.json; gives ``pciDevices``.
    public init(
        annotations: [String: String], namespace: String, environment: [String] = [], resolvConf: String = "",
        identity: String = ""
    ) throws(AnnotationRefusal) {
        self.init(
            selection: try annotations[NetworkSelection.annotation].map { text throws(AnnotationRefusal) in
                try NetworkSelection(text, namespace: namespace)
            } ?? NetworkSelection(),
            settings: try annotations[InterfaceSettings.annotation].map { text throws(AnnotationRefusal) in
                try InterfaceSettings.parse(text)
            } ?? [:],
            resolvConf: resolvConf, identity: identity, pciDevices: Set(DeviceEnvironment.addresses(environment)),
            status: try annotations[NetworkStatus.annotation].map { text throws(AnnotationRefusal) in
                try NetworkStatus(text)
            } ?? NetworkStatus())
    }
}

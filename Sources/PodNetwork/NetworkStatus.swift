/// What Multus wrote about the pod's networks after it had attached them: the annotation
/// `k8s.v1.cni.cncf.io/network-status`. Whoever may change the pod may write it, so that it proves nothing.
public struct NetworkStatus: Equatable, Sendable {
    /// The annotation's key.
    public static let annotation = "k8s.v1.cni.cncf.io/network-status"
    /// Most bytes and elements that are read.
    public static let limits = (bytes: 1 << 18, elements: 128)

    /// One interface of it.
    public struct Element: Equatable, Sendable {
        /// The network, `namespace/name`, or a CNI network's bare name.
        public var network: String
        /// The interface; nil where a plugin made none.
        public var interface: String?
        /// Addresses, gateways and the like.
        public var result: AttachmentResult
        /// The device behind it.
        public var device: DeviceInformation?

        /// An element of its parts.
        public init(
            network: String, interface: String?, result: AttachmentResult = AttachmentResult(),
            device: DeviceInformation? = nil
        ) {
            self.network = network
            self.interface = interface
            self.result = result
            self.device = device
        }
    }

    /// The interfaces in their order.
    public var elements: [Element]

    /// A status of its parts.
    public init(elements: [Element] = []) {
        self.elements = elements
    }

    /// Reads the annotation.
    public init(_ text: String) throws(AnnotationRefusal) {
        self.init()
    }

    /// The element for an interface.
    public subscript(interface name: String) -> Element? { elements.first { $0.interface == name } }
}

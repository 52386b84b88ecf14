public import Netlink

/// The networks that a pod asks for beside its first one: the annotation `k8s.v1.cni.cncf.io/networks` (Kubernetes
/// Network Custom Resource Definition De-facto Standard 1.3, section 4.1).
public struct NetworkSelection: Equatable, Sendable {
    /// The annotation's key.
    public static let annotation = "k8s.v1.cni.cncf.io/networks"
    /// Most bytes and elements that are read.
    public static let limits = (bytes: 1 << 16, elements: 64)

    /// One network of it.
    public struct Element: Equatable, Sendable {
        /// The NetworkAttachmentDefinition's namespace.
        public var namespace: String
        /// Its name.
        public var name: String
        /// The interface in the pod: the one asked for, or Multus' `net` with the place in the list, counted from 1.
        /// (A node's own `defaultNetworks` in Multus' configuration shift those numbers; its links then come with the
        /// rest, by name.)
        public var interface: String
        /// The Ethernet address asked for.
        public var mac: MACAddress?
        /// The addresses asked for; without a prefix length: of full length.
        public var addresses: [IPPrefix]
        /// The default gateways asked for; nil: as the network says.
        public var defaultRoutes: [IPAddress]?
        /// The device asked for, a PCI address or another name of the device plugin's.
        public var deviceID: String?

        /// An element of its parts.
        public init(
            namespace: String, name: String, interface: String, mac: MACAddress? = nil, addresses: [IPPrefix] = [],
            defaultRoutes: [IPAddress]? = nil, deviceID: String? = nil
        ) {
            self.namespace = namespace
            self.name = name
            self.interface = interface
            self.mac = mac
            self.addresses = addresses
            self.defaultRoutes = defaultRoutes
            self.deviceID = deviceID
        }

        /// `namespace/name`.
        public var network: String { "\(namespace)/\(name)" }
    }

    /// The networks in their order.
    public var elements: [Element]

    /// A selection of its parts.
    public init(elements: [Element] = []) {
        self.elements = elements
    }

    /// Reads the annotation, in its short form `namespace/name@interface,…` or as JSON.
    ///
    /// - Parameter namespace: the pod's, for elements that name none.
    public init(_ text: String, namespace: String) throws(AnnotationRefusal) {
        self.init()
    }

    /// The element for an interface.
    public subscript(interface name: String) -> Element? { elements.first { $0.interface == name } }
}

/// What a pod may ask of one NIC beyond what its network says: a line of the annotation `slipway.dev/interfaces`.
public struct InterfaceSettings: Codable, Equatable, Sendable {
    /// How it is joined; nil: as the link's kind suggests.
    public var binding: BindingName?
    /// Pairs of queues; nil: one for each vCPU, up to the limit of the kind.
    public var queues: Int?
    /// Descriptors of a receive queue, a power of two from 256 to 1024.
    public var rxRing: Int?
    /// Descriptors of a send queue, a power of two from 256 to 1024; above 256 for vhost-user alone.
    public var txRing: Int?
    /// Bytes; not above the link's.
    public var mtu: UInt32?
    /// Whether the guest sees a carrier at start.
    public var isUp = true
    /// The guest may send from any Ethernet address and claim any address (VRRP, bridges, nested machines).
    public var isTrusted = false
    /// Ports that masquerade sends on; empty: all.
    public var ports: [Binding.Port] = []

    /// Nothing asked.
    public init() {}

    /// The annotation's key.
    public static let annotation = "slipway.dev/interfaces"

    /// Reads the annotation.
    ///
    /// - Returns: the settings by interface name.
    public static func parse(_ text: String) throws(AnnotationRefusal) -> [String: InterfaceSettings] { [:] }

    /// The bindings that a pod may ask for.
    public enum BindingName: String, Codable, CaseIterable, Sendable {
        // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
        case tap, masquerade, macvtap
    }
}

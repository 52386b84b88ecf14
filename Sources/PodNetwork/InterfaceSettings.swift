/// What a pod may ask of one NIC beyond what its network says: a line of the annotation `slipway.dev/interfaces`.
///
/// ```
/// eth0: binding=masquerade ports=tcp/80,udp/53
/// net1: queues=4 rx-ring=1024 mtu=9000 trust=true
/// ```
///
/// A line begins with the interface's name in the pod and a colon; fields follow, separated by blanks. `;` separates
/// lines too.
///
/// | field | values | unless said | what |
/// |---|---|---|---|
/// | `binding` | `tap`, `masquerade` (eth0 alone), `macvtap` | as the link's kind suggests | how the NIC is joined to the pod's network |
/// | `queues` | 1 to 256 | one for each vCPU | pairs of queues; not for a PCI function, whose driver sets them in the guest |
/// | `rx-ring` | 256, 512, 1024 | 256 | descriptors of a receive queue; not for a PCI function |
/// | `tx-ring` | 256, 512, 1024 | 256 | descriptors of a send queue; above 256 for vhost-user alone; not for a PCI function |
/// | `mtu` | 68 to 65535, not above the link's | the link's | largest packet in bytes |
/// | `link` | `up`, `down` | `up` | whether the guest sees a carrier; not for a PCI function and vDPA |
/// | `trust` | `true`, `false` | `false` | the guest may send from any Ethernet address and claim any address (VRRP, bridges, nested machines); a PCI function's and vDPA's network sets it, and vhost-user's switch |
/// | `ports` | `tcp/80`, `udp/53`, `sctp/36412`, separated by commas | all | ports that masquerade sends on to the guest |
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
    /// Whether the guest sees a carrier while the link has one.
    public var isUp = true
    /// The guest may send from any Ethernet address and claim any address (VRRP, bridges, nested machines).
    public var isTrusted = false
    /// Ports that masquerade sends on; empty: all.
    public var ports: [Binding.Port] = []

    /// Nothing asked.
    public init() {}

    /// The bindings that a pod may ask for.
    public enum BindingName: String, Codable, CaseIterable, Sendable {
        // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
        case tap, masquerade, macvtap
    }
}

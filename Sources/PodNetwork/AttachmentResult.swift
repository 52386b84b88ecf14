public import Netlink

/// What a CNI plugin said that it gave the pod: of use where no link shows it, as with a PCI function that a driver of
/// user space has. It comes from a cached CNI result, or from the annotation `k8s.v1.cni.cncf.io/network-status`.
public struct AttachmentResult: Codable, Equatable, Sendable {
    /// The NIC's Ethernet address.
    public var mac: MACAddress?
    /// Bytes.
    public var mtu: UInt32?
    /// Addresses for the guest.
    public var addresses: [IPPrefix]
    /// Routes for the guest. One without a gateway that leads everywhere takes the first of ``gateways`` (CNI
    /// specification 1.1.0, "Success": `routes[].gw`).
    public var routes: [RoutePlan]
    /// Next hops that the addresses have (`ips[].gateway`).
    public var gateways: [IPAddress]
    /// The network's own name servers. The pod's resolv.conf holds what the pod shall use, so that the planner leaves
    /// these alone.
    public var dns: DNSConfiguration
    /// The PCI function, `0000:3b:02.1` (`interfaces[].pciID`).
    public var pciAddress: String?

    /// A result of its parts.
    public init(
        mac: MACAddress? = nil, mtu: UInt32? = nil, addresses: [IPPrefix] = [], routes: [RoutePlan] = [],
        gateways: [IPAddress] = [], dns: DNSConfiguration = DNSConfiguration(), pciAddress: String? = nil
    ) {
        self.mac = mac
        self.mtu = mtu
        self.addresses = addresses
        self.routes = routes
        self.gateways = gateways
        self.dns = dns
        self.pciAddress = pciAddress
    }
}

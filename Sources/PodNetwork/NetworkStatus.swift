import Netlink

/// What Multus wrote about the pod's networks after it had attached them: the annotation
/// `k8s.v1.cni.cncf.io/network-status`. Whoever may change the pod may write it, so that it proves nothing.
public struct NetworkStatus: Equatable, Sendable {
    /// The annotation's key.
    public static let annotation = "k8s.v1.cni.cncf.io/network-status"
    /// Most bytes and elements that are read, and most values of a list in an element.
    public static let limits = (bytes: 1 << 18, elements: 128, values: 64)

    /// One interface of it.
    public struct Element: Equatable, Sendable {
        /// The network, `namespace/name`, or a CNI network's bare name.
        public var network: String
        /// The interface; nil where a plugin made none.
        public var interface: String?
        /// Addresses, gateways and the like. Multus writes addresses without prefix length; they are of full length
        /// here, and their gateways are reached on the link.
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
        let written = try decodeJSON(
            [WrittenStatus].self, text.utf8, name: Self.annotation, limit: Self.limits.bytes,
            accepted: "a JSON list of objects with name, interface, ips, mac, …")
        guard written.count <= Self.limits.elements else {
            throw AnnotationRefusal(
                Self.annotation, found: "\(written.count) elements", accepted: "at most \(Self.limits.elements)")
        }
        self.init()
        for (index, written) in written.enumerated() { elements.append(try written.element(index)) }
    }

    /// The element for an interface.
    public subscript(interface name: String) -> Element? { elements.first { $0.interface == name } }
}

/// An element as it is written.
private struct WrittenStatus: Decodable {
    var name: String
    var interface: String?
    var ips: [String]?
    var mac: String?
    var mtu: UInt32?
    var gateway: [String]?
    var dns: DNS?
    var device: WrittenDevice?

    enum CodingKeys: String, CodingKey {
        case name, interface, ips, mac, mtu, gateway, dns
        case device = "device-info"
    }

    struct DNS: Decodable {
        var nameservers: [String]?
        var domain: String?
        var search: [String]?
        var options: [String]?

        /// As resolv.conf would say it, so that one set of rules reads both.
        var resolvConf: String {
            func line(_ keyword: String, _ values: [String]?) -> String {
                guard let values, !values.isEmpty else { return "" }
                let words = values.prefix(NetworkStatus.limits.values).map {
                    $0.split(whereSeparator: \.isWhitespace).joined()
                }
                return "\(keyword) \(words.joined(separator: " "))\n"
            }
            return (nameservers ?? []).prefix(NetworkStatus.limits.values).map { line("nameserver", [$0]) }.joined()
                + line("domain", domain.flatMap { $0.isEmpty ? nil : [$0] }) + line("search", search)
                + line("options", options)
        }
    }

    func element(_ index: Int) throws(AnnotationRefusal) -> NetworkStatus.Element {
        func refusal(_ field: String, _ found: String, _ accepted: String) -> AnnotationRefusal {
            AnnotationRefusal(
                NetworkStatus.annotation, element: AnnotationRefusal.element(index), field: field,
                found: "\"\(found)\"", accepted: accepted)
        }
        let interface = interface.flatMap { $0.isEmpty ? nil : $0 }
        if let interface, !Word.isInterface(interface) { throw refusal("interface", interface, Word.interfaces) }
        guard (ips?.count ?? 0) <= NetworkStatus.limits.values, (gateway?.count ?? 0) <= NetworkStatus.limits.values
        else {
            throw refusal("ips", "\(ips?.count ?? 0) values", "at most \(NetworkStatus.limits.values)")
        }
        var result = AttachmentResult(mtu: mtu.flatMap { $0 == 0 ? nil : $0 })
        // Twenty octets are InfiniBand's.
        if let mac, !mac.isEmpty, mac.utf8.count != 59 {
            guard let address = Word.mac(mac), address.isStation else {
                throw refusal("mac", mac, "a unicast Ethernet address such as 0a:58:0a:58:00:05")
            }
            result.mac = address
        }
        for text in ips ?? [] {
            guard let prefix = Word.prefix(text) else { throw refusal("ips", text, "an IP address") }
            result.addresses.append(prefix)
        }
        // Go's text for a gateway that is none is <nil>.
        for text in gateway ?? [] where !text.isEmpty && text != "<nil>" {
            guard let address = IPAddress(text) else { throw refusal("gateway", text, "an IP address") }
            result.gateways.append(address)
            result.routes.append(RoutePlan(.everything(address.family), via: address))
        }
        if let dns { result.dns = DNSConfiguration(resolvConf: dns.resolvConf) }
        var device: DeviceInformation?
        if let written = self.device {
            device = try written.device(name: NetworkStatus.annotation, element: AnnotationRefusal.element(index))
        }
        if case .pci(let address) = device { result.pciAddress = address }
        return NetworkStatus.Element(
            network: AnnotationRefusal.printable(name), interface: interface, result: result, device: device)
    }
}

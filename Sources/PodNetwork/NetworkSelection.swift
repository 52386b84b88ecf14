public import Netlink

/// The networks that a pod asks for beside its first one: the annotation `k8s.v1.cni.cncf.io/networks` (Kubernetes
/// Network Custom Resource Definition De-facto Standard 1.3, section 4.1).
public struct NetworkSelection: Equatable, Sendable {
    /// The annotation's key.
    public static let annotation = "k8s.v1.cni.cncf.io/networks"
    /// Most bytes and elements that are read, and most values of a list in an element.
    public static let limits = (bytes: 1 << 16, elements: 64, values: 32)

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

    /// Reads the annotation, in its short form `namespace/name@interface,…` or as JSON. `cni-args` and the like are for
    /// the plugins and are left to them.
    ///
    /// - Parameter namespace: the pod's, for elements that name none.
    public init(_ text: String, namespace: String) throws(AnnotationRefusal) {
        guard text.utf8.count <= Self.limits.bytes else {
            throw AnnotationRefusal(
                Self.annotation, found: "\(text.utf8.count) bytes", accepted: "at most \(Self.limits.bytes)")
        }
        self.init()
        // Multus tells the forms apart by these characters.
        let isJSON = text.utf8.contains { [UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: "\"")].contains($0) }
        let written = isJSON ? try Self.elements(json: text) : try Self.elements(list: text)
        guard written.count <= Self.limits.elements else {
            throw AnnotationRefusal(
                Self.annotation, found: "\(written.count) networks", accepted: "at most \(Self.limits.elements)")
        }
        var names: Set<String> = []
        for (index, written) in written.enumerated() {
            let element = try Element(written, index: index, namespace: namespace)
            guard names.insert(element.interface).inserted else {
                throw AnnotationRefusal(
                    Self.annotation, element: AnnotationRefusal.element(index), field: "interface",
                    found: "\(element.interface) for a second time", accepted: "another name for each network")
            }
            elements.append(element)
        }
    }

    /// The element for an interface.
    public subscript(interface name: String) -> Element? { elements.first { $0.interface == name } }

    private static func elements(json text: String) throws(AnnotationRefusal) -> [WrittenSelection] {
        try decodeJSON(
            [WrittenSelection].self, text.utf8, name: annotation, limit: limits.bytes,
            accepted: "a JSON list of objects with a name each, or namespace/name@interface, separated by commas")
    }

    private static func elements(list text: String) throws(AnnotationRefusal) -> [WrittenSelection] {
        var elements: [WrittenSelection] = []
        for (index, item) in text.split(separator: ",", omittingEmptySubsequences: false).enumerated() {
            let halves = item.split(separator: "/", omittingEmptySubsequences: false)
            let (namespace, rest) = halves.count == 2 ? (trimmed(halves[0]), halves[1]) : (nil, halves[0])
            let parts = rest.split(separator: "@", omittingEmptySubsequences: false).map { trimmed($0) }
            guard halves.count <= 2, parts.count <= 2, namespace != "", let name = parts.first, !name.isEmpty else {
                throw AnnotationRefusal(
                    annotation, element: AnnotationRefusal.element(index), found: "\"\(trimmed(item))\"",
                    accepted: "name, namespace/name, name@interface or namespace/name@interface")
            }
            elements.append(
                WrittenSelection(
                    name: name, namespace: namespace, interface: parts.count == 2 ? parts[1] : nil))
        }
        return elements
    }

    private static func trimmed(_ text: Substring) -> String {
        let isBlank: (Character) -> Bool = { $0.isWhitespace }
        let head = text.drop(while: isBlank)
        return String(head.prefix(head.count - head.reversed().prefix(while: isBlank).count))
    }
}

/// An element as it is written.
private struct WrittenSelection: Decodable {
    var name: String
    var namespace: String?
    var interface: String?
    /// What Multus called it before 3.2 and still reads.
    var interfaceRequest: String?
    var mac: String?
    var ips: [String]?
    var defaultRoute: [String]?
    var deviceID: String?

    enum CodingKeys: String, CodingKey {
        case name, namespace, interface, interfaceRequest, mac, ips, deviceID
        case defaultRoute = "default-route"
    }
}

extension NetworkSelection.Element {
    fileprivate init(_ written: WrittenSelection, index: Int, namespace: String) throws(AnnotationRefusal) {
        func refusal(_ field: String, _ found: String, _ accepted: String) -> AnnotationRefusal {
            AnnotationRefusal(
                NetworkSelection.annotation, element: AnnotationRefusal.element(index), field: field,
                found: "\"\(found)\"", accepted: accepted)
        }
        func values<Value>(
            _ field: String, _ texts: [String]?, _ accepted: String, _ read: (String) -> Value?
        ) throws(AnnotationRefusal) -> [Value]? {
            guard let texts else { return nil }
            guard texts.count <= NetworkSelection.limits.values else {
                throw refusal(field, "\(texts.count) values", "at most \(NetworkSelection.limits.values)")
            }
            var values: [Value] = []
            for text in texts {
                guard let value = read(text) else { throw refusal(field, text, accepted) }
                values.append(value)
            }
            return values
        }

        // Go's decoder makes no difference between "" and nothing.
        func filled(_ text: String?) -> String? { text?.isEmpty == false ? text : nil }
        let space = filled(written.namespace) ?? namespace
        guard Word.isObject(written.name) else { throw refusal("name", written.name, Word.objects) }
        guard Word.isObject(space) else { throw refusal("namespace", space, Word.objects) }
        let name = filled(written.interface) ?? filled(written.interfaceRequest) ?? "net\(index + 1)"
        guard Word.isInterface(name) else { throw refusal("interface", name, Word.interfaces) }
        var mac: MACAddress?
        if let text = filled(written.mac) {
            mac = Word.mac(text)
            guard mac?.isStation == true else {
                throw refusal("mac", text, "a unicast Ethernet address such as 0a:58:0a:58:00:05")
            }
        }
        self.init(
            namespace: space, name: written.name, interface: name, mac: mac,
            addresses: try values("ips", written.ips, "10.88.0.5/16, fd00::5/64, or without length", Word.prefix) ?? [],
            defaultRoutes: try values("default-route", written.defaultRoute, "an IP address") { IPAddress($0) },
            deviceID: filled(written.deviceID).map { AnnotationRefusal.printable($0) })
    }
}

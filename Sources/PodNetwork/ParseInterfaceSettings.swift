extension InterfaceSettings {
    /// The annotation's key.
    public static let annotation = "slipway.dev/interfaces"
    /// Most bytes, lines with interfaces, and ports of a line that are read.
    public static let limits = (bytes: 1 << 14, interfaces: 64, ports: 64)

    /// Reads the annotation.
    ///
    /// - Returns: the settings by interface name.
    /// - Throws: a refusal that names line and field.
    public static func parse(_ text: String) throws(AnnotationRefusal) -> [String: InterfaceSettings] {
        guard text.utf8.count <= limits.bytes else {
            throw AnnotationRefusal(annotation, found: "\(text.utf8.count) bytes", accepted: "at most \(limits.bytes)")
        }
        var settings: [String: InterfaceSettings] = [:]
        let lines = text.utf8.split(omittingEmptySubsequences: false) { byte in
            byte == UInt8(ascii: "\n") || byte == UInt8(ascii: ";")
        }
        for (index, bytes) in lines.enumerated() {
            let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }
            let line = bytes.drop(while: isBlank)
            if line.isEmpty { continue }
            let (name, rest) = (line.prefix { $0 != UInt8(ascii: ":") }, line.drop { $0 != UInt8(ascii: ":") })
            let interface = String(Substring(name))
            guard !rest.isEmpty, Word.isInterface(interface) else {
                throw AnnotationRefusal(
                    annotation, element: "line \(index + 1)", found: "\"\(Substring(line))\"",
                    accepted: "an interface's name and a colon, then fields such as queues=4")
            }
            let element = "line \(index + 1) (\(interface))"
            guard settings[interface] == nil else {
                throw AnnotationRefusal(
                    annotation, element: element, found: "the interface for a second time",
                    accepted: "one line for each interface")
            }
            guard settings.count < limits.interfaces else {
                throw AnnotationRefusal(
                    annotation, element: element, found: "one interface more",
                    accepted: "at most \(limits.interfaces)")
            }
            settings[interface] = try InterfaceSettings(
                fields: rest.dropFirst().split(whereSeparator: isBlank).map { String(Substring($0)) }, element: element)
        }
        return settings
    }

    /// Settings of fields such as `queues=4`.
    ///
    /// - Parameter element: where they stand, for refusals.
    public init(fields: [String], element: String) throws(AnnotationRefusal) {
        self.init()
        var seen: Set<String> = []
        guard !fields.isEmpty else {
            throw AnnotationRefusal(Self.annotation, element: element, found: "no field", accepted: Self.fieldNames)
        }
        for field in fields {
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { String($0) }
            guard parts.count == 2, let name = Field(rawValue: parts[0]) else {
                throw AnnotationRefusal(
                    Self.annotation, element: element, found: "\"\(field)\"", accepted: Self.fieldNames)
            }
            guard seen.insert(name.rawValue).inserted else {
                throw AnnotationRefusal(
                    Self.annotation, element: element, field: name.rawValue, found: "the field for a second time",
                    accepted: "each field once")
            }
            try set(name, parts[1], element)
        }
        guard ports.isEmpty || binding == .masquerade else {
            throw AnnotationRefusal(
                Self.annotation, element: element, field: Field.ports.rawValue,
                found: "ports without binding=masquerade", accepted: "ports with binding=masquerade")
        }
    }

    /// The fields of what is not as it is unless said; reading them gives the same settings.
    public var fields: [String] {
        var fields: [String] = []
        if let binding { fields.append("binding=\(binding.rawValue)") }
        if let queues { fields.append("queues=\(queues)") }
        if let rxRing { fields.append("rx-ring=\(rxRing)") }
        if let txRing { fields.append("tx-ring=\(txRing)") }
        if let mtu { fields.append("mtu=\(mtu)") }
        if !isUp { fields.append("link=down") }
        if isTrusted { fields.append("trust=true") }
        if !ports.isEmpty {
            let words = ports.map { "\($0.transport.rawValue)/\($0.number)" }
            fields.append("ports=\(words.joined(separator: ","))")
        }
        return fields
    }

    private enum Field: String, CaseIterable {
        case binding, queues, mtu, link, trust, ports
        case rxRing = "rx-ring"
        case txRing = "tx-ring"
    }

    private static var fieldNames: String {
        Field.allCases.map { "\($0.rawValue)=…" }.joined(separator: ", ")
    }

    private mutating func set(_ field: Field, _ text: String, _ element: String) throws(AnnotationRefusal) {
        func refusal(_ accepted: String) -> AnnotationRefusal {
            AnnotationRefusal(
                Self.annotation, element: element, field: field.rawValue, found: "\"\(text)\"", accepted: accepted)
        }
        func number(_ range: ClosedRange<Int>) throws(AnnotationRefusal) -> Int {
            guard let value = Self.number(text), range.contains(value) else {
                throw refusal("\(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
        func choice<Value>(_ values: KeyValuePairs<String, Value>) throws(AnnotationRefusal) -> Value {
            guard let value = values.first(where: { $0.key == text })?.value else {
                throw refusal(values.map(\.key).joined(separator: ", "))
            }
            return value
        }
        // QEMU's virtio-net: VIRTIO_NET_RX_QUEUE_MIN_SIZE to VIRTQUEUE_MAX_SIZE.
        let rings: KeyValuePairs = ["256": 256, "512": 512, "1024": 1024]
        switch field {
        case .binding:
            guard let name = BindingName(rawValue: text) else {
                throw refusal(BindingName.allCases.map(\.rawValue).joined(separator: ", "))
            }
            binding = name
        // The kernel's MAX_TAP_QUEUES.
        case .queues: queues = try number(1...256)
        case .rxRing: rxRing = try choice(rings)
        case .txRing: txRing = try choice(rings)
        case .mtu: mtu = UInt32(try number(68...65535))
        case .link: isUp = try choice(["up": true, "down": false])
        case .trust: isTrusted = try choice(["true": true, "false": false])
        case .ports:
            guard let read = Self.ports(text) else { throw refusal(Self.portsAccepted) }
            ports = read
        }
    }

    private static let portsAccepted =
        "different ports such as tcp/80, udp/53 or sctp/36412, separated by commas, at most \(limits.ports)"

    private static func ports(_ text: String) -> [Binding.Port]? {
        var ports: [Binding.Port] = []
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = item.split(separator: "/", omittingEmptySubsequences: false).map { String($0) }
            guard parts.count == 2, let transport = Binding.Port.TransportProtocol(rawValue: parts[0]),
                let value = number(parts[1]), let port = UInt16(exactly: value), port > 0,
                ports.count < limits.ports, !ports.contains(Binding.Port(transport, port))
            else { return nil }
            ports.append(Binding.Port(transport, port))
        }
        return ports
    }

    /// Decimal digits alone, at most five.
    private static func number(_ text: String) -> Int? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text)
    }
}

/// What plugins are told about the attachment itself (`CNI_…` and the runtime's data).
public struct PluginArguments: Equatable, Sendable {
    /// The container's id; for a pod its sandbox's.
    public var container: String
    /// The path of its network namespace; nil where that is gone, which DEL alone allows.
    public var namespace: String?
    /// The link's name in it.
    public var interface: String
    /// `CNI_ARGS`, in order.
    public var values: [Value]
    /// The runtime's data by capability (`mac`, `ips`, `portMappings`, `deviceID`, `CNIDeviceInfoFile`, …). Each plugin
    /// gets what its `capabilities` name.
    public var capabilities: [String: JSONValue]

    /// A word of `CNI_ARGS`.
    public struct Value: Equatable, Sendable {
        /// Its name.
        public var key: String
        /// Its value.
        public var value: String
        /// A word.
        public init(_ key: String, _ value: String) {
            self.key = key
            self.value = value
        }
    }

    /// Arguments of their parts.
    public init(
        container: String, namespace: String?, interface: String, values: [Value] = [],
        capabilities: [String: JSONValue] = [:]
    ) {
        self.container = container
        self.namespace = namespace
        self.interface = interface
        self.values = values
        self.capabilities = capabilities
    }

    /// Arguments for a pod: the words that container runtimes give, and what may be asked of the network.
    ///
    /// Multus tells an Ethernet address and addresses in both ways, as word and as capability, since plugins know one or
    /// the other.
    public static func pod(
        sandbox: String, namespace: String?, interface: String, podName: String, podNamespace: String, podUID: String,
        mac: String? = nil, addresses: [String] = [], device: String? = nil
    ) -> PluginArguments {
        var arguments = PluginArguments(container: sandbox, namespace: namespace, interface: interface)
        // Without it plugins refuse words that they do not know.
        arguments.values = [
            Value("IgnoreUnknown", "1"), Value("K8S_POD_NAMESPACE", podNamespace), Value("K8S_POD_NAME", podName),
            Value("K8S_POD_INFRA_CONTAINER_ID", sandbox), Value("K8S_POD_UID", podUID),
        ]
        if let mac {
            arguments.values.append(Value("MAC", mac))
            arguments.capabilities["mac"] = .string(mac)
        }
        if let device { arguments.capabilities["deviceID"] = .string(device) }
        if let first = addresses.first {
            arguments.values.append(Value("IP", first))
            arguments.capabilities["ips"] = .array(addresses.map(JSONValue.string))
        }
        return arguments
    }

    /// The file in which a plugin describes the device that it has made (Network Plumbing Working Group, Device Information
    /// Specification), told by the capability `CNIDeviceInfoFile`; nil: none was named.
    public var deviceInformation: String? {
        get { capabilities["CNIDeviceInfoFile"]?.string }
        set { capabilities["CNIDeviceInfoFile"] = newValue.map(JSONValue.string) }
    }

    /// Refuses what plugins, paths or the environment would misunderstand.
    ///
    /// - Throws: `CNIError.argument`.
    public func check() throws(CNIError) {
        guard NetworkConfiguration.isName(container) else {
            throw .argument(name: "container", found: container, accepted: "an id of letters and digits")
        }
        guard Self.isLinkName(interface) else {
            throw .argument(
                name: "interface", found: interface,
                accepted: "a link's name of up to 15 bytes without \"/\", \":\" and blanks")
        }
        for text in [namespace ?? ""] + values.flatMap({ [$0.key, $0.value] }) {
            guard text.utf8.count <= 4096, text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x3b && $0 != 0x7f }) else {
                throw .argument(name: "CNI_ARGS", found: text, accepted: "text without \";\" and control characters")
            }
        }
    }

    /// As libcni and the kernel (`dev_valid_name`) have it.
    static func isLinkName(_ text: String) -> Bool {
        (1...15).contains(text.utf8.count) && text != "." && text != ".."
            && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x2f && $0 != 0x3a && $0 != 0x7f }
    }

    func environment(_ command: PluginFailure.Command, path: [String]) -> [String] {
        [
            "CNI_COMMAND=\(command.rawValue)",
            "CNI_CONTAINERID=\(container)",
            "CNI_NETNS=\(namespace ?? "")",
            "CNI_IFNAME=\(interface)",
            "CNI_ARGS=\(values.map { "\($0.key)=\($0.value)" }.joined(separator: ";"))",
            "CNI_PATH=\(path.joined(separator: ":"))",
            // Some call ip, iptables or nft.
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
    }
}

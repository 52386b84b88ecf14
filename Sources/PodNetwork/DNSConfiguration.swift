public import Netlink

/// The name resolution of the pod, as resolv.conf(5) describes it.
public struct DNSConfiguration: Codable, Equatable, Sendable {
    /// Servers in the order of asking.
    public var nameservers: [IPAddress]
    /// Domains that are tried behind a name.
    public var search: [String]
    /// Options such as `ndots:5`.
    public var options: [String]

    /// A configuration of its parts.
    public init(nameservers: [IPAddress] = [], search: [String] = [], options: [String] = []) {
        self.nameservers = nameservers
        self.search = search
        self.options = options
    }

    /// Most servers, search domains and options that are taken over (Kubernetes allows 3 and 32).
    public static let limits = (nameservers: 8, search: 32, options: 32)

    /// Reads resolv.conf: the last `search` or `domain` counts; what is not understood is left out; zones of link-local
    /// servers are left out with their servers, as they mean nothing to the guest. Reads 64 KiB at most.
    public init(resolvConf: String) {
        self.init()
        for line in resolvConf.utf8.prefix(1 << 16).split(whereSeparator: { $0 == 0x0a || $0 == 0x0d }) {
            let words = line.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 }).map { String(Substring($0)) }
            guard let keyword = words.first else { continue }
            let values = words.dropFirst().prefix { !$0.hasPrefix("#") && !$0.hasPrefix(";") }
            switch keyword {
            case "nameserver":
                if let address = values.first.flatMap({ IPAddress($0) }), !nameservers.contains(address),
                    nameservers.count < Self.limits.nameservers
                {
                    nameservers.append(address)
                }
            case "search", "domain":
                let domains = values.compactMap { Self.domain($0) }
                search = Array(domains.prefix(keyword == "domain" ? 1 : Self.limits.search))
            case "options":
                let known = values.filter { $0.utf8.count <= 64 && $0.utf8.allSatisfy(Self.isOptionByte) }
                options = Array((options + known).prefix(Self.limits.options))
            default:
                continue
            }
        }
    }

    /// A domain name without its final dot; nil when it is none (RFC 1035, with underscores as they are used).
    static func domain(_ text: String) -> String? {
        let name = text.hasSuffix(".") ? text.dropLast() : text[...]
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        guard name.utf8.count <= 253,
            labels.allSatisfy({ (1...63).contains($0.utf8.count) && $0.utf8.allSatisfy(isNameByte) })
        else { return nil }
        return String(name)
    }

    /// Letters, digits, hyphen and underscore.
    static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }

    private static func isOptionByte(_ byte: UInt8) -> Bool {
        isNameByte(byte) || byte == UInt8(ascii: ":") || byte == UInt8(ascii: ".")
    }
}

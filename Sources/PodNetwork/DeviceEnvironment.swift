/// The environment variables by which device plugins tell a container its PCI functions (SR-IOV network device plugin,
/// README, "Pod device information"): `PCIDEVICE_INTEL_COM_SRIOV` with addresses separated by commas, and
/// `PCIDEVICE_INTEL_COM_SRIOV_INFO` with JSON whose keys they are.
public enum DeviceEnvironment {
    private static let prefix = "PCIDEVICE_"

    /// The functions in the variables, each once, in their order, in lower case. Names that are no PCI addresses, such
    /// as those of auxiliary devices, are left out.
    ///
    /// - Parameter environment: `NAME=value`.
    public static func addresses(_ environment: [String]) -> [String] {
        var addresses: [String] = []
        for variable in environment where variable.hasPrefix(prefix) {
            guard let equals = variable.firstIndex(of: "=") else { continue }
            for item in variable[equals...].dropFirst().split(separator: ",") {
                guard let address = PCIAddress.canonical(item), !addresses.contains(address) else { continue }
                addresses.append(address)
            }
        }
        return addresses
    }

    /// The environment for the guest: every address that the map has is replaced, in both kinds of variables. Other
    /// variables and other text stay byte for byte.
    ///
    /// - Parameter guestAddresses: from the function's address on the host, in lower case, to the one in the guest.
    public static func rewriting(_ environment: [String], _ guestAddresses: [String: String]) -> [String] {
        environment.map { variable in
            guard variable.hasPrefix(prefix), let equals = variable.firstIndex(of: "=") else { return variable }
            let value = variable.index(after: equals)
            return variable[..<value] + rewriting(variable[value...], guestAddresses)
        }
    }

    /// Replaces whole words only, all at once: a guest address that is another function's on the host stays.
    private static func rewriting(_ value: Substring, _ guestAddresses: [String: String]) -> String {
        var result: [UInt8] = []
        var rest = value.utf8[...]
        while !rest.isEmpty {
            let word = rest.prefix(while: isWordByte)
            let address = PCIAddress.canonical(Substring(word)).flatMap { guestAddresses[$0] }
            result += address.map { Array($0.utf8) } ?? Array(word)
            rest = rest.dropFirst(word.count)
            let separators = rest.prefix { !isWordByte($0) }
            result += separators
            rest = rest.dropFirst(separators.count)
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        DNSConfiguration.isNameByte(byte) || byte == UInt8(ascii: ":") || byte == UInt8(ascii: ".")
    }
}

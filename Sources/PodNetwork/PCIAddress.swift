/// Addresses of PCI functions in text, `domain:bus:device.function`.
enum PCIAddress {
    /// The address in lower case; nil when it is none. The domain has four digits, or up to eight behind some bridges.
    static func canonical(_ text: some StringProtocol) -> String? {
        guard text.utf8.count <= 16 else { return nil }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, (4...8).contains(parts[0].utf8.count), isHexadecimal(parts[0]),
            parts[1].utf8.count == 2, isHexadecimal(parts[1])
        else { return nil }
        let slot = parts[2].split(separator: ".", omittingEmptySubsequences: false)
        guard slot.count == 2, slot[0].utf8.count == 2, isHexadecimal(slot[0]),
            let device = UInt8(slot[0], radix: 16), device < 32,
            slot[1].utf8.count == 1, let function = UInt8(slot[1], radix: 10), function < 8
        else { return nil }
        return text.lowercased()
    }

    private static func isHexadecimal(_ text: some StringProtocol) -> Bool {
        text.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
        }
    }
}

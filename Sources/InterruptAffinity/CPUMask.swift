import HostTopology

/// The kernel's mask format: words of 32 bits in hexadecimal, the highest first (cpuset(7), "Mask format").
extension CPUSet {
    /// nil when the text is no mask, or one of more CPUs than there can be.
    init?(mask text: String) {
        let digits = text.utf8.filter { $0 != 0x0a && $0 != UInt8(ascii: ",") }
        guard !digits.isEmpty, digits.count <= Self.limit / 4 else { return nil }
        var numbers: [Int] = []
        for (index, digit) in digits.reversed().enumerated() {
            guard let value = Character(UnicodeScalar(digit)).hexDigitValue else { return nil }
            numbers += (0..<4).filter { value & 1 << $0 != 0 }.map { index * 4 + $0 }
        }
        self.init(numbers)
    }

    /// The mask.
    var mask: String {
        var words = [UInt32](repeating: 0, count: (last ?? 0) / 32 + 1)
        for number in self { words[number / 32] |= 1 << UInt32(number % 32) }
        return words.reversed().map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined(separator: ",")
    }
}

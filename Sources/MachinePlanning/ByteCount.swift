/// Numbers of bytes as people write and read them.
public enum ByteCount {
    private static let units: [(suffix: String, shift: UInt64)] = [
        ("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50),
    ]

    /// Parses `1024`, `20Gi` and the like; nil for anything else, overflow included.
    public static func parse(_ text: String) -> UInt64? {
        guard text.utf8.first != UInt8(ascii: "+") else { return nil }
        for unit in units where text.hasSuffix(unit.suffix) {
            guard let number = UInt64(text.dropLast(2)) else { return nil }
            let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << unit.shift)
            return overflow ? nil : bytes
        }
        return UInt64(text)
    }

    /// The largest unit that divides the number evenly: `512 MiB`.
    public static func text(_ bytes: UInt64) -> String {
        for unit in units.reversed() where bytes != 0 && bytes.isMultiple(of: 1 << unit.shift) {
            return "\(bytes >> unit.shift) \(unit.suffix)B"
        }
        return "\(bytes) B"
    }
}

extension ByteCount {
    /// As a Kubernetes quantity: `2Mi`.
    public static func quantity(_ bytes: UInt64) -> String {
        for unit in units.reversed() where bytes != 0 && bytes.isMultiple(of: 1 << unit.shift) {
            return "\(bytes >> unit.shift)\(unit.suffix)"
        }
        return "\(bytes)"
    }

    /// For people: GiB or MiB with up to two digits after the point, rounded down.
    public static func short(_ bytes: UInt64) -> String {
        for unit in units.reversed() where bytes >= 1 << unit.shift {
            let whole = bytes >> unit.shift
            let hundredths = ((bytes - (whole << unit.shift)) * 100) >> unit.shift
            if hundredths == 0 { return "\(whole) \(unit.suffix)B" }
            return "\(whole).\(hundredths < 10 ? "0" : "")\(hundredths) \(unit.suffix)B"
        }
        return "\(bytes) B"
    }
}

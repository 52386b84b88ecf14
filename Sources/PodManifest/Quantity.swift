/// A resource quantity of the Kubernetes API: `500m`, `2`, `1.5Gi`, `1e3`.
///
/// Held exactly, to a billionth. Only what a resource can be is accepted: zero or more, below 2^63, at most nine digits
/// after the point.
public struct Quantity: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The family of suffixes that a quantity was written with and is printed with.
    public enum Format: Sendable {
        /// `n u m k M G T P E`, powers of ten.
        case decimal
        /// `Ki Mi Gi Ti Pi Ei`, powers of 1024.
        case binary
    }

    private let nano: Int128
    /// How ``description`` writes it. Not part of equality.
    public let format: Format

    private static let billion: Int128 = 1_000_000_000
    private static let limit: Int128 = Int128(Int64.max) * billion
    private static let decimalSuffixes: [(String, Int)] = [
        ("E", 18), ("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3), ("", 0), ("m", -3), ("u", -6), ("n", -9),
    ]
    private static let binarySuffixes: [(String, Int)] = [
        ("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10),
    ]

    private init(nano: Int128, format: Format) {
        self.nano = nano
        self.format = format
    }

    /// None at all.
    public static let zero = Quantity(nano: 0, format: .decimal)

    /// A whole number of bytes, printed with binary suffixes. Negative numbers become zero.
    public static func bytes(_ count: Int64) -> Quantity {
        Quantity(nano: Int128(max(count, 0)) * billion, format: .binary)
    }

    /// A number of thousandths, printed with decimal suffixes. Negative numbers become zero.
    public static func milli(_ count: Int64) -> Quantity {
        Quantity(nano: Int128(max(count, 0)) * 1_000_000, format: .decimal)
    }

    /// Reads the text of a quantity.
    ///
    /// - Throws: `ManifestError` without a field, quoting the text.
    public init(parsing text: String) throws(ManifestError) {
        func refuse(_ why: String) -> ManifestError {
            ManifestError("", "\"\(text)\" \(why); a quantity is a number with a suffix, as 2, 500m, 1.5Gi or 64M")
        }
        var rest = text[...]
        if rest.first == "-" { throw refuse("is negative") }
        if rest.first == "+" { rest = rest.dropFirst() }

        let whole = rest.prefix { $0.isASCII && $0.isNumber }
        rest = rest.dropFirst(whole.count)
        var fraction = rest.prefix(0)
        if rest.first == "." {
            fraction = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(1 + fraction.count)
        }
        guard !whole.isEmpty || !fraction.isEmpty else { throw refuse("has no digits") }
        guard fraction.count <= 9 else { throw refuse("has more than nine digits after the point") }
        guard let mantissa = Int128(whole + fraction) else { throw refuse("is too large") }

        let scaled: Int128?
        if let power = Self.binarySuffixes.first(where: { $0.0 == rest })?.1 {
            format = .binary
            scaled = Self.multiply(mantissa, Self.billion << power, dividingByTenTo: fraction.count)
        } else if let power = Self.decimalExponent(rest) {
            format = .decimal
            let exponent = power + 9 - fraction.count
            scaled =
                exponent >= 0
                ? Self.multiply(mantissa, Self.tenTo(exponent), dividingByTenTo: 0)
                : Self.multiply(mantissa, 1, dividingByTenTo: -exponent)
        } else {
            throw refuse("ends in \"\(rest)\", which is no suffix of a quantity")
        }
        guard let scaled, scaled <= Self.limit else { throw refuse("is too large: the most is 2^63-1") }
        nano = scaled
    }

    /// The number in whole units (bytes, CPUs), rounded up.
    public var value: Int64 { Int64(clamping: Self.divideUp(nano, Self.billion)) }

    /// The number in thousandths (millicores), rounded up; the largest `Int64` when it does not fit.
    public var milliValue: Int64 { Int64(clamping: Self.divideUp(nano, 1_000_000)) }

    /// The shortest exact form in the quantity's own family of suffixes.
    public var description: String {
        if nano == 0 { return "0" }
        if format == .binary, nano % Self.billion == 0 {
            let whole = nano / Self.billion
            let suffix = Self.binarySuffixes.first { whole % (1 << $0.1) == 0 }
            return suffix.map { "\(whole >> $0.1)\($0.0)" } ?? "\(whole)"
        }
        for (suffix, power) in Self.decimalSuffixes {
            let unit = Self.tenTo(power + 9)
            if nano % unit == 0 { return "\(nano / unit)\(suffix)" }
        }
        return "\(nano)n"
    }

    /// The sum, held at the largest quantity there is.
    public static func + (left: Quantity, right: Quantity) -> Quantity {
        Quantity(nano: min(left.nano + right.nano, limit), format: left.nano == 0 ? right.format : left.format)
    }

    /// Compares the numbers; `1` equals `1000m`.
    public static func == (left: Quantity, right: Quantity) -> Bool { left.nano == right.nano }

    /// Compares the numbers.
    public static func < (left: Quantity, right: Quantity) -> Bool { left.nano < right.nano }

    /// Hashes the number alone, as equality does.
    public func hash(into hasher: inout Hasher) { hasher.combine(nano) }

    private static func decimalExponent(_ suffix: Substring) -> Int? {
        if let power = decimalSuffixes.first(where: { $0.0 == suffix })?.1 { return power }
        guard let letter = suffix.first, letter == "e" || letter == "E" else { return nil }
        guard let power = Int(suffix.dropFirst()), (-9...18).contains(power) else { return nil }
        return power
    }

    private static func tenTo(_ power: Int) -> Int128 {
        var result: Int128 = 1
        for _ in 0..<power { result *= 10 }
        return result
    }

    private static func divideUp(_ number: Int128, _ divisor: Int128) -> Int128 {
        number / divisor + (number % divisor == 0 ? 0 : 1)
    }

    /// nil when the product does not fit.
    private static func multiply(_ number: Int128, _ factor: Int128, dividingByTenTo power: Int) -> Int128? {
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? nil : divideUp(product, tenTo(power))
    }
}

extension Quantity: Codable {
    /// Reads a string or a plain number, as YAML writes them.
    public init(from decoder: any Decoder) throws {
        self = try decoder.parse { text throws(ManifestError) in try Quantity(parsing: text) }
    }

    /// Writes the canonical string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

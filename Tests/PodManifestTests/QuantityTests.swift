import Testing

@testable import PodManifest

@Suite struct QuantityTests {
    @Test(
        arguments: [
            ("0", 0, 0, "0"), ("1", 1, 1000, "1"), ("500m", 1, 500, "500m"), ("1500m", 2, 1500, "1500m"),
            ("0.5", 1, 500, "500m"), (".5", 1, 500, "500m"), ("2.", 2, 2000, "2"), ("+3", 3, 3000, "3"),
            ("1k", 1000, 1_000_000, "1k"), ("64M", 64_000_000, 64_000_000_000, "64M"), ("1e3", 1000, 1_000_000, "1k"),
            ("1E3", 1000, 1_000_000, "1k"), ("5e-3", 1, 5, "5m"), ("1E", 1_000_000_000_000_000_000, Int64.max, "1E"),
            ("1Ki", 1024, 1_024_000, "1Ki"), ("1.5Gi", 1_610_612_736, 1_610_612_736_000, "1536Mi"),
            ("1Gi", 1 << 30, (1 << 30) * 1000, "1Gi"), ("1000Mi", 1_048_576_000, 1_048_576_000_000, "1000Mi"),
            ("7Ei", 7 << 60, Int64.max, "7Ei"), ("9223372036854775807", Int64.max, Int64.max, "9223372036854775807"),
            ("100n", 1, 1, "100n"), ("3u", 1, 1, "3u"), ("0.1Ki", 103, 102_400, "102400m"),
        ] as [(String, Int64, Int64, String)])
    func reads(text: String, value: Int64, milli: Int64, canonical: String) throws {
        let quantity = try Quantity(parsing: text)
        #expect(quantity.value == value)
        #expect(quantity.milliValue == milli)
        #expect(quantity.description == canonical)
    }

    @Test(arguments: [
        "", "-1", "Gi", "1GiB", "1 Gi", "1.2.3", "0x10", "1e", "1e99", "1e-99", "9223372036854775808", "8Ei", "10E",
        "9999999999999999999999999999999999999999999", "1.0000000001", "٣", "1KI", "inf", "nan", "+", ".", "m", "--1",
    ])
    func refuses(text: String) {
        let error = #expect(throws: ManifestError.self) { try Quantity(parsing: text) }
        #expect(error?.reason.contains("\"\(text)\"") == true, "the text is quoted")
    }

    @Test func whatIsPrintedReadsTheSame() throws {
        var random = SystemRandomNumberGenerator()
        let suffixes = [
            "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e2", "E-2",
        ]
        var checked = 0
        for _ in 0..<20_000 {
            let digits = Int.random(in: 0...18, using: &random)
            let whole = digits == 0 ? 0 : Int64.random(in: 0..<Int64(pow10(digits)), using: &random)
            let fraction = Bool.random(using: &random) ? ".\(UInt32.random(in: 0..<1_000_000, using: &random))" : ""
            let text = "\(whole)\(fraction)\(suffixes.randomElement(using: &random) ?? "")"
            guard let quantity = try? Quantity(parsing: text) else { continue }
            checked += 1
            #expect(try Quantity(parsing: quantity.description) == quantity, "\(text) printed as \(quantity)")
            #expect(quantity.value >= 0 && quantity.milliValue >= quantity.value - 1)
        }
        #expect(checked > 5_000)
    }

    @Test func randomBytesAreRefusedOrRead() {
        var random = SystemRandomNumberGenerator()
        let alphabet = Array("0123456789.eE+-KMGTPimnuk ")
        for _ in 0..<20_000 {
            let text = String((0..<Int.random(in: 0...40)).compactMap { _ in alphabet.randomElement(using: &random) })
            _ = try? Quantity(parsing: text)
        }
    }

    @Test func sumsAndComparesAcrossForms() throws {
        #expect(try Quantity(parsing: "1") == Quantity(parsing: "1000m"))
        #expect(try Quantity(parsing: "1Ki") > Quantity(parsing: "1k"))
        #expect(try (Quantity(parsing: "1500m") + Quantity(parsing: "500m")).description == "2")
        let most = try Quantity(parsing: "7Ei")
        #expect((most + most).value == Int64.max)
    }

    private func pow10(_ power: Int) -> Int { (0..<power).reduce(1) { result, _ in result * 10 } }
}

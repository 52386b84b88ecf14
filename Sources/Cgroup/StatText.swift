/// The few formats of a group's statistics files, read without trust: what does not parse is absent.
struct StatFiles {
    /// File name → content, for example `memory.stat`. The names of a group's files differ between controllers.
    let texts: [String: String]

    /// A file with one number; `max` is `UInt64.max`.
    func number(_ file: String) -> UInt64? { texts[file].flatMap { Self.number($0[...]) } }

    /// A file of `key value` lines.
    func table(_ file: String) -> [Substring: UInt64]? {
        guard let text = texts[file] else { return nil }
        var table: [Substring: UInt64] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, let value = Self.number(words[1]) { table[words[0]] = value }
        }
        return table
    }

    /// A file of `major:minor …` lines.
    func devices(_ file: String) -> [(major: UInt64, minor: UInt64, words: ArraySlice<Substring>)] {
        (texts[file] ?? "").split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            let numbers = words.first?.split(separator: ":").compactMap { UInt64($0) } ?? []
            return numbers.count == 2 ? (numbers[0], numbers[1], words.dropFirst()) : nil
        }
    }

    /// A pressure file: `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and `full` alike (psi.rst).
    func pressure(_ file: String) -> CgroupMetrics.Pressure? {
        guard let text = texts[file] else { return nil }
        var pressure = CgroupMetrics.Pressure()
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            let fields = Self.pairs(words.dropFirst())
            let average = { (name: Substring) in fields[name].flatMap { Double($0) }.flatMap { $0.isFinite ? $0 : nil }
            }
            let share = CgroupMetrics.Pressure.Share(
                avg10: average("avg10") ?? 0, avg60: average("avg60") ?? 0, avg300: average("avg300") ?? 0,
                total: fields["total"].flatMap { UInt64($0) } ?? 0)
            switch words.first {
            case "some": pressure.some = share
            case "full": pressure.full = share
            default: continue
            }
        }
        return pressure.some == nil && pressure.full == nil ? nil : pressure
    }

    /// `mlx4_0 hca_handle=2 hca_object=max` lines of the rdma controller.
    func rdma(_ file: String) -> [CgroupMetrics.RDMA] {
        (texts[file] ?? "").split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard let device = words.first else { return nil }
            let fields = Self.pairs(words.dropFirst())
            let count = { (name: Substring) in UInt32(clamping: fields[name].flatMap(Self.number) ?? 0) }
            return CgroupMetrics.RDMA(
                device: String(device), hcaHandles: count("hca_handle"), hcaObjects: count("hca_object"))
        }
    }

    /// The page sizes of which there is a file `hugetlb.<size>.<name>`, sorted.
    func pageSizes(_ name: String) -> [String] {
        texts.keys.compactMap { file in
            let parts = file.split(separator: ".")
            return parts.count == 3 && parts[0] == "hugetlb" && parts[2] == name ? String(parts[1]) : nil
        }.sorted()
    }

    /// `key=value` words.
    static func pairs(_ words: ArraySlice<Substring>) -> [Substring: Substring] {
        var pairs: [Substring: Substring] = [:]
        for word in words {
            guard let equals = word.firstIndex(of: "=") else { continue }
            pairs[word[..<equals]] = word[word.index(after: equals)...]
        }
        return pairs
    }

    private static func number(_ text: Substring) -> UInt64? {
        let word = text.prefix { !$0.isWhitespace }
        return word == "max" ? .max : UInt64(word)
    }
}

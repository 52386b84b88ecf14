/// A set of small numbers, CPUs or memory nodes, in the kernel's list format: `0-3,8` (cpuset(7), "List format").
///
/// Numbers are below ``limit``; the text `0-3` and the array are one and the same set.
public struct CPUSet: Hashable, Sendable {
    /// One more than the highest number: the kernel's largest `CONFIG_NR_CPUS`.
    public static let limit = 8192

    /// Bit n of word n / 64; no trailing zero words, so that equal sets are equal values.
    private var words: [UInt64] = []

    /// The empty set.
    public init() {}

    /// A set of numbers; those that are negative or not below ``limit`` are left out.
    public init(_ numbers: some Sequence<Int>) {
        for number in numbers { insert(number) }
    }

    /// Text is not in the list format.
    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        /// What was found: its first hundred bytes, in printable ASCII.
        public let text: String

        init(_ text: some StringProtocol) {
            let printable = text.utf8.prefix(100).map { (0x20..<0x7f).contains($0) ? $0 : UInt8(ascii: "?") }
            self.text = String(decoding: printable, as: UTF8.self)
        }

        /// The sentence for people.
        public var description: String { "\"\(text)\" is no list of numbers below \(CPUSet.limit) such as 0-3,8" }
    }

    /// Parses the list format. White space around the text is accepted, and the empty text is the empty set.
    ///
    /// - Throws: ``Malformed``.
    public init(_ text: some StringProtocol) throws(Malformed) {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0a || byte == 0x09 }
        var bytes = Array(text.utf8.drop(while: isSpace))[...]
        while let last = bytes.last, isSpace(last) { bytes.removeLast() }
        guard !bytes.isEmpty else { return }
        func number() -> Int? {
            var value: Int?
            while let byte = bytes.first, (0x30...0x39).contains(byte) {
                let next = (value ?? 0) * 10 + Int(byte - 0x30)
                guard next < Self.limit else { return nil }
                value = next
                bytes.removeFirst()
            }
            return value
        }
        while true {
            guard let first = number() else { throw Malformed(text) }
            var last = first
            if bytes.first == UInt8(ascii: "-") {
                bytes.removeFirst()
                guard let number = number(), number >= first else { throw Malformed(text) }
                last = number
            }
            insert(first...last)
            guard let comma = bytes.popFirst() else { return }
            guard comma == UInt8(ascii: ",") else { throw Malformed(text) }
        }
    }

    /// Whether there is no number in the set.
    public var isEmpty: Bool { words.isEmpty }
    /// How many numbers there are.
    public var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }
    /// The lowest number.
    public var first: Int? {
        guard let index = words.firstIndex(where: { $0 != 0 }) else { return nil }
        return index * 64 + words[index].trailingZeroBitCount
    }
    /// The highest number.
    public var last: Int? {
        guard let word = words.last else { return nil }
        return words.count * 64 - 1 - word.leadingZeroBitCount
    }

    /// Whether a number is in the set.
    public func contains(_ number: Int) -> Bool {
        number >= 0 && number / 64 < words.count && words[number / 64] & 1 << UInt64(number % 64) != 0
    }

    /// Puts a number in; one that is negative or not below ``limit`` changes nothing.
    public mutating func insert(_ number: Int) {
        guard (0..<Self.limit).contains(number) else { return }
        while words.count <= number / 64 { words.append(0) }
        words[number / 64] |= 1 << UInt64(number % 64)
    }

    /// Puts in the numbers of a range below ``limit``, a word at a time: a hostile list of long ranges costs no more than
    /// its text.
    private mutating func insert(_ range: ClosedRange<Int>) {
        insert(range.upperBound)
        for word in range.lowerBound / 64...range.upperBound / 64 {
            let low = Swift.max(range.lowerBound - word * 64, 0)
            let high = Swift.min(range.upperBound - word * 64, 63)
            words[word] |= (UInt64.max << UInt64(low)) & (UInt64.max >> UInt64(63 - high))
        }
    }

    /// Takes a number out.
    public mutating func remove(_ number: Int) {
        guard contains(number) else { return }
        words[number / 64] &= ~(1 << UInt64(number % 64))
        trim()
    }

    /// The numbers of either set.
    public func union(_ other: CPUSet) -> CPUSet {
        var result = words.count >= other.words.count ? self : other
        let shorter = words.count >= other.words.count ? other : self
        for (index, word) in shorter.words.enumerated() { result.words[index] |= word }
        return result
    }

    /// The numbers of both sets.
    public func intersection(_ other: CPUSet) -> CPUSet {
        var result = CPUSet()
        result.words = zip(words, other.words).map { $0 & $1 }
        result.trim()
        return result
    }

    /// The numbers that the other set does not have.
    public func subtracting(_ other: CPUSet) -> CPUSet {
        var result = self
        for (index, word) in zip(result.words.indices, other.words) { result.words[index] &= ~word }
        result.trim()
        return result
    }

    /// Whether every number is in the other set too.
    public func isSubset(of other: CPUSet) -> Bool {
        words.count <= other.words.count && zip(words, other.words).allSatisfy { $0 & ~$1 == 0 }
    }
    /// Whether no number is in both sets.
    public func isDisjoint(with other: CPUSet) -> Bool { zip(words, other.words).allSatisfy { $0 & $1 == 0 } }

    private mutating func trim() {
        while words.last == 0 { words.removeLast() }
    }
}

extension CPUSet: Sequence {
    /// The numbers, ascending.
    public struct Iterator: IteratorProtocol {
        fileprivate let words: [UInt64]
        fileprivate var index = 0
        fileprivate var rest: UInt64

        /// The next number.
        public mutating func next() -> Int? {
            while rest == 0 {
                index += 1
                guard index < words.count else { return nil }
                rest = words[index]
            }
            defer { rest &= rest - 1 }
            return index * 64 + rest.trailingZeroBitCount
        }
    }

    /// The numbers, ascending.
    public func makeIterator() -> Iterator { Iterator(words: words, rest: words.first ?? 0) }
}

extension CPUSet: CustomStringConvertible {
    /// The list format; empty for the empty set.
    public var description: String {
        var parts: [String] = []
        var run: ClosedRange<Int>?
        func close(_ run: ClosedRange<Int>?) {
            guard let run else { return }
            parts.append(run.count == 1 ? "\(run.lowerBound)" : "\(run.lowerBound)-\(run.upperBound)")
        }
        for number in self {
            if let open = run, open.upperBound + 1 == number {
                run = open.lowerBound...number
            } else {
                close(run)
                run = number...number
            }
        }
        close(run)
        return parts.joined(separator: ",")
    }
}

extension CPUSet: ExpressibleByArrayLiteral {
    /// A set of the numbers.
    public init(arrayLiteral elements: Int...) { self.init(elements) }
}

extension CPUSet: Codable {
    /// Reads the list format.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        do {
            try self.init(try container.decode(String.self))
        } catch let error as Malformed {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: error.description)
        }
    }

    /// Writes the list format.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

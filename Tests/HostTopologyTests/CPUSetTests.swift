import Foundation
import HostTopology
import TestSupport
import Testing

@Suite struct CPUSetTests {
    /// What CPUSet has to be like: the standard library's set.
    private func random(_ generator: inout SeededGenerator) -> Set<Int> {
        let limit = [8, 64, 65, 300, CPUSet.limit].randomElement(using: &generator) ?? 8
        let count = Int.random(in: 0...min(limit, 80), using: &generator)
        return Set((0..<count).map { _ in Int.random(in: 0..<limit, using: &generator) })
    }

    @Test func behavesAsASetOfNumbers() throws {
        var generator = SeededGenerator(1)
        for _ in 0..<200 {
            let (a, b) = (random(&generator), random(&generator))
            let (left, right) = (CPUSet(a), CPUSet(b))
            #expect(Array(left) == a.sorted())
            #expect(left.count == a.count && left.first == a.min() && left.last == a.max() && left.isEmpty == a.isEmpty)
            #expect(Array(left.union(right)) == a.union(b).sorted())
            #expect(Array(left.intersection(right)) == a.intersection(b).sorted())
            #expect(Array(left.subtracting(right)) == a.subtracting(b).sorted())
            #expect(left.isSubset(of: right) == a.isSubset(of: b) && left.intersection(right).isSubset(of: left))
            #expect(left.isDisjoint(with: right) == a.isDisjoint(with: b))
            #expect(left == CPUSet(a.shuffled(using: &generator)))
            #expect(left.union(right).subtracting(right) == CPUSet(a.subtracting(b)))
            var changed = left
            for number in b { changed.remove(number) }
            #expect(changed == left.subtracting(right) && changed.hashValue == left.subtracting(right).hashValue)
            for number in b { #expect(left.contains(number) == a.contains(number)) }
        }
    }

    @Test func textAndSetAreTheSame() throws {
        var generator = SeededGenerator(2)
        for _ in 0..<200 {
            let set = CPUSet(random(&generator))
            #expect(try CPUSet(set.description) == set)
            #expect(try CPUSet(" \t\(set)\n") == set)
            #expect(try CPUSet(set.map(String.init).joined(separator: ",")) == set)
            let json = try JSONEncoder().encode([set])
            #expect(String(decoding: json, as: UTF8.self) == "[\"\(set)\"]")
            #expect(try JSONDecoder().decode([CPUSet].self, from: json) == [set])
        }
    }

    @Test(arguments: [
        ("0", "0"), ("0-3,8", "0-3,8"), ("3,2,1", "1-3"), ("0-1,1-2,5-5", "0-2,5"), ("007", "7"), ("", ""), ("\n", ""),
        ("63-64,127-128", "63-64,127-128"), ("0-8191", "0-8191"), ("8191", "8191"), ("60-200", "60-200"),
    ])
    func accepts(_ text: String, _ canonical: String) throws {
        let set = try CPUSet(text)
        #expect(set.description == canonical)
        #expect(Array(try CPUSet(canonical)) == Array(set))
    }

    @Test(arguments: [
        ",", "1,", ",1", "1,,2", "-", "1-", "-1", "3-1", "a", "1 2", "1, 2", "0x1", "1-2-3", "8192", "0-8192", "+1",
        "1\u{0}",
        "99999999999999999999", "0-99999999999999999999", "(null)", "0-3:1/2", "all", "١", "0-3\n4",
    ])
    func refuses(_ text: String) {
        #expect(throws: CPUSet.Malformed.self) { try CPUSet(text) }
    }

    @Test func hostileSizesCostNoMoreThanTheirText() throws {
        let ranges = repeatElement("0-8191", count: 5000).joined(separator: ",")
        #expect(try CPUSet(ranges).count == CPUSet.limit)
        #expect(try CPUSet(String(repeating: "0", count: 1 << 15) + "5") == [5])
        let digits = String(repeating: "9", count: 1 << 15)
        let error = #expect(throws: CPUSet.Malformed.self) { try CPUSet(digits) }
        #expect((error?.description.utf8.count ?? 0) < 200)
        // One character of a megabyte, and a terminal's escape.
        let marks = #expect(throws: CPUSet.Malformed.self) {
            try CPUSet("\u{1b}[2Ja" + String(repeating: "\u{301}", count: 1 << 15))
        }
        #expect((marks?.text.utf8.count ?? 0) == 100 && marks?.text.hasPrefix("?[2Ja??") == true)
    }

    @Test func numbersOutOfBoundsAreLeftOut() {
        var set: CPUSet = [Int.min, -1, 0, CPUSet.limit - 1, CPUSet.limit, Int.max]
        #expect(Array(set) == [0, CPUSet.limit - 1])
        for number in [Int.min, -1, CPUSet.limit, Int.max] {
            set.remove(number)
            #expect(!set.contains(number))
        }
        #expect(set.count == 2)
        set.remove(CPUSet.limit - 1)
        set.remove(0)
        #expect(set == [] && set.first == nil && set.last == nil && set.description.isEmpty)
    }
}

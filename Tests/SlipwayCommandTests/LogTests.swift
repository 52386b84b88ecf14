import Testing

@testable import SlipwayCommand

@Suite struct LogTests {
    private func line(_ text: String) -> LogLine? { LogLine(Array(text.utf8)[...]) }

    @Test func wholeAndPartialRecords() throws {
        let whole = try #require(line("2016-10-06T00:17:09.669794202Z stdout F log content 1"))
        #expect(whole.stream == .standardOutput && !whole.isPartial)
        #expect(String(decoding: whole.content, as: UTF8.self) == "log content 1")
        #expect(whole.time == "2016-10-06T00:17:09.669794202Z")
        let part = try #require(line("2016-10-06T00:17:09.669794202+02:00 stderr P  two  spaces "))
        #expect(part.stream == .standardError && part.isPartial)
        #expect(String(decoding: part.content, as: UTF8.self) == " two  spaces ")
        #expect(line("2016-10-06T00:17:09.669794202Z stdout F:tag x")?.isPartial == false)
        #expect(line("2016-10-06T00:17:09.669794202Z stdout F ")?.content.isEmpty == true)
        #expect(line("2016-10-06T00:17:09.669794202Z stdout F")?.content.isEmpty == true)
    }

    @Test(arguments: [
        "", " ", "x", "stdout F x", "2016-10-06T00:17:09.6Z", "2016-10-06T00:17:09.669794202Z stdxxx F a",
        "2016-10-06T00:17:09.669794202Z stdout X a", "2016-10-06T00:17:09.669794202Z stdout : a",
        "{\"log\":\"a\",\"stream\":\"stdout\"}",
    ])
    func othersAreNoRecords(text: String) {
        #expect(line(text) == nil)
    }

    @Test func recordsAreCutWhereverReadsEnd() {
        let bytes = Array(
            "2016-10-06T00:17:09.669794202Z stdout P a\n2016-10-06T00:17:09.669794202Z stdout F b\ngarbage\n".utf8)
        for size in 1...bytes.count {
            var records = LogRecords()
            var lines: [LogLine] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                lines += records.append(Array(bytes[start..<min(start + size, bytes.count)]))
            }
            #expect(lines.map { String(decoding: $0.content, as: UTF8.self) } == ["a", "b"], "reads of \(size)")
        }
    }

    @Test func partsOfALineAreJoined() throws {
        var printer = LogPrinter(timestamps: true)
        let texts = ["stdout P ab", "stdout P cd", "stdout F ef", "stdout F gh"]
        let printed = try texts.flatMap { text in
            printer.bytes(of: try #require(line("2016-10-06T00:17:09.669794202Z \(text)")))
        }
        #expect(
            String(decoding: printed, as: UTF8.self)
                == "2016-10-06T00:17:09.669794202Z abcdef\n2016-10-06T00:17:09.669794202Z gh\n")
    }

    @Test(
        arguments: [
            (nil, ["a", "b", "c", "d"]), (0, []), (1, ["d"]), (2, ["b", "c", "d"]), (9, ["a", "b", "c", "d"]),
        ] as [(Int?, [String])])
    func tailCountsWholeLines(count: Int?, expected: [String]) throws {
        var tail = LogTail(count)
        var printed: [LogLine] = []
        for text in ["F a", "P b", "F c", "F d"] {
            printed += tail.keep(try #require(line("2016-10-06T00:17:09.669794202Z stdout \(text)")))
        }
        printed += tail.release()
        #expect(printed.map { String(decoding: $0.content, as: UTF8.self) } == expected)
        let rest = tail.release()
        #expect(rest.isEmpty)
    }

    @Test func textIsFoundAcrossPieces() {
        for cut in 0...10 {
            let bytes = Array("debian login: ".utf8)
            var search = ByteSearch(Array("login:".utf8))
            let first = search.found(in: bytes[..<cut], endsLine: false)
            let second = search.found(in: bytes[cut...], endsLine: false)
            #expect(first || second, "cut at \(cut)")
        }
        var search = ByteSearch(Array("ab".utf8))
        let found = ["a", "b"].map { search.found(in: Array($0.utf8)[...], endsLine: true) }
        #expect(found == [false, false], "a newline is between them")
    }

    @Test func ages() {
        #expect(Age(argument: "90s")?.seconds == 90)
        #expect(Age(argument: "2h")?.seconds == 7200)
        for text in ["", "s", "5", "5w", "-1s", "9999999999999999999d", "1.5h"] { #expect(Age(argument: text) == nil) }
    }
}

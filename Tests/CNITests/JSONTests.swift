import CNI
import TestSupport
import Testing

@Suite struct JSONTests {
    private func parse(_ text: String) throws(JSONError) -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }

    @Test(arguments: [
        ("null", "null"), (" true\n", "true"), ("[ ]", "[]"), ("{}", "{}"),
        ("[1, -0, 1.50, 1e3, 12345678901234567890123]", "[1,-0,1.50,1e3,12345678901234567890123]"),
        (#"{"b": 1, "a": {"z": [null, false]}, "b": 2}"#, #"{"a":{"z":[null,false]},"b":2}"#),
        (#""\u0041\n\t\"\\\/\u00e9\ud83d\ude00\ud83dx""#, "\"A\\n\\t\\\"\\\\/é😀\u{fffd}x\""),
        (#""\u0001""#, #""\u0001""#),
    ])
    func textsAreReadAndWritten(text: String, written: String) throws {
        #expect(try parse(text).text == written)
        #expect(try parse(written).text == written)
    }

    @Test(arguments: [
        "", " ", "nul", "[1,]", "[1 2]", "{\"a\"}", "{\"a\":1,}", "{a:1}", "01", "+1", "1.", ".5", "1e", "-", "\"a",
        "\"\\x\"", "\"\\u12g4\"", "\"\n\"", "1 2", "tru", "[", "{", "\u{feff}1", "\"\\", "\"\\u12",
    ])
    func otherTextsAreRefused(text: String) {
        #expect(throws: JSONError.self) { try parse(text) }
    }

    @Test func depthIsBounded() throws {
        let limit = JSONValue.depthLimit
        let deepest = String(repeating: "[", count: limit) + String(repeating: "]", count: limit)
        #expect(try parse(deepest).text == deepest)
        #expect(throws: JSONError.self) { try parse("[" + deepest + "]") }
        #expect(throws: JSONError.self) { try parse(String(repeating: "{\"a\":", count: 300_000)) }
    }

    @Test func whateverIsCutOrChangedIsReadOrRefused() throws {
        let text = Array(#"{"a": [1, -2.5e+3, "x\u00e9\ud83d\ude00", null, true], "b": {"c": {}}}"#.utf8)
        for end in 0..<text.count {
            #expect(throws: JSONError.self) { try JSONValue(parsing: Array(text[..<end])) }
        }
        var random = SeededGenerator(7)
        for _ in 0..<5_000 {
            var changed = text
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                changed[Int.random(in: 0..<changed.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            guard let value = try? JSONValue(parsing: changed) else { continue }
            #expect(try parse(value.text) == value, "\(changed)")
        }
    }
}

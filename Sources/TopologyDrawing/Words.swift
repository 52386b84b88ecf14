/// `1 node`, `2 nodes`.
func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

/// Bytes in the largest unit that keeps the number above one, to a tenth: `2 MiB`, `12.5 GiB`.
func bytes(_ count: UInt64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    var unit = 0
    while unit + 1 < units.count, count >> UInt64(10 * (unit + 1)) > 0 { unit += 1 }
    guard unit > 0 else { return "\(count) B" }
    // Downwards, so that what is free is never said to be more than it is.
    let tenths = (count >> UInt64(10 * (unit - 1))) * 10 / 1024
    return tenths % 10 == 0 ? "\(tenths / 10) \(units[unit])" : "\(tenths / 10).\(tenths % 10) \(units[unit])"
}

/// Text from elsewhere without what a terminal would obey, cut to a length.
func printable(_ text: String, limit: Int = 60) -> String {
    let bytes = text.utf8.prefix(limit).map { (0x20..<0x7f).contains($0) ? $0 : UInt8(ascii: "?") }
    return String(decoding: bytes, as: UTF8.self) + (text.utf8.count > limit ? "..." : "")
}

/// Lines of at most a width, torn after spaces and commas where there are any.
func wrapped(_ text: String, width: Int) -> [String] {
    var lines: [String] = []
    var rest = Substring(text)
    while rest.utf8.count > width, width > 0 {
        var end = rest.utf8.index(rest.startIndex, offsetBy: width)
        if let tear = rest[..<end].lastIndex(where: { $0 == " " || $0 == "," }), tear > rest.startIndex {
            end = rest.index(after: tear)
        }
        lines.append(String(rest[..<end].last == " " ? rest[..<end].dropLast() : rest[..<end]))
        rest = rest[end...]
    }
    return lines + [String(rest)]
}

func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(width - text.utf8.count, 0))
}

func aligned(_ number: Int, _ width: Int) -> String {
    let text = String(number)
    return String(repeating: " ", count: max(width - text.utf8.count, 0)) + text
}

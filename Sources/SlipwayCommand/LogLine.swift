/// One line of a container's log file (Kubernetes, "CRI: Log management"): `<time> <stream> <tags> <content>`.
struct LogLine: Equatable {
    enum Stream: String, Equatable {
        case standardOutput = "stdout"
        case standardError = "stderr"
    }

    /// RFC 3339 with nanoseconds.
    let time: String
    let stream: Stream
    /// Whether the container's line goes on in the next record of the same stream.
    let isPartial: Bool
    /// The container's bytes, without a newline.
    let content: ArraySlice<UInt8>

    /// Reads a record without its newline; nil when it is none, as the last one of a writer that was killed.
    init?(_ record: ArraySlice<UInt8>) {
        var rest = record
        func word() -> String? {
            guard let space = rest.firstIndex(of: 0x20), space > rest.startIndex else { return nil }
            defer { rest = rest[(space + 1)...] }
            return String(decoding: rest[..<space], as: UTF8.self)
        }
        guard let time = word(), time.utf8.count >= 20, time.contains("T"),
            let stream = word().flatMap(Stream.init(rawValue:))
        else { return nil }
        // Tags are separated by colons; the first says whether the line is whole. Without content there is no space.
        let tags: String
        if let next = word() {
            tags = next
        } else {
            tags = String(decoding: rest, as: UTF8.self)
            rest = []
        }
        guard let first = tags.split(separator: ":").first, first == "P" || first == "F" else { return nil }
        self.time = time
        self.stream = stream
        isPartial = first == "P"
        content = rest
    }
}

/// Cuts a growing file into records; the rest of an unfinished one waits for more bytes.
struct LogRecords {
    private var pending: [UInt8] = []

    /// The most that a record without an end may hold; more is cut there. containerd writes 16 KiB at the most.
    static let limit = 1 << 20

    /// The records that are whole now.
    mutating func append(_ bytes: [UInt8]) -> [LogLine] {
        pending += bytes
        var lines: [LogLine] = []
        var start = pending.startIndex
        while let end = pending[start...].firstIndex(of: 0x0a) {
            if let line = LogLine(pending[start..<end]) { lines.append(line) }
            start = end + 1
        }
        pending.removeSubrange(..<start)
        if pending.count > Self.limit { pending.removeAll() }
        return lines
    }
}

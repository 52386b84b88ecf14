/// Prints log lines where the container printed them: on standard output or standard error.
struct LogPrinter {
    let timestamps: Bool
    private var isInsideLine = false

    init(timestamps: Bool) {
        self.timestamps = timestamps
    }

    /// Prints one record; false when nobody reads any more.
    mutating func print(_ line: LogLine) -> Bool {
        Output.write(bytes(of: line), to: line.stream == .standardOutput ? 1 : 2)
    }

    /// A record as it is printed: whole lines get their newline back, parts of a line are joined.
    mutating func bytes(of line: LogLine) -> [UInt8] {
        var bytes: [UInt8] = timestamps && !isInsideLine ? Array("\(line.time) ".utf8) : []
        bytes += line.content
        if !line.isPartial { bytes.append(0x0a) }
        isInsideLine = line.isPartial
        return bytes
    }
}

/// Keeps the last lines of what is already there.
struct LogTail {
    private let count: Int?
    private var kept: [LogLine] = []
    private var whole = 0

    /// nil keeps nothing back.
    init(_ count: Int?) {
        self.count = count
    }

    /// Takes a line; returns what can be printed at once.
    mutating func keep(_ line: LogLine) -> [LogLine] {
        guard let count else { return [line] }
        kept.append(line)
        if !line.isPartial { whole += 1 }
        while whole > count, let first = kept.first {
            kept.removeFirst()
            if !first.isPartial { whole -= 1 }
        }
        return []
    }

    /// Gives up what was kept.
    mutating func release() -> [LogLine] {
        defer { kept = [] }
        return kept
    }
}

/// Looks for bytes in a stream of pieces.
struct ByteSearch {
    private let wanted: [UInt8]
    private var recent: [UInt8] = []

    init(_ wanted: [UInt8]) {
        self.wanted = wanted
    }

    /// Whether the bytes so far have what is wanted.
    mutating func found(in piece: ArraySlice<UInt8>, endsLine: Bool) -> Bool {
        recent += piece
        if endsLine { recent.append(0x0a) }
        guard !wanted.isEmpty else { return true }
        guard recent.count >= wanted.count else { return false }
        for start in 0...(recent.count - wanted.count) where recent[start...].starts(with: wanted) { return true }
        recent.removeFirst(recent.count - wanted.count + 1)
        return false
    }
}

internal import CRIProtocol
internal import FoundationEssentials
internal import Glibc
internal import LinuxSystem

/// Which lines of a log are printed, and how.
struct LogOptions: Equatable, Sendable {
    var follow = false
    var tail: Int?
    var since: Date?
    var timestamps = false
}

/// Reads the log file of one container.
struct LogReader<Runtime: CRICalls> {
    let runtime: Runtime
    let container: String

    /// Prints the log; with `follow`, until the container has ended and all of it is printed.
    func print(_ options: LogOptions) async throws {
        var tail = LogTail(options.tail)
        let isOld = { (line: LogLine) in
            guard let since = options.since, let time = try? Date(line.time, strategy: .iso8601WithFraction) else {
                return false
            }
            return time < since
        }
        var printer = LogPrinter(timestamps: options.timestamps)
        var isCaughtUp = false
        try await read(follow: options.follow) { event in
            switch event {
            case .line(let line):
                if isOld(line) { return true }
                return isCaughtUp ? printer.print(line) : tail.keep(line).allSatisfy { printer.print($0) }
            case .caughtUp:
                defer { isCaughtUp = true }
                return isCaughtUp || tail.release().allSatisfy { printer.print($0) }
            }
        }
    }

    /// Follows the log until its bytes, record by record without their ends, have `text`; false when the container
    /// ends or the deadline passes before.
    func contains(_ text: [UInt8], until deadline: ContinuousClock.Instant) async throws -> Bool {
        var search = ByteSearch(text)
        var found = false
        try await read(follow: true, until: deadline) { event in
            if case .line(let line) = event {
                found = search.found(in: line.content, endsLine: !line.isPartial)
            }
            return !found
        }
        return found
    }

    enum Event {
        case line(LogLine)
        /// Everything that the file had so far was reported.
        case caughtUp
    }

    /// Reports lines until `body` returns false, the deadline passes, or there is nothing more to come.
    private func read(
        follow: Bool, until deadline: ContinuousClock.Instant? = nil, _ body: (Event) throws -> Bool
    ) async throws {
        let path = try await runtime.containerStatus(container).status.logPath
        guard !path.isEmpty else {
            throw CommandFailure(.notFound, "container \(container.prefix(13)) has no log file")
        }
        var file = try FileDescriptor.open(path, O_RDONLY)
        let changes = follow ? try FileChanges(of: path) : nil
        var records = LogRecords()
        var hasEnded = false
        while true {
            while true {
                let bytes = try file.read(upTo: 65536)
                if bytes.isEmpty { break }
                for line in records.append(bytes) where try !body(.line(line)) { return }
            }
            guard try body(.caughtUp), let changes, !hasEnded else { return }
            try Task.checkCancellation()
            if let deadline, ContinuousClock.now >= deadline { return }
            // The end of a container does not change its log, so it is asked for now and then. What it wrote before
            // it ended is read in one more round.
            if try !changes.wait(milliseconds: 250) {
                hasEnded = try await runtime.containerStatus(container).status.state == .containerExited
            }
            if let next = try changes.replaced(file) {
                file = next
                records = LogRecords()
            }
        }
    }
}

extension ParseStrategy where Self == Date.ISO8601FormatStyle {
    /// RFC 3339 as container logs have it.
    fileprivate static var iso8601WithFraction: Date.ISO8601FormatStyle {
        Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    }
}

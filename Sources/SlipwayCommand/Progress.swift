internal import LinuxSystem

/// One line on standard error that says what is being done and since when; on a terminal it is rewritten in place.
struct Progress {
    private let isQuiet: Bool
    private let isTerminal: Bool
    private let start = ContinuousClock.now

    init(quiet: Bool) {
        isQuiet = quiet
        isTerminal = Output.isTerminal(2)
    }

    /// Says the next step.
    func step(_ text: String) {
        guard !isQuiet else { return }
        let line = "\(elapsed)  \(text)"
        // Carriage return and "erase to the end of the line" (ECMA-48 EL).
        Output.write((isTerminal ? "\r\u{1B}[K\(line)" : "\(line)\n").utf8, to: 2)
    }

    /// Says the last step and ends the line.
    func finish(_ text: String) {
        guard !isQuiet else { return }
        step(text)
        if isTerminal { Output.write("\n".utf8, to: 2) }
    }

    /// Gives the line up, before something else is printed.
    func clear() {
        if !isQuiet, isTerminal { Output.write("\r\u{1B}[K".utf8, to: 2) }
    }

    private var elapsed: String {
        let passed = (ContinuousClock.now - start).components
        let tenths = passed.attoseconds / 100_000_000_000_000_000
        return "\(passed.seconds).\(tenths) s"
    }
}

/// Runs a program to its end or to a deadline. The narrow opening through which the proof touches processes.
public protocol ProofRunner {
    /// Starts `executable` with `arguments` (without `argv[0]`), with no input and no more than a minimal environment,
    /// and blocks until it ends. At the deadline it is killed and reaped: nothing is left behind.
    ///
    /// QEMU should get the user that machines' QEMU gets, so that its access to `/dev/kvm` is proven too.
    ///
    /// - Throws: when the program cannot be started.
    func run(executable: String, arguments: [String], deadline: Duration) throws -> ProofRun
}

/// How a program ran.
public struct ProofRun: Equatable, Sendable {
    /// How it ended.
    public enum Ending: Equatable, Sendable {
        /// exit(2) with this status.
        case exited(Int32)
        /// Ended by this signal.
        case signaled(Int32)
        /// Killed, because its time was up.
        case deadlinePassed
    }

    /// How it ended.
    public let ending: Ending
    /// What it wrote to standard error, at least the first few hundred bytes.
    public let standardError: String

    /// A run, as a runner saw it.
    public init(_ ending: Ending, standardError: String = "") {
        self.ending = ending
        self.standardError = standardError
    }

    /// The first line of standard error that is not a warning, cut to 200 characters; nil when there is none.
    public var complaint: String? {
        let lines = standardError.split(whereSeparator: \.isNewline)
        guard let line = lines.first(where: { !$0.contains("warning:") }) else { return nil }
        return String(line.prefix(200))
    }
}

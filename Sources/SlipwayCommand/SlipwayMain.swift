internal import ArgumentParser
internal import Glibc
internal import LinuxSystem

/// Runs the command and returns its exit code. Blocks the calling thread, which has to be the process's first.
///
/// SIGINT and SIGTERM are blocked for every thread that starts later. The first of them cancels the verb, which takes
/// back what it had begun; another one, a second or more later, ends the process at once.
///
/// - Parameter arguments: without the program's name.
public func slipwayMain(_ arguments: [String]) -> Int32 {
    do {
        let signals = try Signals()
        let ended = try FileDescriptor.pipe()
        let task = Task.detached {
            let status = await execute(arguments)
            try? ended.write.write([UInt8(truncatingIfNeeded: status)])
        }
        try signals.cancel(task)
        return Int32(try ended.read.read(upTo: 1).first ?? UInt8(ExitStatus.failure.rawValue))
    } catch {
        return report(error)
    }
}

private func execute(_ arguments: [String]) async -> Int32 {
    do {
        var command = try Slipway.parseAsRoot(arguments)
        if var asynchronous = command as? any AsyncParsableCommand {
            try await asynchronous.run()
        } else {
            try command.run()
        }
        return ExitStatus.ok.rawValue
    } catch {
        return report(error)
    }
}

/// Prints what an error says and returns its exit code.
private func report(_ error: any Error) -> Int32 {
    if let failure = CommandFailure(error) {
        if !failure.description.isEmpty { Output.error("slipway: \(failure.description)") }
        return failure.status.rawValue
    }
    if let code = error as? ExitCode { return code.rawValue }
    // The rest is the parser's: help, versions and completions are no failures.
    let isHelp = Slipway.exitCode(for: error) == .success
    let text = Slipway.fullMessage(for: error)
    isHelp ? Output.line(text) : Output.error(text)
    return isHelp ? ExitStatus.ok.rawValue : ExitStatus.usage.rawValue
}

/// SIGINT and SIGTERM as a descriptor.
private struct Signals {
    private let descriptor: FileDescriptor

    init() throws(SystemError) {
        descriptor = FileDescriptor(owning: try check(blockedSignals([SIGINT, SIGTERM]), "signalfd"))
    }

    func cancel(_ task: Task<Void, Never>) throws(SystemError) {
        let descriptor = descriptor
        try LinuxSystem.Thread.start("signals") {
            guard (try? descriptor.read(upTo: 128)) != nil else { return }
            task.cancel()
            // timeout(1) and some shells signal the process and its group: two signals that are meant as one.
            let first = ContinuousClock.now
            repeat {
                guard (try? descriptor.read(upTo: 128)) != nil else { return }
            } while ContinuousClock.now - first < .seconds(1)
            _exit(ExitStatus.interrupted.rawValue)
        }
    }
}

internal import ArgumentParser
internal import CRIProtocol

/// `slipway stop`.
struct StopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "Shut pods down and keep what they left.",
        discussion: """
            A machine gets the ACPI power button and, when its grace period is over, is switched off. Logs, volumes \
            and disks stay until slipway rm.

            EXAMPLES
              slipway stop tiny
              slipway stop --grace 0 tiny    switch off now
            """)

    @OptionGroup var node: NodeOptions

    @Option(help: ArgumentHelp("Seconds until it is switched off. Default: the pod's own.", valueName: "seconds"))
    var grace: Int64?

    @Argument(help: "Names, namespace/names or beginnings of pod ids.")
    var pods: [String]

    func validate() throws { try validate(grace: grace) }

    func run() async throws {
        try await node.connected { runtime in
            let all = try await PodEntry.all(runtime)
            var failures: [CommandFailure] = []
            for reference in pods {
                do {
                    let pod = try PodSelection.find(reference, in: all)
                    let remains = PodRemains(pod, podDirectory: node.podDirectory, logDirectory: node.logDirectory)
                    try await PodRemoval(runtime: runtime, remains: remains).stop(pod, grace: grace)
                    Output.line(pod.name)
                } catch {
                    failures.append(CommandFailure(error) ?? CommandFailure(.failure, "\(error)"))
                }
            }
            if let failure = CommandFailure(failures) { throw failure }
        }
    }
}

extension ParsableCommand {
    func validate(grace: Int64?) throws {
        if let grace, grace < 0 || grace > 86_400 {
            throw ValidationError("--grace: \(grace) is not a number of seconds from 0 to 86400")
        }
    }
}

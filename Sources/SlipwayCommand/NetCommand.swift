internal import ArgumentParser
internal import StateDirectory

/// `slipway net`.
struct NetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "net",
        abstract: "Look at the networks of running machines, and change them.",
        discussion: """
            The pod's network namespace decides what the guest has. These verbs change the namespace, by CNI plugins or \
            by rtnetlink, and the pod's sandbox gives the guest what has appeared there. What attach has made is deleted \
            with the pod. Needs root; no container runtime is asked.

            EXAMPLES
              slipway net ls
              slipway net attach router lan
              slipway net set router net1 --link down
            """,
        subcommands: [
            NetListCommand.self,
            NetAttachCommand.self,
            NetDetachCommand.self,
            NetCheckCommand.self,
            NetSetCommand.self,
        ])
}

/// What all verbs of `slipway net` take.
struct NetOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The directory of all sandboxes.", valueName: "path", visibility: .hidden))
    var root = StateDirectory.defaultRoot
}

/// How long a verb waits for the guest.
struct NetWaiting: ParsableArguments {
    @Flag(name: .customLong("no-wait"), help: "Do not wait for the guest.")
    var doesNotWait = false

    @Option(help: ArgumentHelp("How long to wait for the guest at most.", valueName: "seconds"))
    var timeout: Double = 10

    func validate() throws {
        guard timeout.isFinite, timeout >= 0, timeout <= 86_400 else {
            throw ValidationError("--timeout is 0 to 86400 seconds.")
        }
    }
}

public import ArgumentParser
internal import Version

/// The operator's command.
///
/// A verb is one type in one file, and is added here.
public struct Slipway: AsyncParsableCommand {
    /// Help, and the list of verbs.
    public static let configuration = CommandConfiguration(
        commandName: "slipway",
        abstract: "Run virtual machines as pods on this node, and look after them.",
        discussion: """
            A pod whose runtimeClassName is slipway runs the disk image in its container image as a virtual machine. \
            In a cluster such pods are made by kubectl. On a node without a kubelet, slipway run plays a Pod manifest \
            through the container runtime's own socket, and the other verbs look at what runs.

            EXAMPLES
              slipway run -f pod.yaml   start the pod, print its name
              slipway ps                what runs
              slipway logs -f tiny      the machine's serial console so far, and on
              slipway console tiny      the same console both ways; Ctrl-] leaves
              slipway explain tiny      why it has the CPUs and the memory that it has
              slipway net ls tiny       the networks that it has
              slipway rm tiny           shut it down, remove everything of it

            \(ExitStatus.table)

            slipway --generate-completion-script bash|zsh|fish prints completions for a shell.
            """,
        version: Version.text,
        subcommands: [
            CheckCommand.self,
            TopologyCommand.self,
            PlanCommand.self,
            RunCommand.self,
            PsCommand.self,
            ExplainCommand.self,
            VerifyCommand.self,
            NetCommand.self,
            LogsCommand.self,
            ConsoleCommand.self,
            StopCommand.self,
            RemoveCommand.self,
        ])

    /// For the parser.
    public init() {}
}

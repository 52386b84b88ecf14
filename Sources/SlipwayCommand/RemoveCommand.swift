internal import ArgumentParser
internal import CRIProtocol

/// `slipway rm`.
struct RemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Shut pods down and remove everything of them.",
        discussion: """
            Containers, sandbox, logs and volumes go. A pod that a kubelet started would be started again by it, so \
            it is left alone unless --force is given.

            EXAMPLES
              slipway rm tiny
              slipway rm -f tiny cnf         switch off now, and do not mind what is not there
            """,
        aliases: ["remove"])

    @OptionGroup var node: NodeOptions

    @Flag(name: [.short, .long], help: "Switch off at once; a pod that is not there is no failure.")
    var force = false

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
                    guard force || !pod.isKubelets else {
                        throw CommandFailure(
                            .failure,
                            "pod \(pod.path) is the kubelet's, which would start it again; use kubectl delete pod"
                                + " \(pod.name) -n \(pod.namespace), or --force")
                    }
                    let remains = PodRemains(pod, podDirectory: node.podDirectory, logDirectory: node.logDirectory)
                    let left = await PodRemoval(runtime: runtime, remains: remains)
                        .remove(pod, grace: force ? grace ?? 0 : grace)
                    left.isEmpty ? Output.line(pod.name) : failures.append(contentsOf: left)
                } catch {
                    let failure = CommandFailure(error) ?? CommandFailure(.failure, "\(error)")
                    if !(force && failure.status == .notFound) { failures.append(failure) }
                }
            }
            if let failure = CommandFailure(failures) { throw failure }
        }
    }
}

internal import ArgumentParser
internal import CRIProtocol
internal import FoundationEssentials

/// `slipway logs`.
struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Print what a container printed; of a machine, its serial console.",
        discussion: """
            EXAMPLES
              slipway logs tiny                the whole log
              slipway logs -f --tail 20 tiny   its end, and what comes
              slipway logs --since 10m tiny    of the last ten minutes
              slipway logs -c agent vnf        of one of several containers
            """)

    @OptionGroup var node: NodeOptions

    @Argument(help: "Name, namespace/name or beginning of a pod id.")
    var pod: String

    @Option(name: [.short, .long], help: "The container, where the pod has several.")
    var container: String?

    @Flag(name: [.short, .long], help: "Go on until the container ends.")
    var follow = false

    @Option(help: ArgumentHelp("Only so many lines from the end.", valueName: "lines"))
    var tail: Int?

    @Option(help: ArgumentHelp("Only what is younger: 90s, 10m, 2h, 3d.", valueName: "age"))
    var since: Age?

    @Flag(name: [.short, .long], help: "The time before each line.")
    var timestamps = false

    func validate() throws {
        if let tail, tail < 0 { throw ValidationError("--tail: \(tail) is not a number of lines") }
    }

    func run() async throws {
        try await node.connected { runtime in
            let pod = try PodSelection.find(pod, in: try await PodEntry.all(runtime))
            let container = try PodSelection.container(container, of: pod)
            let oldest = since.map { Date(timeIntervalSinceNow: -Double($0.seconds)) }
            try await LogReader(runtime: runtime, container: container.id)
                .print(LogOptions(follow: follow, tail: tail, since: oldest, timestamps: timestamps))
        }
    }
}

/// A time span on a command line.
struct Age: ExpressibleByArgument, Equatable {
    let seconds: Int64

    init?(argument: String) {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = argument.last.flatMap({ units[$0] }), let count = Int64(argument.dropLast()), count >= 0 else {
            return nil
        }
        let (product, overflow) = count.multipliedReportingOverflow(by: unit)
        guard !overflow, product < 1 << 40 else { return nil }
        seconds = product
    }
}

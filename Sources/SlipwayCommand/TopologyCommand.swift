internal import ArgumentParser
internal import FoundationEssentials
internal import HostTopology
internal import LinuxSystem
internal import MachineVerification
internal import StateDirectory
internal import TopologyDrawing

/// `slipway topology`.
struct TopologyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topology",
        abstract: "Draw this node: nodes, cores, huge pages, and which pod holds what.",
        discussion: """
            Memory nodes with their cores, threads one below the other, the CPUs that pods' machines have to \
            themselves, and huge pages by size: free, held by pods, used by others. --output json is the topology as \
            slipway plan --host reads it, without the pods; pages that they have taken are not free in it.

            EXAMPLES
              slipway topology
              slipway topology -o svg >node.svg
              slipway topology -o json >node.json      keep it, to plan against it elsewhere
              slipway topology --host node.json
            """)

    enum Format: String, CaseIterable, ExpressibleByArgument {
        case text, json, svg
    }

    @Option(help: ArgumentHelp("A saved topology, or this: the node.", valueName: "file"))
    var host = HostSource.this

    @Option(name: [.short, .long], help: "text, json or svg.")
    var output: Format = .text

    @Option(help: ArgumentHelp("The directory of all sandboxes.", valueName: "path", visibility: .hidden))
    var root = StateDirectory.defaultRoot

    func run() async throws {
        let topology = try host.read()
        let holdings = host == .this ? PlacementClaim.all(root: root).map(Holding.init) : []
        let drawing = TopologyDrawing(topology, holdings: holdings)
        switch output {
        case .text: Output.write(drawing.text.utf8)
        case .svg: Output.write(drawing.svg.utf8)
        case .json:
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            Output.line(String(decoding: try encoder.encode(topology), as: UTF8.self))
        }
    }
}

/// Where a topology comes from.
enum HostSource: Equatable, ExpressibleByArgument {
    /// The node that the command runs on.
    case this
    /// A file that `slipway topology -o json` has written, or a person.
    case file(String)

    init(argument: String) { self = argument == "this" ? .this : .file(argument) }

    var defaultValueDescription: String {
        switch self {
        case .this: "this"
        case .file(let path): path
        }
    }

    func read() throws -> HostTopology {
        switch self {
        case .this: return try HostTopology.read()
        case .file(let path):
            do {
                return try JSONDecoder().decode(HostTopology.self, from: Data(try File.read(path, limit: 64 << 20)))
            } catch let error as DecodingError {
                throw CommandFailure(.usage, "\(path): is no topology: \(Self.words(error))")
            }
        }
    }

    private static func words(_ error: DecodingError) -> String {
        let (context, what): (DecodingError.Context, String) =
            switch error {
            case .keyNotFound(let key, let context): (context, "\(key.stringValue) is missing")
            case .typeMismatch(_, let context), .valueNotFound(_, let context): (context, context.debugDescription)
            case .dataCorrupted(let context): (context, context.debugDescription)
            @unknown default: (DecodingError.Context(codingPath: [], debugDescription: ""), "\(error)")
            }
        let path = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? ".\($0.stringValue)" }.joined()
        return path.isEmpty ? what : "\(path): \(what)"
    }
}

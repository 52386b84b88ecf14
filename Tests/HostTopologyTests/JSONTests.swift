import Foundation
import HostFixtures
import HostTopology
import TestSupport
import Testing

private func json(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
}

private func decode(_ text: String) throws -> HostTopology {
    try JSONDecoder().decode(HostTopology.self, from: Data(text.utf8))
}

@Suite struct JSONTests {
    @Test(arguments: HostFixtures.all.map(\.name))
    func golden(_ name: String) throws {
        let host = try #require(HostFixtures.all.first { $0.name == name }).host
        let text = try json(host)
        #expect(try Golden.text("\(name).json", actual: text) == text, "record it with SLIPWAY_UPDATE_GOLDEN=1")
        #expect(try decode(text) == host)
    }

    @Test func randomHosts() throws {
        var generator = SeededGenerator(4)
        for _ in 0..<60 {
            let host = HostFixtures.random(cores: 8, using: &generator)
            #expect(try decode(try json(host)) == host)
        }
    }

    @Test func aHostWrittenByHand() throws {
        let host = try decode(
            """
            {"version": 1, "future": {},
             "nodes": [{"id": 0, "cpus": "0", "memory": 1073741824, "free": 0, "available": 0, "distances": {"0": 10},
                        "hugePages": []}],
             "cpus": [{"id": 0, "node": 0, "socket": 0, "core": 0, "siblings": "0", "cache": "0"}]}
            """)
        #expect(host.online == [0] && host.housekeeping == [0] && host.devices.isEmpty)
    }

    /// Every contradiction is a refusal with a sentence, and never a trap.
    @Test func contradictions() throws {
        let changes: [(String, (inout HostTopology) -> Void)] = [
            ("version 2", { $0.version = 2 }),
            ("at least", { $0.nodes = [] }),
            ("at least", { $0.cpus = [] }),
            ("nodes have to be sorted", { $0.nodes.swapAt(0, 1) }),
            ("nodes have to be sorted", { $0.nodes[0].id = -1 }),
            ("cpus have to be sorted", { $0.cpus[15].id = 8192 }),
            ("cpus have to be sorted", { $0.cpus[1].id = 0 }),
            ("online and offline", { $0.offline = [3] }),
            ("CPUs of another node", { $0.nodes[1].cpus = [0] }),
            ("not the online CPUs", { $0.nodes[1].cpus = [] }),
            ("is not on its node 1", { $0.cpus[0].node = 1 }),
            ("is not on its node 9", { $0.cpus[0].node = 9 }),
            ("siblings", { $0.cpus[0].siblings = [] }),
            ("siblings", { $0.cpus[0].siblings = [0, 99] }),
            ("agree", { $0.cpus[0].siblings = [0] }),
            ("cache", { $0.cpus[0].cache = [1] }),
            ("distance to node 5", { $0.nodes[0].distances[5] = 10 }),
            ("distances are", { $0.nodes[0].distances[1] = 0 }),
            ("does not hold", { $0.nodes[0].free = .max }),
            ("does not hold", { $0.nodes[0].memory = .max }),
            ("listed twice", { $0.nodes[0].hugePages += $0.nodes[0].hugePages }),
            ("cannot be", { $0.nodes[0].hugePages[0].size = 0 }),
            ("cannot be", { $0.nodes[0].hugePages[0].total = .max }),
            ("cannot be", { $0.nodes[0].hugePages[0].free = 8193 }),
            ("listed twice", { $0.devices.append($0.devices[0]) }),
            ("address", { $0.devices[0].address = "0000:00:1f.0'/><x" }),
            ("on node 7", { $0.devices[0].node = 7 }),
            ("reservations", { $0.reservations = [HugePageReservation(size: 2, count: .max)] }),
        ]
        for (words, change) in changes {
            var host = HostFixtures.twoSocketsSMT
            change(&host)
            let error = #expect(throws: HostTopologyError.self, "\(words)") { try host.check() }
            #expect(error?.description.contains(words) == true, "\(words): \(error?.description ?? "")")
            let text = try json(host)
            #expect(throws: DecodingError.self, "\(words)") { try decode(text) }
        }
    }
}

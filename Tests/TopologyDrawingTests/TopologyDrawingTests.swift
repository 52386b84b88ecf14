import Foundation
import FoundationXML
import HostFixtures
import HostTopology
import TestSupport
import Testing
import TopologyDrawing

@Suite struct TopologyDrawingTests {
    @Test(arguments: ["isolated", "amd", "odd"])
    func golden(_ name: String) throws {
        let (host, holdings) = try #require(Samples.all[name])
        let drawing = TopologyDrawing(host, holdings: holdings)
        for (file, actual) in [("\(name).txt", drawing.text), ("\(name).svg", drawing.svg)] {
            #expect(try Golden.text(file, actual: actual) == actual, "record it with SLIPWAY_UPDATE_GOLDEN=1")
        }
    }

    /// Whatever the host and whoever holds it: it fits the terminal, and it is XML.
    @Test func everyHost() throws {
        var generator = SeededGenerator(5)
        var hosts = HostFixtures.all.map(\.host) + [HostFixtures.large]
        hosts += (0..<30).map { _ in HostFixtures.random(cores: 24, using: &generator) }
        var layout = HostLayout()
        layout.coresPerNode = 60
        layout.threads = 3
        hosts.append(layout.topology)
        for host in hosts {
            let pods = Int.random(in: 0...70, using: &generator)
            let holdings = (0..<pods).map { number in
                Holding(
                    pod: "random/pod-\(number)",
                    cpus: CPUSet(host.online.filter { _ in Int.random(in: 0..<12, using: &generator) == 0 }),
                    pages: host.nodes.map { Holding.Pages(node: $0.id, size: 2 << 20, count: 8) })
            }
            let drawing = TopologyDrawing(host, holdings: holdings)
            for line in drawing.text.split(separator: "\n") {
                #expect(line.utf8.count <= 100 && line.utf8.allSatisfy { (0x20..<0x7f).contains($0) }, "\(line)")
                #expect(line.last != " ", "\(line)")
            }
            #expect(XMLParser(data: Data(drawing.svg.utf8)).parse())
            #expect(TopologyDrawing(host, holdings: holdings.reversed()).text == drawing.text)
        }
    }

    /// Every online CPU is drawn once.
    @Test func everyCPU() throws {
        for (name, host) in HostFixtures.all {
            let lines = TopologyDrawing(host).text.split(separator: "\n")
            let rows = lines.filter { $0.hasPrefix("  cores") || $0.hasPrefix("          ") && $0.contains(" .") }
            let numbers = rows.flatMap { $0.split { !$0.isNumber } }.compactMap { Int($0) }
            #expect(numbers.sorted() == Array(host.online), "\(name)")
        }
    }
}

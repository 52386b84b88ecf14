import CRIProtocol
import Testing

@testable import SlipwayCommand

@Suite struct SelectionTests {
    private func pod(
        _ path: String, _ id: String, ready: Bool = true, containers: [String] = []
    ) -> PodEntry {
        let parts = path.split(separator: "/").map(String.init)
        return PodEntry(
            id: id, name: parts[1], namespace: parts[0], uid: "u-\(id)", isReady: ready, handler: "slipway",
            createdAt: 0,
            annotations: [:],
            containers: containers.map {
                .init(id: "c-\($0)", name: $0, attempt: 0, state: .containerRunning, createdAt: 0, image: "i")
            })
    }

    @Test func byNamePathAndId() throws {
        let pods = [pod("default/a", "abc123"), pod("default/b", "abd456"), pod("other/b", "fff000")]
        #expect(try PodSelection.find("a", in: pods).id == "abc123", "a name wins over the beginnings of ids")
        #expect(try PodSelection.find("other/b", in: pods).id == "fff000")
        #expect(try PodSelection.find("abd", in: pods).id == "abd456")
        #expect(try PodSelection.find("fff000", in: pods).id == "fff000")
    }

    @Test func ambiguityListsTheCandidates() {
        let pods = [pod("default/b", "abd456789012345"), pod("other/b", "fff000"), pod("x/y", "abd")]
        let byName = #expect(throws: CommandFailure.self) { try PodSelection.find("b", in: pods) }
        #expect(byName?.status == .usage)
        #expect(byName?.description.contains("\"b\" fits 2 pods") == true)
        #expect(byName?.description.contains("  default/b  abd4567890123  ready\n  other/b  fff000  ready") == true)
        let byID = #expect(throws: CommandFailure.self) { try PodSelection.find("abd", in: pods) }
        #expect(byID?.description.contains("fits 2 pods") == true)
    }

    @Test func aReadyPodWinsOverItsPredecessors() throws {
        let pods = [pod("default/b", "2"), pod("default/b", "1", ready: false)]
        #expect(try PodSelection.find("b", in: pods).id == "2")
        #expect(throws: CommandFailure.self) {
            try PodSelection.find("b", in: pods.map { $0.id == "2" ? pods[1] : $0 })
        }
    }

    @Test(arguments: ["", "c", "default/", "/a", "ABC", "zz"])
    func nothingFits(reference: String) {
        let error = #expect(throws: CommandFailure.self) {
            try PodSelection.find(reference, in: [pod("default/a", "abc123")])
        }
        #expect(error?.status == .notFound)
    }

    @Test func containersByNameOrAlone() throws {
        let one = pod("default/a", "1", containers: ["vnf"])
        let two = pod("default/a", "1", containers: ["vnf", "side"])
        #expect(try PodSelection.container(nil, of: one).name == "vnf")
        #expect(try PodSelection.container("side", of: two).name == "side")
        let several = #expect(throws: CommandFailure.self) { try PodSelection.container(nil, of: two) }
        #expect(several?.description.contains("several containers: side, vnf; say which with -c") == true)
        let missing = #expect(throws: CommandFailure.self) { try PodSelection.container("x", of: one) }
        #expect(missing?.status == .notFound && missing?.description.contains("it has vnf") == true)
    }

    @Test func consolesAreOfReadyMachines() throws {
        #expect(try ConsoleCommand.socket(of: pod("default/a", "1"), resolve: { "/x/\($0)" }) == "/x/1")
        var runc = pod("default/a", "1")
        runc.handler = ""
        #expect(throws: CommandFailure.self) { try ConsoleCommand.socket(of: runc) }
        #expect(throws: CommandFailure.self) { try ConsoleCommand.socket(of: pod("default/a", "1", ready: false)) }
    }
}

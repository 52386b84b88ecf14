import DomainXML
import Foundation
import FoundationXML
import MachinePlanning
import TestSupport
import Testing

/// An element as a parser that is not ours sees it.
private final class Element {
    let name: String
    let attributes: [String: String]
    var text = ""
    var children: [Element] = []

    init(_ name: String, _ attributes: [String: String]) {
        self.name = name
        self.attributes = attributes
    }

    func all(_ name: String) -> [Element] {
        (self.name == name ? [self] : []) + children.flatMap { $0.all(name) }
    }
}

private final class Reader: NSObject, XMLParserDelegate {
    var open: [Element] = []
    var root: Element?

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String]
    ) {
        let element = Element(name, attributes)
        open.last?.children.append(element)
        if root == nil { root = element }
        open.append(element)
    }

    func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
        open.removeLast()
    }

    func parser(_ parser: XMLParser, foundCharacters text: String) { open.last?.text += text }
}

private func parse(_ xml: String) throws -> Element {
    let parser = XMLParser(data: Data(xml.utf8))
    let reader = Reader()
    parser.delegate = reader
    try #require(parser.parse(), "no XML: \(parser.parserError.map { "\($0)" } ?? "") in \(xml)")
    return try #require(reader.root)
}

@Suite struct DomainXMLTests {
    @Test func goldenFiles() throws {
        for (name, plan) in try MachinePlan.samples() {
            let xml = plan.domainXML(.sample)
            #expect(try Golden.text(name, actual: xml) == xml, "\(name): record it with SLIPWAY_UPDATE_GOLDEN=1")
            #expect(plan.domainXML(.sample) == xml)
        }
    }

    /// An AMD guest takes threads for cores unless it is told otherwise (QEMU's target/i386/cpu.c, no_autoenable_flags).
    @Test func threadsAreTold() throws {
        var plan = try #require(try MachinePlan.samples().first).plan
        for (accelerator, threads, extensions) in [
            (Accelerator.kvm, 2, true), (.kvm, 2, false), (.kvm, 1, true), (.tcg, 2, true),
        ] {
            plan.accelerator.value = accelerator
            plan.placement.topology.value.threads = threads
            plan.topologyExtensions = extensions
            let names = try parse(plan.domainXML(.sample)).all("feature").map { $0.attributes["name"] }
            #expect(names == (accelerator == .kvm && threads == 2 && extensions ? ["topoext"] : []))
        }
    }

    @Test func everyDocumentParsesAndItsAddressesAreUnique() throws {
        for (name, plan) in try MachinePlan.samples() {
            let root = try parse(plan.domainXML(.sample))
            #expect(root.name == "domain" && root.attributes["type"] == plan.accelerator.value.domainType, "\(name)")
            // Those of the guest: the addresses of host functions have a domain and no type.
            let addresses = root.all("address").map(\.attributes).filter { $0["type"] == "pci" }.map { address in
                ["bus", "slot", "function"].map { address[$0] ?? "" }.joined(separator: ":")
            }
            #expect(!addresses.isEmpty && Set(addresses).count == addresses.count, "\(name): \(addresses)")
            let targets = root.all("disk").flatMap { $0.all("target") }.compactMap { $0.attributes["dev"] }
            #expect(targets == plan.disks.map(\.target), "\(name)")
            #expect(
                root.all("interface").flatMap { $0.all("mac") }.map { $0.attributes["address"] }
                    == plan.nics.filter { !$0.isHostDevice }.map(\.mac), "\(name)")
            let aliases = root.all("alias").compactMap { $0.attributes["name"] }.filter { $0.hasPrefix("ua-nic") }
            #expect(aliases == plan.nics.map(\.alias), "\(name)")
            // Nothing is behind a root port that is not there, and those kept for later are there.
            let ports = Set(
                root.all("controller").filter { $0.attributes["model"] == "pcie-root-port" }
                    .compactMap { $0.attributes["index"].flatMap { UInt8($0) } })
            #expect(ports.isSuperset(of: plan.nics.map(\.bus)), "\(name)")
            #expect(ports.isSuperset(of: (0..<plan.nicPorts.value).map { UInt8($0 + 1) }), "\(name)")
            #expect(root.all("vcpu").map(\.text) == ["\(plan.vcpusLimit.value)"])
            #expect(root.all("memory").first?.text == "\(plan.memory.value)")
            #expect(root.all("uuid").map(\.text) == [plan.uuid.value])
            #expect(root.all("label").map(\.text) == ["+\(plan.user):+\(plan.group)"])
        }
    }

    @Test func libvirtsOwnSchemaAcceptsThem() throws {
        let directory = try TemporaryDirectory()
        for (name, plan) in try MachinePlan.samples() {
            let validator = Process()
            validator.executableURL = URL(filePath: "/usr/bin/virt-xml-validate")
            validator.arguments = [try directory.write(name, plan.domainXML(.sample)), "domain"]
            let pipe = Pipe()
            (validator.standardOutput, validator.standardError) = (pipe, pipe)
            try validator.run()
            let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
            validator.waitUntilExit()
            #expect(validator.terminationStatus == 0, "\(name): \(String(decoding: output, as: UTF8.self))")
        }
    }

    @Test func aNICAloneIsThatOfTheDocument() throws {
        for (name, plan) in try MachinePlan.samples() {
            let document = plan.domainXML(.sample).split(separator: "\n").map { $0.drop { $0 == " " } }
            for nic in plan.nics {
                let lines = nic.deviceXML.split(separator: "\n").map { $0.drop { $0 == " " } }
                #expect(document.indices.contains { document[$0...].starts(with: lines) }, "\(name): \(nic.deviceXML)")
            }
        }
    }

    /// A pod's own words reach the document as text and as nothing else.
    @Test func aCommandLineCannotBecomeMarkup() throws {
        let hostile = #"a</cmdline><devices><emulator>/bin/sh</emulator></devices><!-- ' " & ]]>"#
        var annotations = MachineAnnotations()
        annotations.kernelArguments = hostile
        let identity = MachineIdentity(
            container: "'<&>", sandbox: "s", podName: "p", podNamespace: "n", podUID: "", containerName: "c")
        let request = MachineRequest(
            identity: identity, boot: .kernel(KernelSource(kernel: "/k")), annotations: annotations,
            accelerator: Decision(.tcg, ""), user: 1, group: 1)
        let plain = try parse(try MachinePlan(request, on: .plain).domainXML(.sample))
        #expect(plain.all("cmdline").map(\.text) == [hostile])
        #expect(plain.all("emulator").map(\.text) == [MachinePaths.sample.emulator])
        #expect(plain.all("name").first?.text == "slipway-'<&>")
    }

    // MARK: XML

    @Test func everyStringSurvivesAParser() throws {
        for seed in 0..<500 {
            var random = SeededGenerator(UInt64(seed))
            let scalars = (0..<Int.random(in: 0..<40, using: &random)).compactMap { _ -> UnicodeScalar? in
                let range: ClosedRange<UInt32> =
                    [0...0x7f, 0x80...0x2ff, 0x2000...0x20ff, 0xfff0...0xffff, 0...0x10ffff].randomElement(
                        using: &random)
                    ?? 0...0
                return UnicodeScalar(UInt32.random(in: range, using: &random))
            }
            let text = String(String.UnicodeScalarView(scalars))
            let root = try parse(XML("a", ["b": text]) { XML("c", text: text) }.rendered())
            // What XML 1.0 has no way to say, escaped or not, is replaced.
            let expected = String(String.UnicodeScalarView(scalars.map { Self.isXML($0) ? $0 : "\u{fffd}" }))
            #expect(
                root.attributes["b"].map { Array($0.unicodeScalars) } == Array(expected.unicodeScalars), "seed \(seed)")
            #expect(
                root.children.first.map { Array($0.text.unicodeScalars) } == Array(expected.unicodeScalars),
                "seed \(seed)")
        }
    }

    /// XML 1.0, production 2.
    private static func isXML(_ scalar: UnicodeScalar) -> Bool {
        switch scalar.value {
        case 0x9, 0xa, 0xd, 0x20...0xd7ff, 0xe000...0xfffd, 0x10000...0x10ffff: true
        default: false
        }
    }

    @Test func shape() {
        let xml = XML("a", ["x": "1", "w": "2"]) {
            XML("b")
            if false as Bool { XML("never") }
            for number in 1...2 { XML("n", text: "\(number)") }
            XML("c") { XML("d", ["e": "f"], text: "") }
        }
        #expect(
            xml.rendered()
                == "<a x='1' w='2'>\n  <b/>\n  <n>1</n>\n  <n>2</n>\n  <c>\n    <d e='f'></d>\n  </c>\n</a>\n")
        #expect(xml == xml && xml != XML("a"))
    }
}

extension Accelerator {
    fileprivate var domainType: String { self == .kvm ? "kvm" : "qemu" }
}

extension MachinePlan.NIC {
    fileprivate var isHostDevice: Bool {
        if case .hostDevice = backend { return true }
        return false
    }
}

import CRIProtocol
import FoundationEssentials
import LinuxSystem
import SwiftProtobuf
import TestSupport
import Testing

/// What Linux in a guest across both nodes finds in its own files, beside what the lab's files say of the CPUs below:
/// 1 is on node 0, 2 and 3 are on node 1.
@Suite(.serialized, .timeLimit(.minutes(25))) struct GuestTests {
    private static let pins = [1, 2, 3]
    private static let pages = [48, 96]
    private static let pageSize = 2 << 20

    /// `slipway` of the meta-data, as programs in guests read it.
    private struct MetaData: Decodable {
        var slipway: Slipway

        struct Slipway: Decodable { var machine: Machine }

        struct Machine: Decodable, Equatable {
            var vcpus: Int
            var threadsPerCore: Int
            var pinned: Bool
            var realtime: String
            var pageSize: Int
            var cells: [Cell]

            enum CodingKeys: String, CodingKey {
                case vcpus, pinned, cells
                case threadsPerCore = "threads-per-core"
                case realtime = "realtime-vcpus"
                case pageSize = "page-size"
            }
        }

        struct Cell: Decodable, Equatable {
            var vcpus: String
            var memory: Int
        }
    }

    /// Files by path, read in the guest: its console has a line `PATH:LINE` for each line of them.
    private struct Files: CustomStringConvertible {
        private var lines: [String: [String]] = [:]
        let description: String

        init(console: String) {
            description = console
            for line in console.split(separator: "\n") {
                // Serial lines end with both of a line's ends.
                let line = line.filter { $0 != "\r" && $0 != "\r\n" }
                guard line.hasPrefix("/"), let colon = line.firstIndex(of: ":") else { continue }
                lines[String(line[..<colon]), default: []].append(String(line[line.index(after: colon)...]))
            }
        }

        func text(_ path: String) -> String? { lines[path]?.joined(separator: "\n") }

        func paths(with prefix: String) -> [String] { lines.keys.filter { $0.hasPrefix(prefix) }.sorted() }

        /// Bytes of a cell's RAM that the kernel has left after itself.
        func memory(_ cell: Int) -> Int? {
            let words = text("\(GuestTests.node)\(cell)/meminfo")?.split(separator: " ") ?? []
            return words.count == 5 && words[2] == "MemTotal:" ? Int(words[3]).map { $0 << 10 } : nil
        }
    }

    private static let node = "/sys/devices/system/node/node"

    private func topology(_ cpu: Int, _ file: String) -> String { "/sys/devices/system/cpu/cpu\(cpu)/topology/\(file)" }

    /// Boots the guest, and reads what it says of itself.
    private func files(of pod: inout LabPod) async throws -> Files {
        try await pod.start(image: "linux", memory: 512 << 20, cpus: Int64(Self.pins.count)) {
            $0.cpusetCpus = "1-3"
            $0.cpuShares = Int64(Self.pins.count) * 1024
            $0.hugepageLimits = [
                .with {
                    $0.pageSize = "2MB"
                    $0.limit = UInt64(Self.pages.reduce(0, +) * Self.pageSize)
                }
            ]
        }
        // In the lab: every question from here would cost the guest some of its time.
        let done = "F init: done"
        let console = try Lab.run(
            """
            timeout 900 sh -c 'until grep -q "\(done)" \(pod.console); do sleep 2; done'
            cut -d' ' -f4- \(pod.console)
            grep -q "\(done)" \(pod.console)
            """, seconds: 1000)
        return Files(console: console)
    }

    @Test func itSeesCellsSiblingsDistancesAndPages() async throws {
        for (node, count) in Self.pages.enumerated() { try Lab.run("lab pages \(node) 2Mi \(count)") }
        let before = try Lab.remains()
        try await Lab.connected { runtime in
            var pod = try await LabPod(runtime, "guest", .systemd)
            do {
                let guest = try await files(of: &pod)
                try expectCells(guest)
                try expectSiblings(guest)
                try expectSummary(guest)
                try Lab.run("slipway verify guest")
            } catch {
                Issue.record("\(error); log: \(pod.log)")
            }
            try await pod.remove()
        }
        try await Lab.expectNothingLeft(since: before)
        for node in Self.pages.indices { try Lab.run("lab pages \(node) 2Mi 0") }
    }

    private func expectCells(_ guest: Files) throws {
        #expect(guest.paths(with: Self.node).count == 6, "\(guest)")
        for (cell, cpus) in ["0", "1-2"].enumerated() {
            #expect(guest.text("\(Self.node)\(cell)/cpulist") == cpus, "\(guest)")
            let distances = try Lab.file("\(Self.node)\(cell)/distance")
            #expect(guest.text("\(Self.node)\(cell)/distance") == distances, "\(guest)")
            // The kernel takes its part before it counts.
            let whole = Self.pages[cell] * Self.pageSize
            let seen = try #require(guest.memory(cell), "\(guest)")
            #expect(seen <= whole && seen > whole / 2, "cell \(cell) has \(whole) bytes, the guest counts \(seen)")
        }
        // Huge pages of its own need what the CPU says of their sizes.
        for size in ["2048kB", "1048576kB"] {
            let file = "/sys/kernel/mm/hugepages/hugepages-\(size)/nr_hugepages"
            #expect(guest.text(file) == "0", "\(guest)")
            try Lab.run("ls \(file)")
        }
    }

    /// vCPUs are siblings where the CPUs below them are, and no socket spans cells.
    private func expectSiblings(_ guest: Files) throws {
        let lab = try Self.pins.map { try Lab.file(topology($0, "thread_siblings_list")) }
        let seen = Self.pins.indices.map { guest.text(topology($0, "thread_siblings_list")) }
        for vcpu in Self.pins.indices {
            let siblings = Self.pins.indices.filter { lab[$0] == lab[vcpu] }
            #expect(siblings == Self.pins.indices.filter { seen[$0] == seen[vcpu] }, "lab: \(lab), guest: \(seen)")
        }
        #expect(seen.compactMap(\.self).count == Self.pins.count, "\(guest)")
        let sockets = Self.pins.indices.compactMap { guest.text(topology($0, "physical_package_id")) }
        #expect(sockets.count == Self.pins.count && !sockets[1...].contains(sockets[0]), "\(sockets)")
    }

    /// The summary says what the kernel found.
    private func expectSummary(_ guest: Files) throws {
        let text = try #require(guest.text("/seed/meta-data"), "\(guest)")
        let machine = try JSONDecoder().decode(MetaData.self, from: Data(text.utf8)).slipway.machine
        let cells = Self.pages.indices.map { cell in
            MetaData.Cell(
                vcpus: guest.text("\(Self.node)\(cell)/cpulist") ?? "", memory: Self.pages[cell] * Self.pageSize)
        }
        let expected = MetaData.Machine(
            vcpus: Self.pins.count, threadsPerCore: 1, pinned: true, realtime: "", pageSize: Self.pageSize,
            cells: cells)
        #expect(machine == expected, "\(text)")
    }
}

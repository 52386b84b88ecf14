import FoundationEssentials
import Glibc
import HostTopology
import LinuxSystem

/// What the affinities were that we have changed, as JSON on the node. No file where nothing is changed.
struct InterruptNotes: Codable, Equatable {
    /// The number that stands for interrupts that do not exist yet (`default_smp_affinity`).
    static let newcomers = -1

    struct Note: Codable, Equatable {
        /// What it is to be again.
        var original: CPUSet
        /// What we have written, or were about to write. Anything else in the kernel's file is somebody else's.
        var written: [CPUSet]
    }

    var version = 1
    /// By interrupt.
    var affinities: [Int: Note] = [:]
    /// The interrupts that there were when the default was first changed. Later ones were born with the changed default.
    var known: [Int] = []

    // MARK: Originals

    /// What an interrupt's affinity would be without us.
    func original(of number: Int, _ current: CPUSet, _ host: HostCPUs, _ node: Int?) -> CPUSet {
        if let note = affinities[number] { return note.written.contains(current) ? note.original : current }
        guard let byDefault = affinities[Self.newcomers], !known.contains(number) else { return current }
        // The kernel cuts the default down to what is online, and to the device's node (kernel/irq/manage.c,
        // irq_setup_affinity), once the interrupt is in use.
        if byDefault.written.contains(current) { return byDefault.original }
        for cut in [host.online, host.near(node)] {
            if byDefault.written.contains(where: { $0.intersection(cut) == current }) {
                return byDefault.original.intersection(cut)
            }
        }
        return current
    }

    // MARK: Changes

    /// Notes that are true before, between and after the steps. Interrupts that are gone are forgotten.
    func prepared(for steps: [InterruptStep]) -> InterruptNotes {
        var notes = InterruptNotes()
        for step in steps {
            let written = [step.current, step.target].filter { $0 != step.original }
            guard !written.isEmpty else { continue }
            notes.affinities[step.number] = Note(original: step.original, written: Array(Set(written)))
        }
        let present = steps.lazy.map(\.number).filter { $0 != Self.newcomers }
        if notes.affinities[Self.newcomers] != nil {
            let isFirst = affinities[Self.newcomers] == nil
            notes.known = isFirst ? Array(present) : known.filter(Set(present).contains)
        }
        return notes
    }

    /// A step is over, and `written` is what the kernel has.
    mutating func settle(_ step: InterruptStep, _ written: CPUSet) {
        affinities[step.number] =
            written == step.original ? nil : Note(original: step.original, written: [written])
        if step.number == Self.newcomers && affinities[step.number] == nil { known = [] }
    }

    // MARK: File

    private static func path(_ directory: String) -> String { "\(directory)/notes.json" }

    /// nil where nothing is changed. Notes that are none are put aside: the affinities are taken as they are.
    static func read(from directory: String, _ report: inout InterruptReport) throws(SystemError) -> InterruptNotes? {
        let path = path(directory)
        guard File.exists(path) else { return nil }
        if let bytes = try? File.read(path, limit: 1 << 26),
            let notes = try? JSONDecoder().decode(InterruptNotes.self, from: Data(bytes)), notes.version == 1
        {
            return notes
        }
        guard rename(path, "\(path).bad") == 0 else { throw .last("rename", path) }
        report.problems.append(.notesLost("\(path).bad"))
        return nil
    }

    /// Removes the file when there is nothing to note.
    func write(to directory: String) throws {
        guard !affinities.isEmpty else { return try File.remove(Self.path(directory)) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try File.replace(Self.path(directory), with: Array(try encoder.encode(self)))
    }
}

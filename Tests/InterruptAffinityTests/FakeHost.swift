import HostTopology
import LinuxSystem
import TestSupport

@testable import InterruptAffinity

/// A host whose proc and sysfs are plain files, which take every affinity.
struct FakeHost {
    let directory: TemporaryDirectory
    let affinity: InterruptAffinity

    /// - Parameter nodes: the CPUs of each.
    init(nodes: [CPUSet], isolated: CPUSet = [], byDefault: CPUSet? = nil) throws {
        directory = try TemporaryDirectory()
        affinity = InterruptAffinity(
            root: directory("run"), procfs: directory("proc"), sysfs: directory("sys"))
        let online = nodes.reduce(CPUSet()) { $0.union($1) }
        try directory.write("sys/devices/system/cpu/online", "\(online)\n")
        try directory.write("sys/devices/system/cpu/isolated", "\(isolated)\n")
        try directory.write("sys/devices/system/cpu/nohz_full", "(null)\n")
        for (id, cpus) in nodes.enumerated() {
            try directory.write("sys/devices/system/node/node\(id)/cpulist", "\(cpus)\n")
        }
        try directory.write("sys/devices/system/node/online", "0\n")
        try File.makeDirectory(directory("run"))
        try set(.default, byDefault ?? online)
    }

    enum Subject: Hashable {
        case `default`
        case interrupt(Int)
    }

    /// Adds an interrupt, or changes its affinity.
    func set(_ subject: Subject, _ cpus: CPUSet, node: Int? = nil) throws {
        switch subject {
        case .default: try directory.write("proc/irq/default_smp_affinity", "\(cpus.mask)\n")
        case .interrupt(let number):
            let isNew = !File.exists(directory("proc/irq/\(number)"))
            try directory.write("proc/irq/\(number)/smp_affinity_list", "\(cpus)\n")
            if isNew {
                try directory.write("proc/irq/\(number)/node", "\(node ?? -1)\n")
                try File.makeDirectory(directory("proc/irq/\(number)/eth\(number)"))
            }
        }
    }

    func remove(_ number: Int) throws { try File.removeTree(directory("proc/irq/\(number)")) }

    func get(_ subject: Subject) throws -> CPUSet? {
        switch subject {
        case .default: try affinity.tree.affinity(of: InterruptNotes.newcomers)
        case .interrupt(let number): try affinity.tree.affinity(of: number)
        }
    }

    func get(_ number: Int) throws -> CPUSet? { try get(.interrupt(number)) }

    @discardableResult
    func apply(_ banned: CPUSet) throws -> InterruptReport { try affinity.apply { banned } }

    /// Applies, and dies after some of the steps.
    func crash(_ banned: CPUSet, after count: Int) throws {
        var report = InterruptReport(banned: banned)
        try File.makeDirectory(affinity.directory)
        let notes = try InterruptNotes.read(from: affinity.directory, &report) ?? InterruptNotes()
        let steps = try affinity.steps(notes, banned, &report)
        let prepared = notes.prepared(for: steps)
        try prepared.write(to: affinity.directory)
        _ = affinity.perform(Array(steps.prefix(count)), prepared, &report)
    }

    /// Whether anything is noted.
    var hasNotes: Bool { File.exists("\(affinity.directory)/notes.json") }
}

import Glibc
public import HostTopology
public import LinuxSystem
public import StateDirectory

/// Keeps device interrupts off the CPUs that real-time machines have for themselves, and gives them back.
///
/// The affinity of an interrupt is what it was without us, less the CPUs of all claims with `interrupts`. What it was is
/// noted before the first change, beside the claims; so whoever comes next, after a crash too, computes every affinity
/// anew and ends with the originals when no claim is left. An affinity that somebody else has set since is taken as the
/// new original.
///
/// Kernel: Documentation/core-api/irq/irq-affinity.rst.
public struct InterruptAffinity: Sendable {
    let directory: String
    let tree: InterruptTree
    private let root: String
    private let sysfs: String

    /// The interrupts of this node.
    ///
    /// - Parameters:
    ///   - root: the directory of all sandboxes, where the claims are, and the notes in `.irq`.
    ///   - procfs: where proc is mounted.
    ///   - sysfs: where sysfs is mounted.
    public init(root: String = StateDirectory.defaultRoot, procfs: String = "/proc", sysfs: String = "/sys") {
        self.root = root
        self.sysfs = sysfs
        directory = "\(root)/.irq"
        tree = InterruptTree(procfs: procfs)
    }

    /// Makes all affinities what the claims ask for now; to be called after a claim with `interrupts` was written, and
    /// after one was released. Idempotent; costs nothing where no claim asks and none has. Blocks.
    ///
    /// - Parameter milliseconds: how long to wait for another process that does the same.
    /// - Returns: what was changed, and what could not be.
    /// - Throws: `ExclusiveLock.Busy`, or `SystemError` when the notes cannot be written or there is no `/proc/irq`.
    ///   A refusal of the kernel to move an interrupt is no error but a ``InterruptReport/Problem``.
    @discardableResult
    public func apply(milliseconds: Int32 = 5000) throws -> InterruptReport {
        try apply(milliseconds: milliseconds) { PlacementClaim.all(root: root).interruptFreeCPUs }
    }

    /// The interrupts that arrive on any of some CPUs, or may where the kernel does not say where they do. Changes nothing.
    ///
    /// - Throws: `SystemError` when there is no `/proc/irq`.
    public func arriving(on cpus: CPUSet) throws(SystemError) -> [InterruptReport.Interrupt] {
        try tree.interrupts().compactMap { number in
            guard let affinity = try? tree.affinity(of: number), !affinity.isDisjoint(with: cpus) else { return nil }
            let interrupt = tree.describe(number, affinity)
            return (interrupt.effective ?? affinity).isDisjoint(with: cpus) ? nil : interrupt
        }
    }

    /// - Parameter banned: asked under the lock, so that the last one to come has the last word.
    func apply(milliseconds: Int32 = 5000, banned: () -> CPUSet) throws -> InterruptReport {
        if !File.exists(directory) {
            let banned = banned()
            guard !banned.isEmpty else { return InterruptReport(banned: banned) }
            try File.makeDirectory(directory)
        }
        return try ExclusiveLock.hold("\(directory)/.lock", milliseconds: milliseconds) {
            let banned = banned()
            var report = InterruptReport(banned: banned)
            let notes = try InterruptNotes.read(from: directory, &report)
            guard !banned.isEmpty || notes != nil else { return report }
            let steps = try steps(notes ?? InterruptNotes(), banned, &report)
            // Noted before it is done: what is on disk is true at every moment in between.
            let prepared = (notes ?? InterruptNotes()).prepared(for: steps)
            try prepared.write(to: directory)
            try perform(steps, prepared, &report).write(to: directory)
            if !banned.isEmpty, let pid = tree.balancer() { report.problems.append(.balancer(pid: pid)) }
            return report
        }
    }

    /// What is to be done with each interrupt.
    func steps(_ notes: InterruptNotes, _ banned: CPUSet, _ report: inout InterruptReport) throws -> [InterruptStep] {
        let host = try HostCPUs(sysfs: sysfs)
        var steps: [InterruptStep] = []
        for number in try [InterruptNotes.newcomers] + tree.interrupts() {
            do throws(SystemError) {
                guard let current = try tree.affinity(of: number) else { continue }
                let node = tree.node(of: number)
                let original = notes.original(of: number, current, host, node)
                guard let target = InterruptStep.target(original, banned, host, node) else {
                    report.problems.append(.noCPULeft(tree.describe(number, current)))
                    steps.append(InterruptStep(number: number, original: original, current: current, target: current))
                    continue
                }
                if let note = notes.affinities[number], note.original != original, target != original {
                    report.problems.append(.overruled(tree.describe(number, current)))
                }
                steps.append(InterruptStep(number: number, original: original, current: current, target: target))
            } catch {
                report.problems.append(.refused(tree.describe(number, []), code: error.code))
                guard let note = notes.affinities[number], let written = note.written.first else { continue }
                // Left alone, and not forgotten.
                steps.append(
                    InterruptStep(number: number, original: note.original, current: written, target: written))
            }
        }
        return steps
    }

    /// Does it, and returns what remains to be known.
    func perform(
        _ steps: [InterruptStep], _ prepared: InterruptNotes, _ report: inout InterruptReport
    ) -> InterruptNotes {
        var notes = prepared
        for step in steps {
            var written = step.current
            if step.target != step.current {
                do throws(SystemError) {
                    try tree.setAffinity(of: step.number, to: step.target)
                    // The kernel has the last word on what is in the file.
                    written = try tree.affinity(of: step.number) ?? step.target
                    report.changed[step.number] = written
                } catch  where error.code == ENOENT {
                    // A driver has given the interrupt up meanwhile.
                    notes.affinities[step.number] = nil
                    continue
                } catch {
                    report.problems.append(.refused(tree.describe(step.number, step.current), code: error.code))
                }
            }
            notes.settle(step, written)
        }
        return notes
    }
}

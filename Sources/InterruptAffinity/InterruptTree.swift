import Glibc
import HostTopology
import LinuxSystem

/// The interrupts as proc shows them (proc_irq in Documentation/filesystems/proc.rst).
struct InterruptTree {
    let procfs: String

    private func path(_ number: Int, _ file: String) -> String { "\(procfs)/irq/\(number)/\(file)" }
    private var byDefault: String { "\(procfs)/irq/default_smp_affinity" }

    /// All numbers, ascending.
    func interrupts() throws(SystemError) -> [Int] {
        try File.list("\(procfs)/irq").compactMap { Int($0) }.filter { $0 >= 0 }.sorted()
    }

    /// Where an interrupt may arrive; nil when it is gone.
    func affinity(of number: Int) throws(SystemError) -> CPUSet? {
        let path = number == InterruptNotes.newcomers ? byDefault : path(number, "smp_affinity_list")
        let text: String
        do throws(SystemError) {
            text = try File.text(path, limit: 1 << 16)
        } catch {
            guard error.code == ENOENT else { throw error }
            return nil
        }
        let set = number == InterruptNotes.newcomers ? CPUSet(mask: text) : try? CPUSet(text)
        guard let set else { throw SystemError("parse", path, code: EINVAL) }
        return set
    }

    /// - Throws: `SystemError` with ENOENT when it is gone, EIO when the kernel lets nobody move it.
    func setAffinity(of number: Int, to set: CPUSet) throws(SystemError) {
        let isDefault = number == InterruptNotes.newcomers
        let path = isDefault ? byDefault : path(number, "smp_affinity_list")
        // One write(2), truncating as a shell's redirection does, which proc ignores.
        let file = try FileDescriptor.open(path, O_WRONLY | O_TRUNC)
        try file.write((isDefault ? set.mask : set.description).utf8)
    }

    /// The device's memory node; nil where none is known.
    func node(of number: Int) -> Int? {
        guard let text = try? File.text(path(number, "node"), limit: 64), let line = text.split(separator: "\n").first
        else { return nil }
        return Int(line).flatMap { $0 >= 0 ? $0 : nil }
    }

    /// An interrupt for a report.
    func describe(_ number: Int, _ affinity: CPUSet) -> InterruptReport.Interrupt {
        guard number != InterruptNotes.newcomers else {
            return InterruptReport.Interrupt(number: nil, name: "", affinity: affinity)
        }
        // Each handler has a directory of its name; everything else is a file.
        let names = (try? File.list("\(procfs)/irq/\(number)")) ?? []
        let handlers = names.filter { (try? FileDescriptor.openDirectory(path(number, $0))) != nil }
        let effective = (try? File.text(path(number, "effective_affinity_list"), limit: 1 << 16))
            .flatMap { try? CPUSet($0) }
        return InterruptReport.Interrupt(
            number: number, name: handlers.joined(separator: " "), affinity: affinity, effective: effective)
    }

    /// The process id of irqbalance, if it runs.
    func balancer() -> Int32? {
        let processes = ((try? File.list(procfs)) ?? []).lazy.compactMap { Int32($0) }
        return processes.first { (try? File.text("\(procfs)/\($0)/comm", limit: 64)) == "irqbalance\n" }
    }
}

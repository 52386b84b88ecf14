import Glibc
public import HostTopology
import LinuxSystem

/// What became of an ``InterruptAffinity/apply(milliseconds:)``.
public struct InterruptReport: Codable, Equatable, Sendable {
    /// The CPUs that are to be free of interrupts.
    public var banned: CPUSet
    /// The interrupts that were moved, and their affinity now; -1 stands for interrupts that do not exist yet.
    public var changed: [Int: CPUSet] = [:]
    /// What keeps CPUs from being free of interrupts, or may do so later.
    public var problems: [Problem] = []

    /// Something to tell the operator.
    public enum Problem: Codable, Equatable, Sendable {
        /// The kernel does not take the affinity; the errno value.
        case refused(Interrupt, code: Int32)
        /// Every CPU that is online is to be free of interrupts: it stays where it is.
        case noCPULeft(Interrupt)
        /// Somebody else had moved it back to a CPU that is to be free; it was moved away again.
        case overruled(Interrupt)
        /// irqbalance(1) runs, and moves interrupts as it likes.
        case balancer(pid: Int32)
        /// The file that said what the affinities were is damaged, and was put aside under this path.
        case notesLost(String)
    }

    /// An interrupt.
    public struct Interrupt: Codable, Equatable, Sendable {
        /// Its number; nil for those that do not exist yet.
        public var number: Int?
        /// What it is for, as drivers say it; empty where nobody handles it.
        public var name: String
        /// The CPUs where it may arrive, before anything was tried.
        public var affinity: CPUSet
        /// The CPUs where it does arrive, where the kernel says so.
        public var effective: CPUSet?

        var phrase: String {
            guard let number else { return "/proc/irq/default_smp_affinity" }
            return name.isEmpty ? "\(number)" : "\(number) (\(name))"
        }
    }

    /// The problems as sentences, those of many interrupts with one reason in one.
    public var sentences: [String] {
        var reasons: [String] = []
        var interrupts: [String: [Interrupt]] = [:]
        for problem in problems {
            let (interrupt, reason) = explain(problem)
            if interrupts[reason] == nil { reasons.append(reason) }
            interrupts[reason, default: []] += interrupt.map { [$0] } ?? []
        }
        return reasons.map { reason in
            let all = interrupts[reason] ?? []
            guard !all.isEmpty else { return reason }
            let rest = all.count > 8 ? " and \(all.count - 8) more" : ""
            return "interrupts \(all.prefix(8).map(\.phrase).joined(separator: ", "))\(rest): \(reason)"
        }
    }

    private func explain(_ problem: Problem) -> (Interrupt?, String) {
        switch problem {
        case .refused(let interrupt, let code):
            // Said by the file, not by its permissions, they mean one thing: EPERM in newer kernels, EIO in older ones
            // (kernel/irq/proc.c, write_irq_affinity).
            let hint =
                code == EPERM || code == EIO
                ? "the kernel lets nobody move them, as their driver spreads them or they belong to one CPU; "
                    + "isolcpus=managed_irq,… on the kernel's command line may help"
                : SystemError("set the affinity", code: code).description
            return (interrupt, "may arrive on CPUs that are to be free of them (\(banned)): \(hint)")
        case .noCPULeft(let interrupt):
            return (interrupt, "no CPU is left for them, since all that are online are to be free (\(banned))")
        case .overruled(let interrupt):
            return (
                interrupt, "somebody else had moved them onto CPUs that are to be free (\(banned)); moved away again"
            )
        case .balancer(let pid):
            return (
                nil,
                "irqbalance (process \(pid)) may move interrupts back onto CPUs \(banned); "
                    + "stop it, or ban these CPUs with IRQBALANCE_BANNED_CPULIST"
            )
        case .notesLost(let path):
            return (nil, "\(path): not understood; interrupts moved earlier stay where they are")
        }
    }
}

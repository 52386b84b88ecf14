import HostTopology

/// One interrupt's way from the affinity that it has to the one that it shall have.
struct InterruptStep: Equatable {
    /// The interrupt, or ``InterruptNotes/newcomers``.
    let number: Int
    /// What it would be without us.
    let original: CPUSet
    let current: CPUSet
    let target: CPUSet

    /// The original without the banned CPUs. Where nothing is left of it that is online, which the kernel refuses, the
    /// housekeeping CPUs of the interrupt's node, else those of the host, else whatever is online.
    ///
    /// - Returns: nil when every CPU is banned.
    static func target(_ original: CPUSet, _ banned: CPUSet, _ host: HostCPUs, _ node: Int?) -> CPUSet? {
        guard !original.isDisjoint(with: banned) else { return original }
        let rest = original.subtracting(banned)
        if !rest.isDisjoint(with: host.online) { return rest }
        let candidates = [host.near(node).intersection(host.housekeeping), host.housekeeping, host.online]
        return candidates.lazy.map { $0.subtracting(banned) }.first { !$0.isEmpty }
    }
}

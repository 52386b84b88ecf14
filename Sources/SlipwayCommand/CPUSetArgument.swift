public import ArgumentParser
public import HostTopology

extension CPUSet: ExpressibleByArgument {
    /// A list such as `2-3,8`; nil for the empty one and for what is none.
    public init?(argument: String) {
        guard let set = try? CPUSet(argument), !set.isEmpty else { return nil }
        self = set
    }
}

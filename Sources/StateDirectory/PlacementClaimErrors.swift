public import HostTopology

extension PlacementClaim {
    /// What a machine that may be running holds is not known. Nothing is given away then: a CPU or page given twice
    /// would hurt two tenants, a start that is refused can be tried again.
    ///
    /// A crash does not make such a file, since claims are replaced as a whole: a hand or another version did.
    public struct Unreadable: Error, Equatable, CustomStringConvertible {
        /// The claim's file.
        public let path: String
        /// The pod, or the state directory where its name is not known.
        public let owner: String
        /// What is wrong with the file.
        public let reason: String
        /// The sentence for people.
        public var description: String {
            "claims: what \(owner) holds of the node is not known: \(path): \(reason); deleting that pod would help"
        }
    }

    /// A plan took CPUs that belong to another machine.
    public struct Conflict: Error, Equatable, CustomStringConvertible {
        /// The CPUs that were taken twice.
        public let cpus: CPUSet
        /// The claim that had them before.
        public let holder: PlacementClaim
        /// The sentence for people.
        public var description: String {
            "cpus: \(cpus) belong to pod \(holder.podNamespace)/\(holder.podName) alone; "
                + "other CPUs, or the end of that pod, would help"
        }
    }

    /// The owner has no claim that could be marked.
    public struct Missing: Error, Equatable, CustomStringConvertible {
        /// The owner's state directory.
        public let owner: String
        /// The sentence for people.
        public var description: String { "claims: \(owner) has no claim" }
    }
}

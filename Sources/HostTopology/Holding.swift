/// What one pod holds of a host.
public struct Holding: Codable, Equatable, Sendable {
    /// `namespace/name`.
    public var pod: String
    /// The CPUs that the pod has, whether or not others may run there too.
    public var cpus: CPUSet
    /// The huge pages that the pod has.
    public var pages: [Pages]

    /// Huge pages of one size on one node.
    public struct Pages: Codable, Hashable, Sendable {
        /// The node's id.
        public var node: Int
        /// Bytes of a page.
        public var size: UInt64
        /// How many.
        public var count: UInt64

        /// Pages.
        public init(node: Int, size: UInt64, count: UInt64) {
            self.node = node
            self.size = size
            self.count = count
        }
    }

    /// A holding.
    public init(pod: String, cpus: CPUSet = [], pages: [Pages] = []) {
        self.pod = pod
        self.cpus = cpus
        self.pages = pages
    }
}

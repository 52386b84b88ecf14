/// A group's statistics in the shape of the messages that containerd takes, `io.containerd.cgroups.v1.Metrics` and
/// `io.containerd.cgroups.v2.Metrics`; the network's counters are not the group's and not here.
///
/// What a controller does not tell, or a controller that is missing, is nil or empty. `UInt64.max` is "no limit".
public enum CgroupMetrics: Equatable, Sendable {
    /// From version 1 trees.
    case v1(CgroupMetricsV1)
    /// From the unified tree.
    case v2(CgroupMetricsV2)

    /// Pressure stall information (psi.rst).
    public struct Pressure: Equatable, Sendable {
        /// Time in which some, or all, tasks waited.
        public struct Share: Equatable, Sendable {
            /// Percent of the last 10, 60 and 300 seconds.
            public var avg10: Double, avg60: Double, avg300: Double
            /// Microseconds in all.
            public var total: UInt64
        }
        /// At least one task waited.
        public var some: Share?
        /// Every task waited.
        public var full: Share?
    }

    /// RDMA resources of one device.
    public struct RDMA: Equatable, Sendable {
        /// The device's name.
        public var device: String
        /// Open handles, or the most allowed; `UInt32.max` is no limit.
        public var hcaHandles: UInt32
        /// Objects, or the most allowed; `UInt32.max` is no limit.
        public var hcaObjects: UInt32
    }

    /// Tasks.
    public struct Pids: Equatable, Sendable {
        /// Now.
        public var current: UInt64
        /// At most.
        public var limit: UInt64
    }
}

/// How the machine was placed, for programs in the guest that pin threads or size pools: in the meta-data under
/// `slipway.machine`.
public struct GuestMachine: Equatable, Sendable {
    /// Number of vCPUs.
    public var vcpus: Int
    /// Threads that share a core.
    public var threadsPerCore: Int
    /// Whether each vCPU has a CPU of the host to itself.
    public var isPinned: Bool
    /// vCPUs whose host threads have the FIFO scheduler, in the kernel's list format; empty: none.
    public var realtime: String
    /// Bytes of the host's pages below the RAM.
    public var pageSize: UInt64
    /// The NUMA cells, as the guest numbers them.
    public var cells: [Cell]

    /// A NUMA cell.
    public struct Cell: Equatable, Sendable {
        /// Its vCPUs in the kernel's list format.
        public var vcpus: String
        /// Bytes of RAM.
        public var memory: UInt64

        /// A cell.
        public init(vcpus: String, memory: UInt64) {
            self.vcpus = vcpus
            self.memory = memory
        }
    }

    /// A description.
    public init(
        vcpus: Int, threadsPerCore: Int, isPinned: Bool, realtime: String, pageSize: UInt64, cells: [Cell]
    ) {
        self.vcpus = vcpus
        self.threadsPerCore = threadsPerCore
        self.isPinned = isPinned
        self.realtime = realtime
        self.pageSize = pageSize
        self.cells = cells
    }

    var json: JSONText {
        .object([
            ("vcpus", .number(vcpus)), ("threads-per-core", .number(threadsPerCore)), ("pinned", .bool(isPinned)),
            ("realtime-vcpus", .string(realtime)), ("page-size", .number(Int(clamping: pageSize))),
            (
                "cells",
                .array(
                    cells.map { cell in
                        .object([("vcpus", .string(cell.vcpus)), ("memory", .number(Int(clamping: cell.memory)))])
                    })
            ),
        ])
    }
}

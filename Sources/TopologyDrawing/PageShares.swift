internal import HostTopology

/// How the huge pages of one size on one node are divided.
struct PageShares {
    let total: UInt64
    /// Pages of pods that have some.
    let held: [(pod: TopologyDrawing.Pod, count: UInt64)]
    /// Pages that are in use, and not by these pods.
    let others: UInt64
    /// Pages that nobody has, pods that are about to take theirs included.
    let free: UInt64

    init(_ pool: HugePagePool, node: Int, pods: [TopologyDrawing.Pod]) {
        total = pool.total
        held = pods.compactMap { pod in
            let mine = pod.holding.pages.lazy.filter { $0.node == node && $0.size == pool.size }
            let count = mine.reduce(UInt64(0)) { saturatingSum($0, $1.count) }
            return count > 0 ? (pod, count) : nil
        }
        let sum = held.reduce(UInt64(0)) { saturatingSum($0, $1.count) }
        let used = pool.total - min(pool.free, pool.total)
        others = used - min(sum, used)
        let taken = saturatingSum(sum, others)
        free = pool.total - min(taken, pool.total)
    }

    /// `8192 pages, 4096 free`, `A 2048`, …, `others 1024`.
    var words: [String] {
        let sum = held.reduce(UInt64(0)) { saturatingSum($0, $1.count) }
        return ["\(total) \(total == 1 ? "page" : "pages")", "\(free) free"]
            + held.map { "\($0.pod.letter) \($0.count)" } + (others > 0 ? ["others \(others)"] : [])
            + (sum > total ? ["more than there are"] : [])
    }

    /// Cells of a bar of a width, in the order: pods, others, free. Who has any has a cell as far as they reach.
    func cells(width: Int) -> (held: [Int], others: Int, free: Int) {
        let counts = held.map(\.count) + [others, free]
        let whole = Double(max(counts.reduce(0, saturatingSum), 1))
        var cells = counts.map { $0 == 0 ? 0 : max(1, Int((Double($0) / whole * Double(width)).rounded(.down))) }
        // What rounding left over goes to, and what it took too much comes from, the largest parts.
        while true {
            let sum = cells.reduce(0, +)
            if sum == width || sum == 0 { break }
            guard let largest = cells.indices.max(by: { (cells[$0], counts[$0]) < (cells[$1], counts[$1]) }) else {
                break
            }
            cells[largest] += sum < width ? 1 : -1
        }
        return (Array(cells.dropLast(2)), cells[cells.count - 2], cells[cells.count - 1])
    }
}

func saturatingSum(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let (sum, overflow) = left.addingReportingOverflow(right)
    return overflow ? .max : sum
}

internal import HostTopology

extension TopologyDrawing {
    /// The picture for a terminal: ASCII, lines of at most 100 columns, with a newline at its end.
    ///
    /// Cores stand side by side and their threads one below the other. In brackets are CPUs that the kernel keeps free of
    /// other work; a bar divides last-level caches.
    public var text: String {
        var lines = [summary]
        for set in sets { lines += field(set.name, ["\(set.cpus)"], label: 14) }
        for reservation in host.reservations { lines += field("reserved", [words(for: reservation)], label: 14) }
        for node in host.nodes { lines += [""] + draw(node) }
        let nowhere = network(of: nil)
        if !nowhere.isEmpty { lines += ["", "on no node"] + field("  network", nowhere) }
        lines += ["", "key"]
        lines.append("  .  free   #  used by others   +  several pods   [ ]  isolated or tickless   |  next cache")
        for pod in pods {
            lines += field("  \(pod.letter)  \(printable(pod.holding.pod))  ", possessions(of: pod), label: nameColumn)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static let width = 100

    /// Where what pods hold begins: after their names, as long as these leave room for it.
    private var nameColumn: Int {
        min(pods.map { printable($0.holding.pod).utf8.count + 7 }.max() ?? 0, 50)
    }

    private func draw(_ node: HostNode) -> [String] {
        var lines = field(
            "node \(node.id)", [place(of: node), distances(of: node)])
        lines += cores(of: node)
        lines += field("  memory", [memory(of: node)])
        for pool in node.hugePages where pool.total > 0 {
            let shares = PageShares(pool, node: node.id, pods: pods)
            let cells = shares.cells(width: 40)
            var bar = ""
            for (share, count) in zip(shares.held, cells.held) {
                bar += String(repeating: share.pod.letter, count: count)
            }
            bar += String(repeating: "#", count: cells.others) + String(repeating: ".", count: cells.free)
            lines += field("  \(padded(bytes(pool.size), 8)) \(bar)", shares.words, label: 53)
        }
        return lines + (network(of: node.id).isEmpty ? [] : field("  network", network(of: node.id)))
    }

    /// A row for each thread of the cores, as many cores side by side as there is room for.
    private func cores(of node: HostNode) -> [String] {
        let digits = String(host.online.last ?? 0).utf8.count
        let cell = digits + 4
        var lines: [String] = []
        var rows: [String] = []
        func flush() {
            for row in rows {
                lines.append(padded(lines.isEmpty ? "  cores" : "", 10) + row)
            }
            rows = []
        }
        for cores in caches(of: node) {
            // A cache that fits a line is not torn.
            let needed = cores.count * cell + 3
            if let width = rows.first?.utf8.count, width + min(needed, 88) > 90 {
                for row in rows.indices { rows[row] += " |" }
                flush()
            }
            for (index, core) in cores.enumerated() {
                if let width = rows.first?.utf8.count, width + cell + 3 > 90 { flush() }
                let start = rows.first?.utf8.count ?? 0
                while rows.count < core.count { rows.append(String(repeating: " ", count: start)) }
                let gap = index == 0 && start > 0 ? " | " : ""
                for row in rows.indices {
                    rows[row] += gap
                    guard row < core.count else {
                        rows[row] += String(repeating: " ", count: cell)
                        continue
                    }
                    let text = "\(aligned(core[row], digits)) \(mark(core[row]))"
                    rows[row] += isSetApart(core[row]) ? "[\(text)]" : " \(text) "
                }
            }
        }
        flush()
        return lines.map { String($0.reversed().drop { $0 == " " }.reversed()) }
    }

    /// A label, and words from a column on, over as many lines as they need.
    private func field(_ label: String, _ words: [String], label width: Int = 11) -> [String] {
        let label = padded(label, width)
        let indent = label.utf8.count
        let text = words.filter { !$0.isEmpty }.joined(separator: ", ")
        return wrapped(text, width: Self.width - indent).enumerated().map { index, line in
            (index == 0 ? label : String(repeating: " ", count: indent)) + line
        }
    }
}

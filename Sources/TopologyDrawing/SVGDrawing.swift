internal import HostTopology

extension TopologyDrawing {
    /// The picture as an SVG document of its own: a card for each node, sockets side by side, pods below.
    public var svg: String {
        let cardWidth = 600
        let columns = min(host.nodes.count, 2)
        let gap = 20
        let width = columns * cardWidth + (columns + 1) * gap
        var page = SVGPage()
        page.text(gap, 44, "title", summary)
        var top = 60
        for set in sets {
            top += 20
            page.text(gap, top, "label", set.name)
            page.text(gap + 110, top, "value", clipped("\(set.cpus)", (width - gap - 130) / 7))
        }
        for reservation in host.reservations {
            top += 20
            page.text(gap, top, "label", "reserved")
            page.text(gap + 110, top, "value", words(for: reservation))
        }
        top += gap
        var grid = Array(repeating: [HostNode](), count: columns)
        for (index, node) in host.nodes.enumerated() { grid[column(of: node, index: index, of: columns)].append(node) }
        for row in 0..<(grid.map(\.count).max() ?? 0) {
            var bottom = top
            for (column, nodes) in grid.enumerated() where row < nodes.count {
                let left = gap + column * (cardWidth + gap)
                bottom = max(bottom, card(nodes[row], left, top, cardWidth, &page))
            }
            top = bottom + gap
        }
        let bottom = legend(gap, top, width - 2 * gap, &page)
        return page.document(width: width, height: bottom + gap)
    }

    /// Sockets have a column each; the nodes of a single socket, and those without CPUs, take turns.
    private func column(of node: HostNode, index: Int, of columns: Int) -> Int {
        let sockets = CPUSet(host.cpus.lazy.map(\.socket))
        guard sockets.count > 1, let first = node.cpus.first, let socket = host.cpu(first)?.socket,
            let place = Array(sockets).firstIndex(of: socket)
        else { return index % columns }
        return place % columns
    }

    /// Draws a node's card; returns where it ends.
    private func card(_ node: HostNode, _ x: Int, _ top: Int, _ width: Int, _ page: inout SVGPage) -> Int {
        var body = SVGPage()
        let left = x + 18
        let inner = width - 36
        var y = top + 32
        body.text(left, y, "node", "node \(node.id)")
        body.text(left + 80, y, "value", clipped(place(of: node), (inner - 80) / 7))
        let distances = distances(of: node)
        if !distances.isEmpty {
            y += 20
            body.text(left + 80, y, "label", clipped(distances, (inner - 80) / 7))
        }
        y = cores(of: node, left, y + 16, inner, &body)
        y += 22
        body.text(left, y, "label", "memory")
        body.text(left + 80, y, "value", memory(of: node))
        for pool in node.hugePages where pool.total > 0 {
            y = bar(PageShares(pool, node: node.id, pods: pods), bytes(pool.size), left, y, inner, &body)
        }
        for line in wrapped(network(of: node.id).joined(separator: ", "), width: (inner - 80) / 7) where !line.isEmpty {
            y += 22
            body.text(left, y, "label", "network")
            body.text(left + 80, y, "value", line)
        }
        page.rectangle(x, top, width, y + 18 - top, radius: 10, "card")
        page.append(body)
        return y + 18
    }

    /// Draws the cores, threads one below the other, caches as boxes around them; returns where they end.
    private func cores(of node: HostNode, _ left: Int, _ top: Int, _ width: Int, _ page: inout SVGPage) -> Int {
        let cell = (width: 58, height: 26)
        let most = (width - 12) / (cell.width + 4)
        var (x, y, height) = (left, top, 0)
        for cache in caches(of: node) {
            let across = min(cache.count, most)
            let threads = cache.map(\.count).max() ?? 1
            let rowHeight = threads * cell.height + 6
            let rows = (cache.count + most - 1) / most
            let box = (width: across * (cell.width + 4) + 8, height: rows * rowHeight + 4)
            if x > left, x + box.width > left + width { (x, y, height) = (left, y + height + 8, 0) }
            page.rectangle(x, y, box.width, box.height, radius: 6, "cache")
            for (index, core) in cache.enumerated() {
                let coreX = x + 6 + index % most * (cell.width + 4)
                for (thread, cpu) in core.enumerated() {
                    let cellY = y + 6 + index / most * rowHeight + thread * cell.height
                    draw(cpu, coreX, cellY, cell.width, cell.height - 4, &page)
                }
            }
            x += box.width + 8
            height = max(height, box.height)
        }
        return y + height
    }

    private func draw(_ cpu: Int, _ x: Int, _ y: Int, _ width: Int, _ height: Int, _ page: inout SVGPage) {
        let mark = mark(cpu)
        page.rectangle(x, y, width, height, radius: 3, isSetApart(cpu) ? "cpu apart" : "cpu", fill: fill(mark))
        page.text(x + 8, y + 16, "number", "\(cpu)")
        if mark != "." { page.text(x + width - 7, y + 16, "mark end", "\(mark)") }
    }

    /// Draws a pool; returns where it ends.
    private func bar(
        _ shares: PageShares, _ size: String, _ left: Int, _ top: Int, _ width: Int, _ page: inout SVGPage
    ) -> Int {
        var y = top + 22
        page.text(left, y, "label", "\(size)")
        for (index, line) in wrapped(shares.words.joined(separator: ", "), width: (width - 80) / 7).enumerated() {
            if index > 0 { y += 18 }
            page.text(left + 80, y, "value", line)
        }
        y += 7
        let cells = shares.cells(width: width - 80)
        var x = left + 80
        page.rectangle(x, y, width - 80, 14, radius: 0, "pool")
        for (share, cell) in zip(shares.held, cells.held) {
            page.rectangle(x, y, cell, 14, radius: 0, "share", fill: fill(share.pod.letter))
            if cell > 14 { page.text(x + cell / 2 - 4, y + 11, "small", "\(share.pod.letter)") }
            x += cell
        }
        if cells.others > 0 { page.rectangle(x, y, cells.others, 14, radius: 0, "share", fill: Self.others) }
        return y + 14
    }

    /// Draws what signs mean and what pods hold; returns where it ends.
    private func legend(_ left: Int, _ top: Int, _ width: Int, _ page: inout SVGPage) -> Int {
        var y = top + 4
        var x = left
        let signs = [
            ("cpu", fill("."), "free"), ("cpu apart", fill("."), "isolated or tickless"),
            ("cpu", Self.others, "used by others"), ("cpu", fill("+"), "several pods"),
            ("cache", nil, "a last-level cache"),
        ]
        for (style, colour, text) in signs {
            let needed = 32 + text.utf8.count * 7 + 24
            if x > left, x + needed > left + width { (x, y) = (left, y + 24) }
            page.rectangle(x, y, 24, 16, radius: 3, style, fill: colour)
            page.text(x + 32, y + 13, "value", text)
            x += needed
        }
        y += 26
        let nowhere = network(of: nil)
        if !nowhere.isEmpty {
            y += 24
            page.text(left, y, "value", clipped("on no node: \(nowhere.joined(separator: ", "))", width / 7))
        }
        for pod in pods {
            y += 12
            page.rectangle(left, y, 24, 16, radius: 3, "cpu", fill: fill(pod.letter))
            page.text(left + 8, y + 13, "mark", "\(pod.letter)")
            page.text(left + 36, y + 13, "name", printable(pod.holding.pod))
            for line in wrapped(possessions(of: pod).joined(separator: ", "), width: (width - 316) / 7) {
                // A long name has a line of its own.
                if pod.holding.pod.utf8.count > 36 { y += 18 }
                page.text(left + 316, y + 13, "value", line)
                if pod.holding.pod.utf8.count <= 36 { y += 18 }
            }
        }
        return y + 16
    }

    private static let others = "#9aa5b1"

    /// Colours that are told apart by most eyes, with dark letters on them; pods beyond their number take turns.
    private func fill(_ mark: Character) -> String {
        let palette = [
            "#8ecae6", "#ffb703", "#a7c957", "#f4a6c0", "#c3a6ff", "#ffd8a8", "#7bdcb5", "#e5989b", "#b8c0ff",
            "#d4d700",
            "#e0b38c", "#9bf6ff",
        ]
        switch mark {
        case ".": return "#ffffff"
        case "+": return "#ff5d5d"
        case "*": return "#cfd4da"
        default: return palette[(pods.first { $0.letter == mark }?.index ?? 0) % palette.count]
        }
    }

    private func clipped(_ text: String, _ limit: Int) -> String {
        text.utf8.count <= limit ? text : wrapped(text, width: max(limit - 4, 1))[0] + " ..."
    }
}

/// Elements of an SVG document, in the order in which they are painted.
struct SVGPage {
    private var elements: [String] = []

    mutating func rectangle(
        _ x: Int, _ y: Int, _ width: Int, _ height: Int, radius: Int, _ style: String, fill: String? = nil
    ) {
        let colour = fill.map { " fill=\"\($0)\"" } ?? ""
        elements.append(
            "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(width)\" height=\"\(height)\" rx=\"\(radius)\" class=\"\(style)\"\(colour)/>"
        )
    }

    mutating func text(_ x: Int, _ y: Int, _ style: String, _ text: String) {
        elements.append("<text x=\"\(x)\" y=\"\(y)\" class=\"\(style)\">\(Self.escaped(text))</text>")
    }

    mutating func append(_ page: SVGPage) { elements += page.elements }

    func document(width: Int, height: Int) -> String {
        """
        <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" viewBox="0 0 \(width) \(height)">
        <style>
        text { font: 13px "DejaVu Sans", Verdana, sans-serif; fill: #1f2933; }
        .title { font-size: 20px; font-weight: bold; }
        .node { font-size: 17px; font-weight: bold; }
        .label { fill: #616e7c; }
        .value { font-size: 12px; }
        .name { font-weight: bold; }
        .number { font-size: 12px; }
        .mark { font-weight: bold; }
        .end { text-anchor: end; }
        .small { font-size: 11px; font-weight: bold; }
        .page { fill: #f5f7fa; }
        .card { fill: #ffffff; stroke: #cbd2d9; }
        .cache { fill: #e4e7eb; }
        .cpu { stroke: #9aa5b1; }
        .apart { stroke: #1f2933; stroke-width: 2; }
        .pool { fill: #ffffff; stroke: #9aa5b1; }
        .share { stroke: #616e7c; stroke-width: 0.5; }
        </style>
        <rect width="\(width)" height="\(height)" class="page"/>
        \(elements.joined(separator: "\n"))
        </svg>

        """
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            default: result.append(character)
            }
        }
        return result
    }
}

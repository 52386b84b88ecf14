/// An XML element as a value; nested closures give the code the document's shape.
public struct XML: Equatable, Sendable {
    let name: String
    let attributes: [(String, String)]
    let children: [XML]
    let text: String?

    /// An element with children. An attribute whose value is nil is left out.
    public init(
        _ name: String, _ attributes: KeyValuePairs<String, String?> = [:], @XMLBuilder _ children: () -> [XML] = { [] }
    ) {
        self.name = name
        self.attributes = attributes.compactMap { key, value in value.map { (key, $0) } }
        self.children = children()
        text = nil
    }

    /// An element with text. An attribute whose value is nil is left out.
    public init(_ name: String, _ attributes: KeyValuePairs<String, String?> = [:], text: String) {
        self.name = name
        self.attributes = attributes.compactMap { key, value in value.map { (key, $0) } }
        children = []
        self.text = text
    }

    /// The document, indented by two spaces, every value escaped.
    public func rendered(indent: Int = 0) -> String {
        let margin = String(repeating: "  ", count: indent)
        let head = attributes.reduce("\(margin)<\(name)") { "\($0) \($1.0)='\(Self.escape($1.1))'" }
        if let text { return "\(head)>\(Self.escape(text))</\(name)>\n" }
        if children.isEmpty { return "\(head)/>\n" }
        return "\(head)>\n\(children.map { $0.rendered(indent: indent + 1) }.joined())\(margin)</\(name)>\n"
    }

    /// Escapes the five special characters; what XML 1.0 cannot hold at all (control characters) becomes U+FFFD.
    static func escape(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "'": result += "&apos;"
            case "\"": result += "&quot;"
            case "\t": result += "&#9;"
            case "\n": result += "&#10;"
            case "\r": result += "&#13;"
            case "\u{0}"..."\u{1f}", "\u{fffe}", "\u{ffff}": result += "\u{fffd}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Attribute order counts.
    public static func == (one: XML, other: XML) -> Bool { one.rendered() == other.rendered() }
}

/// Collects child elements.
@resultBuilder
public enum XMLBuilder {
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    public static func buildExpression(_ element: XML) -> [XML] { [element] }
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    public static func buildExpression(_ elements: [XML]) -> [XML] { elements }
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    public static func buildBlock(_ parts: [XML]...) -> [XML] { parts.flatMap { $0 } }
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    public static func buildOptional(_ part: [XML]?) -> [XML] { part ?? [] }
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    public static func buildEither(first part: [XML]) -> [XML] { part }
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    public static func buildEither(second part: [XML]) -> [XML] { part }
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    public static func buildArray(_ parts: [[XML]]) -> [XML] { parts.flatMap { $0 } }
}

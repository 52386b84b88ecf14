/// An annotation of the pod that is not understood.
public struct AnnotationRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// The annotation's key, or the path of a file of the same form.
    public let annotation: String
    /// Where in it: `line 2 (net1)`, `element 3`; empty: all of it.
    public let element: String
    /// The field in the element; empty: all of it.
    public let field: String
    /// What was found there, shortened and without control characters.
    public let found: String
    /// What would be accepted.
    public let accepted: String

    /// A refusal of its parts.
    public init(_ annotation: String, element: String = "", field: String = "", found: String, accepted: String) {
        self.annotation = annotation
        self.element = Self.printable(element)
        self.field = Self.printable(field)
        self.found = Self.printable(found)
        self.accepted = accepted
    }

    /// `ANNOTATION, ELEMENT, FIELD: found …; accepted: …`.
    public var description: String {
        let place = [annotation, element, field].filter { !$0.isEmpty }.joined(separator: ", ")
        return "\(place): found \(found); accepted: \(accepted)"
    }

    /// At most 64 characters of ASCII, so that a log line stays one.
    static func printable(_ text: String) -> String {
        let bytes = text.utf8.prefix(64).map { (0x20...0x7e).contains($0) ? $0 : UInt8(ascii: "?") }
        return String(decoding: bytes, as: UTF8.self) + (text.utf8.count > 64 ? "…" : "")
    }
}

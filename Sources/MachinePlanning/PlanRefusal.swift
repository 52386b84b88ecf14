/// A machine that will not be started: the field of the pod, and what is wrong with it, what there is, what would help.
public struct PlanRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// Whether waiting could help.
    public enum Kind: Equatable, Sendable {
        /// The pod asks for what cannot be had on any node of this kind.
        case invalid
        /// The pod asks for what other pods hold now.
        case exhausted
    }
    /// Whether waiting could help.
    public let kind: Kind
    /// The pod's field: an annotation, `limits.memory`, a path in the image.
    public let field: String
    /// The sentence's rest.
    public let problem: String

    /// A refusal.
    public init(_ kind: Kind = .invalid, field: String, problem: String) {
        self.kind = kind
        self.field = field
        self.problem = problem
    }

    /// `FIELD: PROBLEM`.
    public var description: String { "\(field): \(problem)" }
}

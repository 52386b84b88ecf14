/// A version of the CNI specification that configurations may be written for.
public enum CNIVersion: String, CaseIterable, Comparable, Sendable {
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    case v0_3_1 = "0.3.1"
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    case v0_4_0 = "0.4.0"
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    case v1_0_0 = "1.0.0"
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    case v1_1_0 = "1.1.0"

    /// By age.
    public static func < (left: CNIVersion, right: CNIVersion) -> Bool { left.rank < right.rank }

    private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

    /// Every word, for messages.
    static let words = allCases.map(\.rawValue).joined(separator: ", ")
}

/// One thing that `slipway check` looked at.
struct NodeFinding: Renderable {
    /// How it is.
    enum Verdict: String, Encodable, Sendable {
        /// As it should be.
        case ok
        /// Machines run, but something could be better or faster.
        case warning
        /// Machines will not run.
        case problem
    }

    /// What was looked at.
    let subject: String
    let verdict: Verdict
    /// What was found.
    let found: String
    /// What to do; empty where nothing is.
    let remedy: String

    static let columns = ["WHAT", "VERDICT", "FOUND", "WHAT TO DO"]
    static let tableColumns = 4
    var cells: [String] { [subject, verdict.rawValue, found, remedy] }

    /// Two lines a finding: what was found is often a sentence, too long for a column.
    static func list(_ findings: [NodeFinding]) -> String {
        let width = findings.map(\.subject.count).max() ?? 0
        return findings.map { finding in
            let mark =
                switch finding.verdict {
                case .ok: "ok      "
                case .warning: "warning "
                case .problem: "PROBLEM "
                }
            let pad = String(repeating: " ", count: width - finding.subject.count + 2)
            let remedy = finding.remedy.isEmpty ? "" : "\n        to do: \(finding.remedy)"
            return "\(mark)\(finding.subject)\(pad)\(finding.found)\(remedy)"
        }.joined(separator: "\n")
    }

    static func ok(_ subject: String, _ found: String) -> NodeFinding {
        NodeFinding(subject: subject, verdict: .ok, found: found, remedy: "")
    }

    static func warning(_ subject: String, _ found: String, _ remedy: String) -> NodeFinding {
        NodeFinding(subject: subject, verdict: .warning, found: found, remedy: remedy)
    }

    static func problem(_ subject: String, _ found: String, _ remedy: String) -> NodeFinding {
        NodeFinding(subject: subject, verdict: .problem, found: found, remedy: remedy)
    }
}

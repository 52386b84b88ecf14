internal import HostTopology
internal import MachineVerification
internal import StateDirectory

/// What people name by its pod.
protocol NamedByPod {
    /// `namespace/name`; the sandbox's id outside Kubernetes.
    var pod: String { get }
    /// The sandbox's id.
    var sandbox: String { get }
}

extension VerifiedMachine: NamedByPod {}

/// The node's machines by their state directories: no container runtime is asked.
enum MachineSelection {
    /// The machines that a person means by `reference`, or all of them: a name, `namespace/name`, or the beginning of a
    /// sandbox id.
    ///
    /// - Throws: `CommandFailure` with `notFound`, or with `usage` where several fit.
    static func find<Entry: NamedByPod>(
        _ reference: String?, in machines: [Entry]
    ) throws(CommandFailure) -> [Entry] {
        guard let reference else { return machines }
        let byName = machines.filter { $0.pod == reference || $0.pod.hasSuffix("/\(reference)") }
        let found = byName.isEmpty ? machines.filter { $0.sandbox.hasPrefix(reference) } : byName
        guard !found.isEmpty, !reference.isEmpty else {
            throw CommandFailure(
                .notFound,
                machines.isEmpty
                    ? "no machine \"\(reference)\" on this node, nor any other"
                    : "no machine \"\(reference)\" on this node; there are \(machines.map(\.pod).joined(separator: ", "))"
            )
        }
        guard found.count == 1 else {
            throw CommandFailure(
                .usage,
                "\"\(reference)\" fits \(found.count) machines; give namespace/name or more of the sandbox's id:\n"
                    + found.map { "  \($0.pod)  \($0.sandbox.prefix(13))" }.joined(separator: "\n"))
        }
        return found
    }

    /// Every machine of the node, compared with its plan.
    static func all(root: String) throws -> (host: HostTopology, machines: [VerifiedMachine]) {
        let host = try HostTopology.read()
        return (host, VerifiedMachine.all(root: root, on: host))
    }
}

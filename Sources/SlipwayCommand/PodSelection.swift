/// Finds the pod that an operator means.
enum PodSelection {
    /// The pod called `reference`: `namespace/name`, a name, or the beginning of a sandbox id.
    ///
    /// A name wins over an id. Of several pods of one name in one namespace a ready one wins, stopped ones being its
    /// predecessors.
    ///
    /// - Throws: `CommandFailure` with `notFound`, or with `usage` and the candidates where several fit.
    static func find(_ reference: String, in pods: [PodEntry]) throws(CommandFailure) -> PodEntry {
        let byName = pods.filter { $0.path == reference || $0.name == reference }
        let found = byName.isEmpty && isIdentifier(reference) ? pods.filter { $0.id.hasPrefix(reference) } : byName
        if found.count == 1, let only = found.first { return only }
        guard !found.isEmpty else {
            throw CommandFailure(
                .notFound, "no pod \"\(reference)\" on this node; slipway ps --all --all-runtimes lists those there are"
            )
        }
        let ready = found.filter(\.isReady)
        if Set(found.map(\.path)).count == 1, ready.count == 1, let only = ready.first { return only }
        let candidates = found.map { pod in
            "  \(pod.path)  \(pod.id.prefix(13))  \(pod.isReady ? "ready" : "stopped")"
        }
        throw CommandFailure(
            .usage,
            "\"\(reference)\" fits \(found.count) pods; give namespace/name or more of the id:\n"
                + candidates.joined(separator: "\n"))
    }

    /// The container of a pod called `name`, or its only one; the newest of several attempts.
    static func container(_ name: String?, of pod: PodEntry) throws(CommandFailure) -> PodEntry.Container {
        let names = Set(pod.containers.map(\.name)).sorted()
        if let name {
            if let container = pod.containers.first(where: { $0.name == name }) { return container }
            throw CommandFailure(
                .notFound,
                "pod \(pod.path) has no container \"\(name)\"; it has \(names.isEmpty ? "none" : names.joined(separator: ", "))"
            )
        }
        guard let first = pod.containers.first else {
            throw CommandFailure(.notFound, "pod \(pod.path) has no container")
        }
        guard names.count == 1 else {
            throw CommandFailure(
                .usage, "pod \(pod.path) has several containers: \(names.joined(separator: ", ")); say which with -c")
        }
        return first
    }

    private static func isIdentifier(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}

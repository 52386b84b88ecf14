internal import CRIProtocol
internal import LinuxSystem
internal import PodManifest

/// What a played pod leaves on the node beside what the runtime keeps: volumes, logs and its cgroup.
struct PodRemains: Sendable {
    let directory: String
    let logs: String
    /// Paths below each cgroup hierarchy.
    let cgroups: [String]

    init(_ playable: PlayablePod) {
        self.init(directory: playable.directory, logs: playable.sandbox.logDirectory, uid: playable.uid)
    }

    init(_ pod: PodEntry, podDirectory: String, logDirectory: String) {
        self.init(
            directory: "\(podDirectory)/\(pod.uid)", logs: "\(logDirectory)/\(pod.namespace)_\(pod.name)_\(pod.uid)",
            uid: pod.uid)
    }

    private init(directory: String, logs: String, uid: String) {
        self.directory = directory
        self.logs = logs
        cgroups = NodeFacts.CgroupDriver.allCases.map { $0.path(uid: uid) }
    }

    /// Removes all of it. What is not there is fine.
    func remove() -> [CommandFailure] {
        var failures: [CommandFailure] = []
        func attempt(_ body: () throws(SystemError) -> Void) {
            do { try body() } catch { failures.append(CommandFailure(.failure, error.description)) }
        }
        attempt { () throws(SystemError) in try PodDirectory(directory).remove() }
        attempt { () throws(SystemError) in try File.removeTree(logs) }
        for hierarchy in CgroupHierarchies.mounted() {
            for cgroup in cgroups {
                attempt { () throws(SystemError) in try CgroupHierarchies.remove(hierarchy + cgroup) }
            }
            for parent in ["/slipway", "/slipway.slice"] { CgroupHierarchies.removeIfEmpty(hierarchy + parent) }
        }
        return failures
    }
}

/// Stops and removes pods.
struct PodRemoval<Runtime: CRICalls> {
    let runtime: Runtime
    let remains: PodRemains

    /// Stops a pod's containers, each with its own grace unless `grace` says another, and its sandbox.
    func stop(_ pod: PodEntry, grace: Int64?) async throws(CRIError) {
        for container in pod.containers where container.state == .containerRunning {
            let own = try await runtime.containerStatus(container.id).status.annotations[KubernetesKeys.gracePeriod]
            try await runtime.stopContainer(container.id, grace: grace ?? own.flatMap { Int64($0) } ?? 30)
        }
        try await runtime.stopPodSandbox(pod.id)
    }

    /// Stops a pod and removes everything of it; goes on after a failure, so that as little as possible stays.
    func remove(_ pod: PodEntry, grace: Int64?) async -> [CommandFailure] {
        var failures: [CommandFailure?] = []
        failures.append(await attempt(pod) { try await stop(pod, grace: grace) })
        for container in pod.containers {
            failures.append(await attempt(pod) { try await runtime.removeContainer(container.id) })
        }
        failures.append(await attempt(pod) { try await runtime.removePodSandbox(pod.id) })
        let found = failures.compactMap { $0 }
        // While the runtime still has the pod, its volumes may be in use.
        return found.isEmpty ? remains.remove() : found
    }

    /// Runs a step; nil when it is done or there is nothing to do.
    ///
    /// A function of its own: a local one that captured the list kept Swift 6.3.1 compiling for ever.
    private func attempt(_ pod: PodEntry, _ body: () async throws -> Void) async -> CommandFailure? {
        do {
            try await body()
            return nil
        } catch {
            if (error as? CRIError)?.code == .notFound { return nil }
            let failure = CommandFailure(error) ?? CommandFailure(.failure, "\(error)")
            return CommandFailure(failure.status, "pod \(pod.path): \(failure)")
        }
    }
}

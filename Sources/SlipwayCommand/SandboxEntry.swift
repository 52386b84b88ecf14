internal import CNI
internal import FoundationEssentials
internal import LinuxSystem
internal import MachinePlanning
internal import Netlink
internal import OCIRuntimeSpec
internal import PodNetwork
internal import SandboxRemains
internal import StateDirectory

/// A sandbox of this node by its state directory.
struct SandboxEntry: NamedByPod, Sendable {
    let directory: StateDirectory
    let record: SandboxRecord
    let root: String

    var sandbox: String { record.id }
    var pod: String { record.podName.isEmpty ? record.id : "\(record.podNamespace)/\(record.podName)" }

    /// Every sandbox of the node.
    static func all(root: String) -> [SandboxEntry] {
        StateDirectory.all(root: root).compactMap { directory in
            (try? SandboxRecord(readingFrom: directory)).map {
                SandboxEntry(directory: directory, record: $0, root: root)
            }
        }.sorted { ($0.pod, $0.sandbox) < ($1.pod, $1.sandbox) }
    }

    /// The one that a person means.
    static func find(_ reference: String, root: String) throws(CommandFailure) -> SandboxEntry {
        guard let entry = try MachineSelection.find(reference, in: all(root: root)).first else {
            throw CommandFailure(.notFound, "no machine \"\(reference)\" on this node")
        }
        return entry
    }

    /// Whether its process runs.
    var isRunning: Bool { record.process?.isRunning == true }

    /// The path of the pod's network namespace; nil when that is gone. A sandbox outside Kubernetes has one of its own,
    /// which its process alone keeps.
    var namespace: String? {
        if let path = record.networkNamespace { return NetworkNamespace.isThere(path) ? path : nil }
        guard let process = record.process, process.isRunning else { return nil }
        return "/proc/\(process.pid)/ns/net"
    }

    /// The namespace of a running pod.
    ///
    /// - Throws: `CommandFailure` when the pod has ended.
    func requireNamespace() throws(CommandFailure) -> String {
        guard isRunning, let namespace else {
            throw CommandFailure(.failure, "pod \(pod) has ended; its networks cannot be changed any more")
        }
        return namespace
    }

    /// What was decided about its machine; nil when there is none.
    var plan: MachinePlan? {
        (try? File.read(directory.plan, limit: 16 << 20)).flatMap {
            try? JSONDecoder().decode(MachinePlan.self, from: Data($0))
        }
    }

    var attachments: Attachments { Attachments(directory: directory.attachments) }

    /// What the sandbox says of its NICs, and what was attached by hand.
    func status() throws -> NetworkReport {
        var status = try NetworkReport(readingFrom: directory.network) ?? NetworkReport()
        status.attachments = attachments.interfaces.map { interface in
            do throws(CNIError) {
                // It may have been detached since.
                guard let attachment = try attachments.read(interface) else {
                    return AttachmentReport(interface: interface, network: "", problem: "is gone")
                }
                let problem: String? =
                    switch attachment.phase {
                    case .added: nil
                    case .adding: "its plugins have not come to their end"
                    case .failed(let reason): reason
                    }
                return AttachmentReport(interface: interface, network: attachment.network.name, problem: problem)
            } catch {
                return AttachmentReport(interface: interface, network: "", problem: error.description)
            }
        }
        return status
    }

    /// ``status()`` with what the kernel has counted.
    func countedStatus() async throws -> NetworkReport {
        var status = try status()
        guard isRunning, let namespace else { return status }
        // A pod that ends meanwhile has no counters any more.
        let counters = try? await NetworkNamespace(path: namespace).run { try NetworkBinding().counters() }
        for index in status.interfaces.indices {
            status.interfaces[index].dropped = status.interfaces[index].number.flatMap { counters?[$0]?.dropped }
        }
        return status
    }

    /// Removes what is left of a pod that has ended. Blocks for up to 5 s.
    func removeIfEnded() throws(CommandFailure) {
        guard record.process != nil, !isRunning else { return }
        let problems = SandboxRemains(directory, record, root: root).remove()
        guard problems.isEmpty else { throw CommandFailure(.failure, problems.joined(separator: "\n")) }
    }
}

extension SandboxRecord {
    /// The machine's config.json: its container's bundle lies beside the sandbox's.
    var machineSpecification: Spec? {
        guard let container = machine?.container, let slash = bundle.lastIndex(of: "/"),
            let json = try? File.read("\(bundle[..<slash])/\(container)/config.json", limit: Spec.maximumSize)
        else { return nil }
        return try? Spec.decode(json)
    }
}

/// Waits until the sandbox's view of its NICs is as wanted; nil when the time is up or the pod has ended before.
func wait<Value>(
    for entry: SandboxEntry, seconds: Double, _ look: ([InterfaceReport]) -> Value?
) async throws -> Value? {
    let end = ContinuousClock.now + .milliseconds(Int64(seconds * 1000))
    while true {
        // A file in a form that is not understood will not change its form.
        let status = try NetworkReport(readingFrom: entry.directory.network)
        if let value = look(status?.interfaces ?? []) { return value }
        guard ContinuousClock.now < end, entry.isRunning else { return nil }
        try await Task.sleep(for: .milliseconds(20))
    }
}

import ContainerdAPI
import Glibc
import LinuxSystem
import OCIRuntimeSpec
import SandboxRemains
import StateDirectory
import SwiftProtobuf

extension ShimFront {
    /// `delete`: removes what is left of the id, and nothing of any other; idempotent, under 5 s.
    ///
    /// containerd runs it after every normal end too. A living sandbox process cleans up its own containers, so there is
    /// nothing to do for one of those.
    func delete() throws -> [UInt8] {
        let begin = Clock.milliseconds
        if let (directory, record) = find() {
            let isSandbox = record.id == arguments.id
            // The process is on its way out after Shutdown; one that hangs is ended. One that has ended may still wait
            // for its parent to reap it.
            let hasEnded = try record.process?.process?.waitForEnd(milliseconds: isSandbox ? 2000 : 0) ?? true
            if isSandbox || hasEnded {
                let problems = SandboxRemains(directory, record, root: root)
                    .remove(milliseconds: begin + 4_500 - Clock.milliseconds)
                guard problems.isEmpty else { throw Failure(description: problems.joined(separator: "; ")) }
            }
        }
        return try Task_DeleteResponse.with {
            $0.pid = 0
            $0.exitStatus = 128 + UInt32(SIGKILL)
            var now = timespec()
            clock_gettime(CLOCK_REALTIME, &now)
            $0.exitedAt = Google_Protobuf_Timestamp(seconds: Int64(now.tv_sec), nanos: Int32(now.tv_nsec))
        }.serializedBytes()
    }

    /// The sandbox that the id is, or belongs to: by the bundle's annotations, else by the records.
    private func find() -> (StateDirectory, SandboxRecord)? {
        let bundle = arguments.bundle.isEmpty ? workingDirectory : arguments.bundle
        var candidates = [StateDirectory(root: root, namespace: arguments.namespace, sandbox: arguments.id)]
        if let spec = try? Spec.decode(File.read("\(bundle)/config.json", limit: Spec.maximumSize)),
            let sandbox = spec.annotations?["io.kubernetes.cri.sandbox-id"]
        {
            candidates.append(StateDirectory(root: root, namespace: arguments.namespace, sandbox: sandbox))
        }
        candidates += StateDirectory.all(root: root)
        for directory in candidates {
            guard let record = try? SandboxRecord(readingFrom: directory), record.namespace == arguments.namespace
            else { continue }
            if record.id == arguments.id || record.machine?.container == arguments.id { return (directory, record) }
        }
        return nil
    }
}

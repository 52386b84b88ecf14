import CNI
import Cgroup
import Glibc
import HostFunction
import InterruptAffinity
import LinuxSystem
import PodNetwork
public import StateDirectory
import SwitchSocket

/// What a sandbox left on the node when its process did not clean up itself: found in its record, and removed.
///
/// Every step may find its work done already; none stops the others.
public struct SandboxRemains: Sendable {
    private let directory: StateDirectory
    private let record: SandboxRecord
    private let root: String

    /// The remains that a record tells of.
    public init(_ directory: StateDirectory, _ record: SandboxRecord, root: String = StateDirectory.defaultRoot) {
        self.directory = directory
        self.record = record
        self.root = root
    }

    /// Ends all processes and removes everything else. Takes under 5 s, which is all that containerd gives `delete`: what
    /// cannot be removed at once, because the kernel or a process is not done with it yet, is tried again meanwhile, as
    /// containerd does not ask a second time.
    ///
    /// - Parameter milliseconds: what is left of that. CNI plugins get up to 3 s of it, and half a second in any case.
    /// - Returns: what could not be removed, as sentences.
    public func remove(milliseconds: Int64 = 4_500) -> [String] {
        let end = Clock.milliseconds + milliseconds
        do {
            // containerd calls `delete` for the sandbox and for its container at once, and each finds the same. What the one
            // has given back to plugins the other would bring back from them.
            return try ExclusiveLock.hold("\(directory.path)/.remains", milliseconds: Int32(clamping: milliseconds)) {
                while File.exists(directory.record) {
                    let problems = remove(until: end)
                    if problems.isEmpty || Clock.milliseconds + Self.pause >= end { return problems }
                    _ = poll(nil, 0, Int32(Self.pause))
                }
                return []
            }
        } catch let error as SystemError where error.code == ENOENT {
            return []
        } catch {
            return ["remove \(directory.path): \(error)"]
        }
    }

    /// Between two tries, in milliseconds.
    private static let pause: Int64 = 100

    private func remove(until end: Int64) -> [String] {
        var problems: [String] = []
        func attempt(_ what: String, _ body: () throws -> Void) {
            do { try body() } catch { problems.append("\(what): \(error)") }
        }
        /// Whether it has ended.
        func kill(_ process: LinuxSystem.Process?) -> Bool {
            guard let process else { return true }
            let count = problems.count
            attempt("end process \(process.pid)") {
                try process.signal(SIGKILL)
                if try !process.waitForEnd(milliseconds: 1000) {
                    throw SystemError("wait for the end of", "process \(process.pid)", code: ETIMEDOUT)
                }
            }
            return problems.count == count
        }
        var haveEnded = kill(self.record.process?.process)
        // It may have written down more since its record was read.
        let record = (try? SandboxRecord(readingFrom: directory)) ?? self.record
        haveEnded = kill(record.machine?.process?.process) && haveEnded
        if let hierarchy = try? CgroupHierarchy.discover() {
            for path in record.cgroups.reversed() {
                attempt("remove cgroup \(path)") {
                    let group = hierarchy.group(at: try CgroupPath(path))
                    guard group.exists else { return }
                    try group.kill(milliseconds: 500)
                    try group.remove(milliseconds: 200)
                }
            }
        }
        attempt("end the address service") { try AddressService(directory: directory.dhcp).stop(milliseconds: 500) }
        if let path = record.networkNamespace, NetworkNamespace.isThere(path) {
            attempt("release the links in \(path)") { try Self.unbind(path) }
        }
        // What still runs keeps what it has.
        if problems.isEmpty {
            attempt("take back access to switches") { try GrantedSockets(directory).revokeAll() }
        }
        if problems.isEmpty {
            if let machine = record.machine { UserClaim(id: machine.user, root: root).release(owner: directory) }
            PlacementClaim.release(owner: directory, root: root)
            attempt("give interrupts back") { try InterruptAffinity(root: root).apply(milliseconds: 500) }
        }
        // The kernel takes no function from a QEMU that has it open, and waits. Plugins want its link.
        if haveEnded {
            problems += HostFunction.giveBackAll(in: directory.functions)
        }
        // After CPUs and pages, which no plugin that hangs shall keep. Last: links have to be free of what hung on them.
        problems += Attachments(directory: directory.attachments).detachAll(
            namespace: record.networkNamespace.flatMap { NetworkNamespace.isThere($0) ? $0 : nil },
            milliseconds: min(3_000, max(500, end - Clock.milliseconds)))
        // What is left needs its record: the next `delete`, or `slipway net detach`, tries again.
        guard problems.isEmpty else { return problems }
        attempt("remove \(directory.path)") { try File.removeTree(directory.path) }
        return problems
    }

    /// The namespace may be unmounted by containerd at this moment: then nothing is left to release.
    private static func unbind(_ path: String) throws {
        let namespace = try NetworkNamespace(path: path)
        do {
            try namespace.runAndWait { try NetworkBinding().unbindAll() }
        } catch let error as SystemError where error.operation == "setns" && error.code == EINVAL {
            return
        }
    }
}

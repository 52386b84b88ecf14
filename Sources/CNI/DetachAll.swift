import LinuxSystem
import Synchronization

extension Attachments {
    /// Detaches everything at the end of the pod, all at once: a plugin that hangs takes no time from the others. Of
    /// the plugins of an attachment each is called, whatever the others do.
    ///
    /// - Parameters:
    ///   - namespace: the pod's network namespace; nil when it is gone: addresses are given back all the same.
    ///   - milliseconds: what it may take, all in all.
    /// - Returns: what could not be detached, as sentences; the records of those stay.
    public func detachAll(namespace: String?, milliseconds: Int64) -> [String] {
        let deadline = Clock.milliseconds + milliseconds
        let problems = Problems()
        var running: [FileDescriptor] = []
        for interface in interfaces {
            do throws(SystemError) {
                let done = try FileDescriptor.event()
                try Thread.start("cni-del") {
                    do throws(CNIError) {
                        try detach(interface, namespace: namespace, deadline: deadline, halting: false)
                    } catch {
                        problems.add("detach \(interface): \(error)")
                    }
                    done.signalEvent()
                }
                running.append(done)
            } catch {
                problems.add("detach \(interface): \(error)")
            }
        }
        for done in running { done.clearEvent() }
        return problems.all
    }
}

private final class Problems: Sendable {
    private let sentences = Mutex<[String]>([])
    var all: [String] { sentences.withLock { $0.sorted() } }
    func add(_ sentence: String) { sentences.withLock { $0.append(sentence) } }
}

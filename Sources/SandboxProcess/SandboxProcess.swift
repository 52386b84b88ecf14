import CLinux
import ContainerIO
import Glibc
import LibvirtMachine
import LinuxSystem
import Sandbox
import StateDirectory
import Synchronization
import TTRPC
import TaskService
import Version

/// The process of one pod: serves containerd on the socket that the front has opened, and holds the machine.
public enum SandboxProcess {
    /// Runs until the sandbox has ended. Returns the exit status.
    public static func main(_ words: [String]) -> Int32 {
        do {
            try run(Array(words.dropFirst()))
            return 0
        } catch {
            try? FileDescriptor(owning: 2).write(Array("slipway-sandbox: \(error)\n".utf8))
            return 1
        }
    }

    private static func run(_ words: [String]) throws {
        var values: [String: String] = [:]
        var rest = words[...]
        while let flag = rest.popFirst() {
            if flag == "-debug" { continue }
            values[flag] = rest.popFirst() ?? ""
        }
        guard let path = values["-state"], !path.isEmpty else {
            throw SandboxError(.invalidArgument, "-state has to be given; containerd's shim starts this program")
        }
        slipway_be_frugal()
        slipway_ignore_sigpipe()
        // Before any thread starts: a signal goes to any thread that has not blocked it.
        let signals = try blockEndSignals()

        let directory = StateDirectory(path: path)
        var record = try SandboxRecord(readingFrom: directory)
        record.process = try SandboxRecord.ProcessIdentity(pid: getpid())
        try record.write(to: directory)
        let log = Log(directory: directory, bundle: record.bundle, sandbox: record.id)
        let publisher = EventPublisher(
            address: values["-ttrpc-address"] ?? "", namespace: record.namespace, log: log.write)
        let root = String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.endIndex))
        let host = try LibvirtMachineHost(directory, record: record, root: root, events: publisher, log: log.write)
        let ended = try FileDescriptor.event()
        let sandbox = Sandbox(
            namespace: record.namespace, id: record.id, host: host, events: publisher,
            console: try ConsoleListener(path: directory.console), log: log.write
        ) { ended.signalEvent() }
        let server = Server(services: TaskService(sandbox, version: Version.text).services, log: log.write)
        try server.listen(on: FileDescriptor(owning: 3))
        try endOnSignal(signals, sandbox)
        // A sandbox in which nothing is ever created has been forgotten by containerd.
        Task {
            try await Task.sleep(for: .seconds(60))
            await sandbox.endUnlessUsed()
        }
        ended.clearEvent()
        // The reply to Shutdown is still on its way.
        let flushed = try FileDescriptor.event()
        Task {
            await server.shutdown(within: .seconds(1))
            flushed.signalEvent()
        }
        flushed.clearEvent()
    }

    private static func blockEndSignals() throws -> FileDescriptor {
        let signals = [SIGTERM, SIGINT]
        return FileDescriptor(owning: try check(slipway_signalfd(signals, signals.count), "signalfd"))
    }

    /// SIGTERM and SIGINT end the sandbox in order, machine included.
    private static func endOnSignal(_ signals: FileDescriptor, _ sandbox: Sandbox) throws {
        try Thread.start("signals") {
            _ = try? signals.read(exactly: 128)
            Task { await sandbox.shutdown(now: true) }
        }
    }
}

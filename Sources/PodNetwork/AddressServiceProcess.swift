import Glibc
public import LinuxSystem
import Synchronization

/// The running ``AddressService`` of a machine: started again when it dies, until ``end()``.
///
/// A service that has no address left for a guest that asks by DHCPv6 is started anew too: each address belongs to one
/// NIC, but dnsmasq leases it to an identifier (DUID, RFC 8415), and the system that boots next on the same NIC has
/// another one. The leases are all that is lost, and they are made of the configuration.
public final class AddressServiceProcess: Sendable {
    /// The pause before a service is started again: it grows while starts follow one another.
    struct Pace: Sendable {
        var shortest: Int64 = 100
        var longest: Int64 = 30_000
        /// One that has lived for so long died of something new.
        var settled: Int64 = 60_000
    }

    private enum End {
        case asked
        case died(LinuxSystem.Process.Status)
        case forgetful
    }

    private let spawn: Spawn
    private let pace: Pace
    private let log: @Sendable (String) -> Void
    private let stop: FileDescriptor
    private let stopped: FileDescriptor
    private let first = Mutex<Result<Void, SystemError>?>(nil)
    private let running = Mutex<LinuxSystem.Process?>(nil)

    /// Starts the service. Blocks until it is running or could not be started; who starts it need not live on.
    ///
    /// - Parameters:
    ///   - namespace: the pod's network namespace; nil when the calling thread is in it.
    ///   - oomScoreAdj: the score of the service.
    ///   - log: gets a sentence whenever it was started again, on a thread of this value's own.
    /// - Throws: `SystemError` when the files cannot be written or the program cannot be started.
    public convenience init(
        _ service: AddressService, _ configuration: AddressServiceConfiguration, namespace: FileDescriptor? = nil,
        oomScoreAdj: Int32? = nil, log: @escaping @Sendable (String) -> Void
    ) throws(SystemError) {
        var spawn = try service.prepare(configuration, namespace: namespace)
        spawn.oomScoreAdj = oomScoreAdj
        try self.init(spawn, Pace(), log: log)
    }

    init(_ spawn: Spawn, _ pace: Pace, log: @escaping @Sendable (String) -> Void) throws(SystemError) {
        self.spawn = spawn
        self.pace = pace
        self.log = log
        stop = try FileDescriptor.event()
        stopped = try FileDescriptor.event()
        let started = try FileDescriptor.event()
        try Thread.start("address-service") { [self] in
            supervise(started)
            stopped.signalEvent()
        }
        started.clearEvent()
        if case .failure(let error)? = first.withLock({ $0 }) { throw error }
    }

    /// The process that runs now; nil between two of them.
    var process: LinuxSystem.Process? { running.withLock { $0 } }

    /// Ends it and waits until it is reaped. Further calls do nothing.
    public func end() {
        stop.signalEvent()
        // Readable for everybody, because nobody clears it.
        _ = try? stopped.wait(for: Int16(POLLIN))
    }

    // SIGKILL comes to the service when this thread ends, whatever ends it.
    private func supervise(_ started: FileDescriptor) {
        var delay = pace.shortest
        while true {
            let begin = Clock.milliseconds
            let outcome = run(started)
            if Clock.milliseconds - begin > pace.settled { delay = pace.shortest }
            switch outcome {
            case .success((.asked, _)): return
            case .success((.died(let status), let said)):
                log("the pod's address service ended (\(status))\(said); it is started again in \(delay) ms")
            case .success((.forgetful, _)):
                log("the pod's address service has leased the guest's address to an earlier system; it is started anew")
            case .failure(let error):
                // Before the first one ran, whoever wanted it is told.
                if first.withLock({ $0 == nil }) {
                    first.withLock { $0 = .failure(error) }
                    return started.signalEvent()
                }
                log("the pod's address service cannot be started (\(error)); it is tried again in \(delay) ms")
            }
            if (try? stop.wait(for: Int16(POLLIN), milliseconds: Int32(clamping: delay))) == true { return }
            delay = min(delay * 2, pace.longest)
        }
    }

    /// One life of the service: how it ended, and the last that it said.
    private func run(_ started: FileDescriptor) -> Result<(End, said: String), SystemError> {
        do throws(SystemError) {
            let words = try FileDescriptor.pipe()
            let null = try FileDescriptor.open("/dev/null", O_RDWR)
            var spawn = spawn
            spawn.descriptors = [0: null, 1: null, 2: words.write]
            spawn.diesWithParent = true
            let process = try spawn.start()
            words.write.close()
            running.withLock { $0 = process }
            if first.withLock({ $0 == nil }) {
                first.withLock { $0 = .success(()) }
                started.signalEvent()
            }
            var lines = ServiceLines()
            let end = try listen(words.read, &lines)
            try? process.signal(SIGKILL)
            let status = try process.wait()
            running.withLock { $0 = nil }
            return .success((end ?? .died(status), lines.last.isEmpty ? "" : ": \(lines.last)"))
        } catch {
            return .failure(error)
        }
    }

    /// Reads what the service says until it has ended (nil), is to end, or has to be started anew.
    private func listen(_ words: FileDescriptor, _ lines: inout ServiceLines) throws(SystemError) -> End? {
        while true {
            var entries = [words, stop].map { pollfd(fd: $0.raw, events: Int16(POLLIN), revents: 0) }
            guard poll(&entries, 2, -1) >= 0 else {
                if errno == EINTR { continue }
                throw .last("poll")
            }
            if entries[1].revents != 0 { return .asked }
            let bytes = try words.read(upTo: 4096)
            if bytes.isEmpty { return nil }
            lines.take(bytes)
            if lines.areWithoutAddresses { return .forgetful }
        }
    }
}

/// What dnsmasq says, line by line. Parts of it are the guest's words.
struct ServiceLines {
    private var rest: [UInt8] = []
    /// The last whole line, in printable characters.
    private(set) var last = ""
    /// Whether a DHCPv6 client was told that there is no address for it.
    private(set) var areWithoutAddresses = false

    /// Longer lines are cut.
    static let limit = 1024

    mutating func take(_ bytes: [UInt8]) {
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                last = String(decoding: rest.map { (0x20..<0x7f).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
                // As dnsmasq 2.85 to 2.91 write it: "DHCPADVERTISE(slwd0) 00:01:… no addresses available". Nothing that
                // a client has sent can stand at a line's end behind its identifier.
                if last.contains("DHCPADVERTISE(") || last.contains("DHCPREPLY("),
                    last.hasSuffix(" no addresses available")
                {
                    areWithoutAddresses = true
                }
                rest = []
            } else if rest.count < Self.limit {
                rest.append(byte)
            }
        }
    }
}

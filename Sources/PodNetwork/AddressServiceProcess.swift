import Glibc
public import LinuxSystem
import Synchronization

/// The running ``AddressService`` of a machine: started again when it dies, and with another configuration when NICs come
/// and go, until ``end()``. While no NIC needs it nothing runs.
///
/// A service that has no address left for a guest that asks by DHCPv6 is started anew too: each address belongs to one
/// NIC, but dnsmasq leases it to an identifier (DUID, RFC 8415), and the system that boots next on the same NIC has
/// another one. The leases are all that a new start loses, and they are made of the configuration.
public final class AddressServiceProcess: Sendable {
    /// The pause before a service is started again: it grows while starts follow one another.
    struct Pace: Sendable {
        var shortest: Int64 = 100
        var longest: Int64 = 30_000
        /// One that has lived for so long died of something new.
        var settled: Int64 = 60_000
    }

    /// Something that the supervising thread shall do, and who waits for it.
    private struct Order: Sendable {
        enum Kind: Sendable {
            case run(Spawn)
            case rest
            case end
        }
        let kind: Kind
        let answer: Answer
    }

    /// Given once.
    private final class Answer: Sendable {
        private let given = Mutex<Result<Void, SystemError>?>(nil)
        private let event: FileDescriptor

        init() throws(SystemError) { event = try FileDescriptor.event() }

        var isGiven: Bool { given.withLock { $0 != nil } }

        func give(_ result: Result<Void, SystemError>) {
            let isFirst = given.withLock { given in
                defer { given = given ?? result }
                return given == nil
            }
            if isFirst { event.signalEvent() }
        }

        func wait() throws(SystemError) {
            while !isGiven { event.clearEvent() }
            if case .failure(let error)? = given.withLock({ $0 }) { throw error }
        }
    }

    private enum End {
        case ordered
        case died(LinuxSystem.Process.Status)
        case forgetful
    }

    /// Makes the files of a configuration, and says what is to be started.
    typealias Preparation = @Sendable (AddressServiceConfiguration) throws(SystemError) -> Spawn

    private let prepare: Preparation
    private let pace: Pace
    private let log: @Sendable (String) -> Void
    /// What is told by ``update(_:)`` and ``end()``, one after the other; nil once it has ended.
    private let configuration: Mutex<AddressServiceConfiguration?>
    private let pending = Mutex<Order?>(nil)
    /// Signalled for each order.
    private let bell: FileDescriptor
    /// Made beforehand: the end needs nothing that could be lacking.
    private let ended: Answer
    private let running = Mutex<LinuxSystem.Process?>(nil)

    /// Starts the service, if there is a link to answer on. Blocks until it is running or could not be started; who starts
    /// it need not live on.
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
        try self.init(configuration, Pace(), log: log) { configuration throws(SystemError) in
            var spawn = try service.prepare(configuration, namespace: namespace)
            spawn.oomScoreAdj = oomScoreAdj
            return spawn
        }
    }

    init(
        _ configuration: AddressServiceConfiguration, _ pace: Pace, log: @escaping @Sendable (String) -> Void,
        prepare: @escaping Preparation
    ) throws(SystemError) {
        self.configuration = Mutex(configuration)
        self.pace = pace
        self.log = log
        self.prepare = prepare
        bell = try FileDescriptor.event()
        ended = try Answer()
        let first: Order.Kind = configuration.isEmpty ? .rest : .run(try prepare(configuration))
        try Thread.start("address-service") { [self] in supervise() }
        do throws(SystemError) {
            try order(first, Answer())
        } catch {
            end()
            throw error
        }
    }

    /// The process that runs now; nil between two of them.
    var process: LinuxSystem.Process? { running.withLock { $0 } }

    /// Has the guest told something else. A service that runs is left alone if its configuration stays the same; otherwise
    /// it is replaced, which its NICs notice for as long as dnsmasq takes to start: clients ask again. Blocks until the new
    /// one is running, or the old one gone when no link is left. Nothing happens after ``end()``.
    ///
    /// - Throws: `SystemError` when the file cannot be written, and the service is as it was; or when the program cannot
    ///   be started, which is then tried again and again.
    public func update(_ configuration: AddressServiceConfiguration) throws(SystemError) {
        try self.configuration.withLock { current throws(SystemError) in
            guard let before = current, before != configuration else { return }
            let kind: Order.Kind = configuration.isEmpty ? .rest : .run(try prepare(configuration))
            current = configuration
            try order(kind, Answer())
        }
    }

    /// Ends it and waits until it is reaped. Further calls do nothing.
    public func end() {
        configuration.withLock { current in
            guard current != nil else { return }
            current = nil
            try? order(.end, ended)
        }
    }

    /// Gives an order and waits until it is obeyed. One at a time.
    private func order(_ kind: Order.Kind, _ answer: Answer) throws(SystemError) {
        pending.withLock { $0 = Order(kind: kind, answer: answer) }
        bell.signalEvent()
        try answer.wait()
    }

    /// The next order; nil when none comes in time.
    private func nextOrder(milliseconds: Int32 = -1) -> Order? {
        guard (try? bell.wait(for: Int16(POLLIN), milliseconds: milliseconds)) == true else { return nil }
        bell.clearEvent()
        return pending.withLock { $0.take() }
    }

    // SIGKILL comes to the service when this thread ends, whatever ends it.
    private func supervise() {
        var order = nextOrder()
        var delay = pace.shortest
        while true {
            guard case .run(let spawn)? = order?.kind else {
                order?.answer.give(.success(()))
                if case .end? = order?.kind { return }
                order = nextOrder()
                delay = pace.shortest
                continue
            }
            let begin = Clock.milliseconds
            let outcome = run(spawn) { order?.answer.give(.success(())) }
            if Clock.milliseconds - begin > pace.settled { delay = pace.shortest }
            switch outcome {
            case .success((.ordered, _)):
                order = nextOrder()
                delay = pace.shortest
                continue
            case .success((.died(let status), let said)):
                log("the pod's address service ended (\(status))\(said); it is started again in \(delay) ms")
            case .success((.forgetful, _)):
                log("the pod's address service has leased the guest's address to an earlier system; it is started anew")
            case .failure(let error):
                // Before it first ran, whoever wanted it is told.
                if order?.answer.isGiven == true {
                    log("the pod's address service cannot be started (\(error)); it is tried again in \(delay) ms")
                }
                order?.answer.give(.failure(error))
            }
            if let next = nextOrder(milliseconds: Int32(clamping: delay)) {
                order = next
                delay = pace.shortest
            } else {
                delay = min(delay * 2, pace.longest)
            }
        }
    }

    /// One life of the service: how it ended, and the last that it said.
    private func run(_ spawn: Spawn, started: () -> Void) -> Result<(End, said: String), SystemError> {
        do throws(SystemError) {
            let words = try FileDescriptor.pipe()
            let null = try FileDescriptor.open("/dev/null", O_RDWR)
            var spawn = spawn
            spawn.descriptors = [0: null, 1: null, 2: words.write]
            spawn.diesWithParent = true
            let process = try spawn.start()
            words.write.close()
            running.withLock { $0 = process }
            started()
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

    /// Reads what the service says until it has ended (nil), an order has come, or it has to be started anew.
    private func listen(_ words: FileDescriptor, _ lines: inout ServiceLines) throws(SystemError) -> End? {
        while true {
            var entries = [words, bell].map { pollfd(fd: $0.raw, events: Int16(POLLIN), revents: 0) }
            guard poll(&entries, 2, -1) >= 0 else {
                if errno == EINTR { continue }
                throw .last("poll")
            }
            if entries[1].revents != 0 { return .ordered }
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

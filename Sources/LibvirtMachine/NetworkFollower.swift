import FoundationEssentials
import Glibc
import Libvirt
import LinuxSystem
import MachinePlanning
import Netlink
import PodNetwork
import Sandbox
import StateDirectory
import Synchronization

/// Follows the pod's network namespace while its machine runs: a link that appears becomes a NIC of the guest, one that
/// vanishes takes its NIC with it, and what changes on a link reaches the guest. The namespace is all that it goes by, so
/// that whoever changes it (a CNI plugin, a controller, a person) needs to know nothing of machines.
final class NetworkFollower: Sendable {
    private let machine: any FollowedMachine
    private let network: MachineNetwork
    private let request: NetworkRequest
    private let files: NodeNetworkFiles
    private let directory: StateDirectory
    private let pace: Pace
    private let log: @Sendable (String) -> Void
    private let tell: @Sendable (String, NICChange) -> Void

    private let monitor: NetworkMonitor
    private let stop: FileDescriptor
    private let stopped: FileDescriptor
    /// NICs that have left the guest, by alias; told on libvirt's event thread.
    private let departed = Mutex<[String]>([])
    private let departure: FileDescriptor
    /// The guest's agent has answered, or has not in its time.
    private let answered: FileDescriptor

    /// Begins to follow.
    ///
    /// - Parameters:
    ///   - monitor: listens since before the machine's network was planned, so that nothing is missed.
    ///   - request: as for the machine's first plan.
    ///   - files: what gives the request its part that changes.
    ///   - seed: what the guest is told at its next boot; nil: it is told nothing.
    ///   - tell: is told what becomes of a link's NIC. Must not block.
    /// - Throws: `SystemError`, `LibvirtError`.
    init(
        _ machine: any FollowedMachine, _ network: MachineNetwork, _ request: NetworkRequest, files: NodeNetworkFiles,
        monitor: NetworkMonitor, seed: Seed?, directory: StateDirectory, pace: Pace = Pace(),
        log: @escaping @Sendable (String) -> Void, tell: @escaping @Sendable (String, NICChange) -> Void
    ) throws {
        self.machine = machine
        self.network = network
        self.request = request
        self.files = files
        self.monitor = monitor
        self.directory = directory
        self.pace = pace
        self.log = log
        self.tell = tell
        stop = try FileDescriptor.event()
        stopped = try FileDescriptor.event()
        departure = try FileDescriptor.event()
        answered = try FileDescriptor.event()
        let subscription = try machine.onDeparture { [weak self] alias in
            guard let self else { return }
            departed.withLock { $0.append(alias) }
            departure.signalEvent()
        }
        try LinuxSystem.Thread.start("network") { [self] in
            var course = Course(self, seed)
            course.run()
            withExtendedLifetime(subscription) {}
            stopped.signalEvent()
        }
    }

    /// Ends it and waits until nothing of it runs any more. Further calls do nothing.
    func end() {
        stop.signalEvent()
        // Readable for everybody, because nobody clears it.
        _ = try? stopped.wait(for: Int16(POLLIN))
    }
}

extension NetworkFollower {
    /// What the follower's thread knows.
    private struct Course {
        private struct Failure {
            let reason: String
            /// What was to be done; nil: the plan itself was refused.
            let step: NetworkStep?
            let delay: Int64
            let next: Int64
        }

        private let follower: NetworkFollower
        private var changedSince: Int64?
        private var lastChange: Int64 = 0
        /// Since when links have been seen that are not switched on, by their index.
        private var waiting: [Int32: Int64] = [:]
        /// Since when NICs have been without their link, by number.
        private var absent: [Int: Int64] = [:]
        /// When the guest was asked to let go of a NIC, by number.
        private var leaving: [Int: Int64] = [:]
        private var failures: [String: Failure] = [:]
        private var names: GuestNames
        private var reported: NetworkReport?
        private var seed: Seed?

        /// Devices that may still be in the hands of plugins: as they were seen, since when, and when they are looked at
        /// again, by interface.
        private var arriving: [String: (plan: InterfacePlan, since: Int64, next: Int64)] = [:]
        /// Numbers of NICs that were plugged in while the machine ran.
        private var pluggedIn: Set<Int> = []
        /// When it is looked whether QEMU has connected to a switch that came back, by number.
        private var reconnecting: [Int: Int64] = [:]
        /// Changes of the node's files and of the directories of switches' sockets; nil where the kernel gives no more
        /// watches.
        private var changes: DirectoryChanges?
        private var lastLook: Int64 = 0

        init(_ follower: NetworkFollower, _ seed: Seed?) {
            (self.follower, self.seed) = (follower, seed)
            names = GuestNames(follower.machine, answered: follower.answered, pace: follower.pace.confirmation)
            do { changes = try DirectoryChanges() } catch {
                follower.log("the node's files cannot be watched, and are looked at once a second: \(error)")
            }
        }

        private var network: MachineNetwork { follower.network }
        private var pace: Pace { follower.pace }

        mutating func run() {
            announce(network.plan.interfaces)
            report()
            // The node's files were read before anybody watched them.
            noteChange()
            while true {
                let descriptors = [
                    follower.monitor.descriptor, follower.departure, follower.stop, follower.machine.ended,
                    network.tried, follower.answered,
                ]
                var entries = descriptors.map { pollfd(fd: $0.raw, events: Int16(POLLIN), revents: 0) }
                // Negative numbers are passed over (poll(2)).
                entries.append(pollfd(fd: changes?.descriptor.raw ?? -1, events: Int16(POLLIN), revents: 0))
                let timeout = due.map { max(0, min($0 - Clock.milliseconds, 60_000)) } ?? -1
                guard poll(&entries, nfds_t(entries.count), Int32(timeout)) >= 0 || errno == EINTR else { return }
                // Asked to end, or nobody is there any more to follow for.
                if entries[2].revents != 0 || entries[3].revents != 0 { return }
                if entries[1].revents != 0 { noteDepartures() }
                if entries[0].revents != 0, (try? follower.monitor.drain()) ?? true { noteChange() }
                if entries[4].revents != 0 {
                    network.tried.clearEvent()
                    noteChange()
                }
                if entries[5].revents != 0 { follower.answered.clearEvent() }
                if entries[6].revents != 0 {
                    changes?.clear()
                    noteChange()
                }
                let now = Clock.milliseconds
                confirm(now)
                guard let due, due <= now else { continue }
                look(now)
                report()
            }
        }

        private mutating func noteChange() {
            lastChange = Clock.milliseconds
            changedSince = changedSince ?? lastChange
        }

        /// When something is to be done; nil: when something happens.
        private var due: Int64? {
            var times = names.due.map { [$0] } ?? []
            if let changedSince { times.append(min(lastChange + pace.settle, changedSince + pace.patience)) }
            times += waiting.values.map { $0 + pace.readiness }
            if changes == nil { times.append(lastLook + pace.round) }
            times += arriving.values.map(\.next)
            times += reconnecting.values
            times += absent.filter { leaving[$0.key] == nil }.values.map { $0 + pace.absence }
            times += leaving.values.map { $0 + pace.release }
            times += failures.filter { arriving[$0.key] == nil }.values.map(\.next)
            // Whatever is due, the namespace is not read without a pause.
            return times.min().map { max($0, lastLook + pace.settle) }
        }

        // MARK: Looking

        private mutating func look(_ now: Int64) {
            changedSince = nil
            lastLook = now
            watch()
            do {
                let netlink = try RTNetlink()
                var request = follower.request
                let problems = follower.files.complete(&request)
                request.guest = network.plan.interfaces
                request.kept = network.numbers
                request.numberLimit = follower.machine.planned.nicPorts.value
                request.released = follower.directory.releasedInterfaces
                let assessment = NetworkAssessment(
                    links: try netlink.links(), addresses: try netlink.addresses(), routes: try netlink.routes(),
                    request: request)
                note(assessment.refusals + problems, now)
                var steps = network.plan.joined(by: try netlink.qdiscs()).steps(to: assessment.plan)
                steps += unfinished(besides: steps, assessment.plan)
                forget(assessment.plan)
                if take(steps, now) { try tell() }
                do { try network.tidy(assessment.plan) } catch { follower.log("the pod's network: \(error)") }
                watch()
                try followSwitches(now)
            } catch {
                follower.log("the pod's network cannot be followed: \(error); it is tried again")
                changedSince = now + pace.retry.first
                lastChange = now + pace.retry.first
            }
        }

        /// What is to be done although the guest has what the plan says: what failed and may be done by half, and the carrier
        /// of NICs whose link was away for a moment.
        private mutating func unfinished(besides steps: [NetworkStep], _ plan: NetworkPlan) -> [NetworkStep] {
            let links = Set(steps.compactMap(\.link))
            var unfinished: [NetworkStep] = []
            for (link, failure) in failures {
                guard let step = failure.step else { continue }
                if let again = step.again(for: plan) {
                    // Another step of the link that succeeds does not finish this one.
                    if !steps.contains(again) { unfinished.append(again) }
                } else if !links.contains(link) {
                    failures[link] = nil
                }
            }
            for nic in plan.interfaces where absent[nic.number] != nil && !links.contains(nic.link) {
                unfinished.append(.setLink(nic))
            }
            return unfinished
        }

        /// Drops what concerns links that are gone or came back.
        private mutating func forget(_ plan: NetworkPlan) {
            let present = Set(plan.interfaces.map(\.number))
            absent = absent.filter { !present.contains($0.key) }
            let indexes = Set(plan.interfaces.map(\.linkIndex))
            waiting = waiting.filter { indexes.contains($0.key) }
            let links = Set(plan.interfaces.map(\.link))
            failures = failures.filter { $0.value.step == nil || links.contains($0.key) }
            arriving = arriving.filter { links.contains($0.key) }
            reconnecting = reconnecting.filter { present.contains($0.key) }
        }

        /// Watches the node's files, where functions are asked for, and where switches make the sockets to which QEMU connects.
        private mutating func watch() {
            let files = [follower.files.devices, follower.directory.released]
            let directories = network.plan.interfaces.compactMap(\.switchDirectory) + files
            changes?.watch(Set(directories))
        }

        /// A switch that is started anew makes another socket, to which QEMU has to be let in. QEMU connects by itself; not
        /// with NICs that libvirt has plugged in while it ran, to which some versions of it do not tell how often: those
        /// are plugged anew.
        private mutating func followSwitches(_ now: Int64) throws {
            for nic in network.letInAgain() {
                follower.log("NIC \(nic.link): its switch has made its socket anew")
                if pluggedIn.contains(nic.number) { reconnecting[nic.number] = now + pace.reconnection }
            }
            for nic in network.plan.interfaces {
                if leaving[nic.number] != nil {
                    try detach(nic, now)
                } else if let time = reconnecting[nic.number], time <= now {
                    reconnecting[nic.number] = nil
                    if try follower.machine.isConnected(toSwitchOf: nic.alias) { continue }
                    follower.log("NIC \(nic.link): QEMU does not connect to its switch again; it is plugged in anew")
                    try detach(nic, now)
                }
            }
        }

        private mutating func note(_ refusals: [NetworkRefusal], _ now: Int64) {
            var refused: [String: Failure] = [:]
            for refusal in refusals {
                let name = refusal.link
                if failures[name]?.reason != "\(refusal)" {
                    follower.log("NIC \(name): \(refusal)")
                    follower.tell(name, .failed(reason: "\(refusal)"))
                }
                refused[name] = Failure(reason: "\(refusal)", step: nil, delay: 0, next: .max)
            }
            failures = failures.filter { $0.value.step != nil }.merging(refused) { _, new in new }
        }

        /// Does the steps, now or later. After one that fails, others on its link wait until it is tried again.
        ///
        /// - Returns: whether what the guest is told of its addresses may have changed.
        private mutating func take(_ steps: [NetworkStep], _ now: Int64) -> Bool {
            var hasChanged = false
            var failed: Set<String?> = []
            for step in steps where !failed.contains(step.link) {
                do {
                    if try attempt(step, now) { hasChanged = true }
                } catch {
                    fail(step, error, now)
                    failed.insert(step.link)
                    hasChanged = true
                }
            }
            return hasChanged
        }

        private mutating func attempt(_ step: NetworkStep, _ now: Int64) throws -> Bool {
            switch step {
            case .unplug(let nic):
                return try leave(nic, now)
            case .replug(let nic, _):
                try detach(nic, now)
                return false
            case .plug(let nic):
                return try arrive(nic, now)
            case .rejoin(_, let nic):
                try network.rejoin(nic)
                try follower.machine.set(carrier: nic.hasCarrier, of: nic.number)
                announce([nic])
                follower.log("NIC \(nic.link): joined to its link anew")
            case .setVLANs(let nic):
                try NetworkBinding().setVLANs(nic)
                network.note(step)
            case .setMTU(let nic):
                try NetworkBinding().setMTU(nic)
                network.note(step)
            case .setLink(let nic):
                try follower.machine.set(carrier: nic.hasCarrier, of: nic.number)
                network.note(step)
                follower.log("NIC \(nic.link): carrier \(nic.hasCarrier ? "on" : "off")")
            case .readdress(let nic):
                try network.readdress(nic)
                announce([nic])
            case .setDNS: network.note(step)
            }
            if let link = step.link { failures[link] = nil }
            return true
        }

        private mutating func fail(_ step: NetworkStep, _ error: any Error, _ now: Int64) {
            guard let link = step.link else { return follower.log("the pod's network: \(error)") }
            let delay = min((failures[link]?.delay ?? pace.retry.first / 2) * 2, pace.retry.longest)
            if failures[link]?.reason != "\(error)" {
                follower.log("NIC \(link): \(error); the guest is as it was, and it is tried again")
                follower.tell(link, .failed(reason: "\(error)"))
            }
            failures[link] = Failure(reason: "\(error)", step: step, delay: delay, next: now + delay)
        }

        // MARK: Coming and going

        private mutating func arrive(_ nic: InterfacePlan, _ now: Int64) throws -> Bool {
            if let failure = failures[nic.link], case .plug(let tried)? = failure.step, tried.isAgain(nic) {
                if now < failure.next { return false }
            } else {
                failures[nic.link] = nil
                guard isReady(nic, now) else { return false }
            }
            guard isHandedOver(nic, now) else { return false }
            waiting[nic.linkIndex] = nil
            let arrival = arriving.removeValue(forKey: nic.link)
            guard try network.isReady(nic, follower.machine.planned) else {
                arriving[nic.link] = arrival.map { ($0.plan, $0.since, .max) }
                return false
            }
            try follower.machine.plug(nic, into: network)
            pluggedIn.insert(nic.number)
            failures[nic.link] = nil
            names.want(nic.number, now)
            announce([nic])
            follower.log("NIC \(nic.link): plugged in as number \(nic.number), \(nic.mac)")
            follower.tell(nic.link, .plugged)
            return true
        }

        /// Whether a link is switched on, or was not for so long that it may be meant to be off.
        private mutating func isReady(_ nic: InterfacePlan, _ now: Int64) -> Bool {
            if nic.isUp { return true }
            let since = waiting[nic.linkIndex] ?? now
            waiting[nic.linkIndex] = since
            return now - since >= pace.readiness
        }

        /// Whether the plugins have come to their end with a device, or may have. What they make of one without a link, such
        /// as its Ethernet address, is known then; and they miss no link.
        private mutating func isHandedOver(_ nic: InterfacePlan, _ now: Int64) -> Bool {
            guard nic.linkIndex == 0 || nic.isFunction else { return true }
            let isComplete = follower.files.progress.isComplete(nic.link)
            let seen = arriving[nic.link].flatMap { nic.linkIndex == 0 || $0.plan == nic ? $0 : nil }
            let since = seen?.since ?? now
            let silence = nic.linkIndex == 0 ? pace.handover.silence : pace.quiet
            if isComplete == true || isComplete == nil && now - since >= silence { return true }
            arriving[nic.link] = (nic, since, now + pace.handover.interval)
            return false
        }

        private mutating func leave(_ nic: InterfacePlan, _ now: Int64) throws -> Bool {
            if nic.isFunction, follower.directory.releasedInterfaces.contains(nic.link) {
                try detach(nic, now)
                return false
            }
            guard let since = absent[nic.number] else {
                absent[nic.number] = now
                try follower.machine.set(carrier: false, of: nic.number)
                return false
            }
            if now - since >= pace.absence { try detach(nic, now) }
            return false
        }

        private mutating func detach(_ nic: InterfacePlan, _ now: Int64) throws {
            if let asked = leaving[nic.number], now - asked < pace.release { return }
            if leaving[nic.number] != nil {
                follower.log("NIC \(nic.link): the guest has not let go of it; it is asked again")
            }
            leaving[nic.number] = now
            if try !follower.machine.unplug(nic.number) { follower.departed.withLock { $0.append(nic.alias) } }
            if !follower.departed.withLock({ $0.isEmpty }) { follower.departure.signalEvent() }
        }

        /// The guest has let go of NICs.
        private mutating func noteDepartures() {
            follower.departure.clearEvent()
            let aliases = follower.departed.withLock { departed in
                defer { departed = [] }
                return Set(departed)
            }
            for nic in network.plan.interfaces where aliases.contains(nic.alias) {
                leaving[nic.number] = nil
                pluggedIn.remove(nic.number)
                reconnecting[nic.number] = nil
                absent[nic.number] = nil
                names.forget(nic.number)
                do { try network.release(nic) } catch {
                    follower.log("NIC \(nic.link): left the guest, but \(error)")
                }
                do { try follower.machine.forget(nic.number) } catch {
                    follower.log("NIC \(nic.link): left the guest, but \(error)")
                }
                follower.log("NIC \(nic.link): unplugged")
                follower.tell(nic.link, .unplugged)
                // Its link may be back, or may have become another NIC.
                noteChange()
            }
            do { try tell() } catch { follower.log("the guest's addresses: \(error)") }
        }

        /// Brings what the guest is told, when it asks and when it boots again, to what its NICs are now.
        private mutating func tell() throws {
            try network.answer()
            let (machine, network) = (follower.machine.planned, network)
            do { try seed?.follow(machine, network) } catch { follower.log("\(error)") }
        }

        private func announce(_ nics: [InterfacePlan]) {
            for nic in nics {
                do { try NetworkBinding().announce(nic) } catch {
                    follower.log("NIC \(nic.link): its addresses cannot be announced: \(error)")
                }
            }
        }

        // MARK: Telling

        /// Takes note of what the guest calls its NICs.
        private mutating func confirm(_ now: Int64) {
            guard let named = names.look(network.plan.interfaces, now) else { return }
            for nic in named { follower.log("NIC \(nic.link): the guest has it as \(names[nic.number] ?? "")") }
            report()
        }

        /// Writes down what there is, for `slipway net`.
        private mutating func report() {
            let machine = follower.machine.planned
            var nics = network.plan.interfaces.map { nic in
                let state: InterfaceReport.State =
                    if leaving[nic.number] != nil {
                        .unplugging
                    } else if let failure = failures[nic.link] {
                        .failed(reason: failure.reason)
                    } else {
                        absent[nic.number] == nil && nic.hasCarrier ? .up : .down
                    }
                return InterfaceReport(
                    nic, state: state, guestAddress: machine.nic(nic.number)?.pciAddress,
                    guestName: names[nic.number])
            }
            for (link, failure) in failures.sorted(by: { $0.key < $1.key })
            where !nics.contains(where: { $0.link == link }) {
                nics.append(InterfaceReport(link: link, state: .failed(reason: failure.reason)))
            }
            let report = NetworkReport(interfaces: nics)
            guard report != reported else { return }
            reported = report
            do { try report.write(to: follower.directory.network) } catch {
                follower.log("cannot write \(follower.directory.network): \(error)")
            }
        }
    }
}

import Cgroup
import FoundationEssentials
import Glibc
import Libvirt
import LinuxSystem
import MachinePlanning
import Sandbox
import StateDirectory
import Synchronization

/// A machine that libvirt started. QEMU is a child of this process (a child subreaper, prctl(2)), so that its end is
/// known at once and with its status, without libvirt's polling.
final class LibvirtMachine: Machine {
    let process: LinuxSystem.Process
    let serial: FileDescriptor
    let domain: Domain
    let cgroup: Cgroup
    let log: MachineLog

    private struct State {
        var killed = false
        var shutdown = false
        var crashed = false
        var stopped = false
        var exit: MachineExit?
        var metrics: CgroupMetrics?
        var waiters: [CheckedContinuation<MachineExit, Never>] = []
        var isForgotten = false
        var forgetters: [CheckedContinuation<Void, Never>] = []
    }

    /// Where it runs and how large it is, at this moment.
    private let plan: Mutex<MachinePlan>
    let resize: MachineResize
    private let directory: StateDirectory
    private let state = Mutex(State())
    private let stopped: FileDescriptor
    private let subscription: Mutex<Subscription?> = Mutex(nil)

    init(
        process: LinuxSystem.Process, serial: FileDescriptor, domain: Domain, cgroup: Cgroup, log: MachineLog,
        plan: MachinePlan, directory: StateDirectory, root: String, overhead: UInt64
    ) throws {
        self.plan = Mutex(plan)
        resize = MachineResize(
            domain: domain, process: process.pid, cgroup: cgroup, owner: directory, root: root, overhead: overhead)
        resize.pinVhostWorkers(plan)
        self.directory = directory
        self.process = process
        self.serial = serial
        self.domain = domain
        self.cgroup = cgroup
        self.log = log
        stopped = try FileDescriptor.event()
        let subscription = try domain.onLifecycle { [weak self] event in self?.observe(event) }
        self.subscription.withLock { $0 = subscription }
        try LinuxSystem.Thread.start("qemu-wait") { [self] in waitForEnd() }
    }

    var pid: Int32 { process.pid }

    /// The plan as it is at this moment.
    var planned: MachinePlan { plan.withLock { $0 } }

    /// Brings the machine from its plan to another one, and writes that down. Changes come one after another.
    func change(_ body: (MachinePlan) throws -> MachinePlan) throws {
        try plan.withLock { plan in
            let next = try body(plan)
            guard next != plan else { return }
            plan = next
            try directory.write(next)
        }
    }

    // On libvirt's event thread.
    private func observe(_ event: LifecycleEvent) {
        state.withLock { state in
            switch event {
            case .shutdown(let byGuest): state.shutdown = byGuest
            case .crashed: state.crashed = true
            case .stopped: state.stopped = true
            default: break
            }
        }
        if case .stopped = event { stopped.signalEvent() }
    }

    private func waitForEnd() {
        // What makes QEMU complain may go on doing so.
        var pause: Int32 = 5000
        while (try? process.waitForEnd(milliseconds: pause)) == false {
            pause = (try? log.bound()) == true ? 500 : 5000
        }
        let status = (try? process.wait()) ?? .signaled(SIGKILL)
        let metrics = try? cgroup.metrics()
        let wasKilled = state.withLock { state in
            state.metrics = metrics
            return state.killed
        }
        // Why it ended is in libvirt's events, which come through another thread. After our own SIGKILL nothing that
        // they could say matters.
        if !wasKilled { _ = try? stopped.wait(for: Int16(POLLIN), milliseconds: 3000) }
        let oomKills = (try? cgroup.oomKillCount()) ?? 0
        let exit =
            wasKilled
            ? MachineExit(status: 137, reason: "killed")
            : state.withLock { Self.exit(status, $0, oomKills: oomKills, log) }
        let waiters = state.withLock { state in
            state.exit = exit
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: exit) }
        if wasKilled { _ = try? stopped.wait(for: Int16(POLLIN), milliseconds: 3000) }
        subscription.withLock { $0 = nil }
        let forgetters = state.withLock { state in
            state.isForgotten = true
            defer { state.forgetters = [] }
            return state.forgetters
        }
        for waiter in forgetters { waiter.resume() }
    }

    /// Suspends until libvirt has forgotten the domain too, which it notices a moment after QEMU's end; 3 s at most.
    func forgotten() async {
        await withCheckedContinuation { continuation in
            let isForgotten = state.withLock { state in
                if !state.isForgotten { state.forgetters.append(continuation) }
                return state.isForgotten
            }
            if isForgotten { continuation.resume() }
        }
    }

    private static func exit(
        _ status: LinuxSystem.Process.Status, _ state: State, oomKills: UInt64, _ log: MachineLog
    ) -> MachineExit {
        if state.crashed { return MachineExit(status: 70, reason: "the guest's kernel panicked") }
        if state.shutdown { return MachineExit(status: 0, reason: "the guest powered off") }
        if status == .signaled(SIGKILL) && oomKills > 0 {
            return MachineExit(status: 137, outOfMemory: true, reason: "QEMU was killed by the kernel: out of memory")
        }
        return MachineExit(
            status: 71, reason: "QEMU ended by itself (\(status)): \(log.reason ?? "nothing in its log")")
    }

    func ended() async -> MachineExit {
        await withCheckedContinuation { continuation in
            let exit = state.withLock { state in
                if state.exit == nil { state.waiters.append(continuation) }
                return state.exit
            }
            if let exit { continuation.resume(returning: exit) }
        }
    }

    func kill() {
        state.withLock { $0.killed = true }
        try? process.signal(SIGKILL)
    }

    func metrics() throws -> CgroupMetrics {
        if let metrics = state.withLock({ $0.metrics }) { return metrics }
        return try cgroup.metrics()
    }

    // libvirt's calls block, on the guest's agent for seconds; each has a thread of its own.

    func resume() async throws {
        try await LinuxSystem.Thread.run("resume") { [domain] in try domain.resume() }
    }

    func pause() async throws {
        try await LinuxSystem.Thread.run("pause") { [domain] in try domain.suspend() }
    }

    func requestShutdown(attempt: Int) async throws {
        try await LinuxSystem.Thread.run("shutdown") { [domain] in
            // A guest that has an agent but no handler for the button is asked through the agent from time to time.
            if attempt % 4 == 3 {
                _ = try? domain.agentCommand(
                    #"{"execute":"guest-shutdown","arguments":{"mode":"powerdown"}}"#, seconds: 1)
            }
            try domain.pressPowerButton()
        }
    }

    func update(_ resources: CgroupResources) async throws {
        try await LinuxSystem.Thread.run("update") { [self] in
            // One after another: the lock is held for as long as libvirt and the guest take.
            try plan.withLock { $0 = try resize.apply(resources, to: $0) }
        }
    }

    func execute(_ command: GuestCommand) async throws -> GuestCommand.Result {
        let agent = GuestAgent(domain)
        let pid = try await LinuxSystem.Thread.run("guest-exec") { try agent.start(command) }
        var pause = Duration.milliseconds(5)
        while true {
            let result = try await LinuxSystem.Thread.run("guest-exec") { try agent.result(of: pid) }
            if let result { return result }
            do {
                try await Task.sleep(for: pause)
            } catch {
                // Whoever asked has given up: the command in the guest is ended too.
                _ = try? await LinuxSystem.Thread.run("guest-exec") {
                    try agent.start(GuestCommand(["/bin/kill", "-9", "\(pid)"]))
                }
                throw error
            }
            pause = min(pause * 2, .milliseconds(200))
        }
    }
}

import Accelerator
import CNI
import Cgroup
import Configuration
import ContainerIO
import DiskImage
import DomainXML
import FoundationEssentials
import Glibc
import GuestConfiguration
import HostTopology
import InterruptAffinity
import Libvirt
import LinuxSystem
import MachinePlanning
import Netlink
public import OCIRuntimeSpec
import PodNetwork
public import Sandbox
public import StateDirectory
import SwitchSocket

/// Makes machines on this node: the one place where a plan's effects are.
///
/// The process lives in the pod's network namespace and in a mount namespace of its own. Everything runs on one thread,
/// from which libvirt forks QEMU; that thread visits the container's cgroup for the time of the fork.
public actor LibvirtMachineHost: MachineHost {
    /// QEMU's executable.
    public static let emulator = "/usr/bin/\(emulatorName)"
    /// The name of its process.
    static let emulatorName = "qemu-system-x86_64"

    private let executor: ThreadExecutor
    private let directory: StateDirectory
    private let root: String
    private let events: any EventSink
    private let log: @Sendable (String) -> Void

    private var record: SandboxRecord
    private var configuration = Configuration()
    private var driver: Task<EmbeddedDriver, any Error>?
    private var hierarchy: CgroupHierarchy?
    private var home: CgroupMembership?
    private var sandboxGroup: Cgroup?
    private var machines: [String: MachineTraces] = [:]
    /// What the pod's NICs have been numbered, by their links' names: its next machine has the same.
    private var nicNumbers: [String: Int] = [:]
    private var closed = false

    /// The thread that everything runs on.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// A host for one sandbox.
    ///
    /// - Parameters:
    ///   - record: as the front wrote it.
    ///   - root: the directory of all sandboxes.
    ///   - events: is told what becomes of NICs while a machine runs.
    public init(
        _ directory: StateDirectory, record: SandboxRecord, root: String = StateDirectory.defaultRoot,
        events: any EventSink, log: @escaping @Sendable (String) -> Void
    ) throws {
        executor = try ThreadExecutor("machine-host")
        self.directory = directory
        self.record = record
        self.root = root
        self.events = events
        self.log = log
    }

    // MARK: The sandbox

    /// Joins the sandbox's cgroup, and begins to open libvirt's driver.
    public func prepare(_ request: CreateRequest, spec: Spec) async throws {
        configuration = try Configuration.load(request.configPath)
        let annotations = try CRIAnnotations(spec.annotations ?? [:])
        if annotations.type == .sandbox {
            guard spec.linux?.namespaces?.contains(where: { $0.type == .network }) == true else {
                throw SandboxError(
                    .invalidArgument,
                    "hostNetwork: a machine cannot live in the node's network; leave hostNetwork out of the pod's spec")
            }
        }
        record.podName = annotations.podName ?? ""
        record.podNamespace = annotations.podNamespace ?? ""
        record.podUID = annotations.podUID ?? ""
        let hierarchy = try CgroupHierarchy.discover()
        self.hierarchy = hierarchy
        home = try CgroupMembership(thread: Thread.id, in: hierarchy)
        if annotations.type == .sandbox, let path = spec.linux?.cgroupsPath, !path.isEmpty {
            let group = hierarchy.group(at: try CgroupPath(path))
            record.cgroups.append(path)
            try record.write(to: directory)
            // Without the pause container's own limits, which are made for a process that does nothing.
            sandboxGroup = group
            try group.create()
            try group.enter(process: 0)
        } else {
            try record.write(to: directory)
        }
        openDriver()
    }

    private func openDriver() {
        guard driver == nil else { return }
        let (directory, cache) = (directory, configuration.cache)
        driver = Task {
            try await Thread.run("libvirt-open") {
                try EmbeddedDriver(directory, cache: cache, emulator: Self.emulator)
            }
        }
    }

    // MARK: Create

    /// Plans, checks and starts a machine, paused.
    public func create(
        _ request: CreateRequest, spec: Spec, annotations: CRIAnnotations
    ) async throws -> any Machine {
        var timeline = Timeline()
        for previous in machines.keys { await remove(container: previous) }
        configuration = try Configuration.load(request.configPath)
        openDriver()
        let namespace = annotations.podNamespace ?? ""
        let machineAnnotations = try MachineAnnotations(spec.annotations ?? [:]) { [configuration] name in
            configuration.allows(annotation: name, in: namespace)
        }
        var networkRequest = try NetworkRequest(
            annotations: spec.annotations ?? [:], namespace: namespace, environment: spec.process?.env ?? [],
            identity: annotations.podUID ?? record.id)
        let files = NodeNetworkFiles(
            progress: AttachmentProgress(
                attachments: Attachments(directory: directory.attachments), sandbox: record.id))
        for problem in files.complete(&networkRequest) { log("\(problem)") }
        let volumes = try Volumes(spec, sockets: networkRequest.sockets)
        networkRequest.resolvConf = volumes.resolvConf.flatMap { try? File.text($0, limit: 1 << 16) } ?? ""
        networkRequest.grantedPaths = Set(
            (spec.linux?.devices ?? []).map(\.path) + volumes.socketDirectories)
        networkRequest.kept = nicNumbers
        networkRequest.released = directory.releasedInterfaces
        let resources = try PodResources(
            spec, hugePageVolumes: volumes.hugePages, podCgroup: try containerCgroup(spec).parent)
        networkRequest.grantedFunctions = Set(resources.devices)
        let accelerator = try AcceleratorChoice.decide(
            configuration.accelerator, root: root, emulator: Self.emulator)
        timeline.stamp("accelerator")

        var undo = Undo()
        do {
            let user = try UserClaim.take(from: configuration.users, for: directory, root: root)
            let group = accelerator.value == .kvm ? DeviceAccess().group(for: user.id) : user.id
            var traces = MachineTraces(user: user)
            record.machine = SandboxRecord.Machine(
                container: request.id, containerName: annotations.containerName ?? "", user: user.id)
            if let path = spec.linux?.cgroupsPath, !path.isEmpty, !record.cgroups.contains(path) {
                record.cgroups.append(path)
            }
            try record.write(to: directory)
            undo.add { [directory] in user.release(owner: directory) }

            let rootfs = try Rootfs(request.rootfs, at: directory.rootfs)
            undo.add { rootfs.unmount() }
            traces.rootfs = rootfs
            timeline.stamp("rootfs")

            let tree = try FileDescriptor.openDirectory(rootfs.path)
            let image = try BootMedium(tree, annotations: machineAnnotations)
            timeline.stamp("image")

            // Before the namespace is read, so that nothing is missed.
            let monitor = try NetworkMonitor.ofPod()
            let network = try MachineNetwork(
                networkRequest, namespace: record.networkNamespace, hostName: annotations.podName ?? request.id,
                directory: directory, log: log)
            undo.add { try? network.remove() }
            nicNumbers = network.numbers
            try network.takeFunctions()
            timeline.stamp("network planned")

            let machineRequest = MachineRequest(
                identity: identity(request, annotations),
                cpuQuota: spec.linux?.resources?.cpu?.quota, cpuPeriod: spec.linux?.resources?.cpu?.period,
                cpuShares: spec.linux?.resources?.cpu?.shares, cpus: resources.cpus, mems: resources.mems,
                memoryLimit: spec.linux?.resources?.memory?.limit.flatMap { $0 > 0 ? UInt64($0) : nil },
                hugePages: resources.hugePages, devices: resources.devices,
                profile: configuration.profile == .standard ? .standard : .highPerformance,
                boot: image.request, links: network.links,
                hasVhostNet: File.exists("/dev/vhost-net"), hasTopologyExtensions: Self.hasTopologyExtensions,
                annotations: machineAnnotations, accelerator: accelerator,
                defaultVCPUs: configuration.defaultVCPUs,
                defaultMemory: configuration.defaultMemory, user: user.id, group: group)
            let claims = ClaimedPlan(owner: directory, root: root)
            undo.add { [log] in claims.undo(log: log) }
            let plan = try await Thread.run("plan") { try claims.take(machineRequest) }
            traces.claims = claims
            try directory.write(plan)
            let media = try image.open(plan, in: tree)
            if image.isReadableByAll { try rootfs.makeReadOnly() }
            timeline.stamp("planned")

            let cgroup = try makeCgroup(spec, plan, &undo)
            traces.cgroup = cgroup
            if plan.placement.locked.value { try Privileges().check(plan, cgroup: cgroup) }
            undo.add { try? NetworkBinding().unbindAll() }
            try network.apply(plan)
            traces.network = network
            timeline.stamp("network applied")

            let seed = try plan.cloudInit.seed.map { kind in
                try Seed(
                    writing: kind, to: directory.seed, plan: plan, network: network, spec: spec,
                    overrides: volumes.seed)
            }
            timeline.stamp("seed")
            guard let driver else { throw SandboxError(.internalError, "libvirt's driver was not opened") }
            let connection: Connection
            do {
                connection = try await driver.value.connection
            } catch {
                self.driver = nil
                throw error
            }
            guard !closed else { throw SandboxError(.unavailable, "the sandbox is shutting down") }
            timeline.stamp("libvirt opened")

            let paths = media.paths(directory)
            let xml = plan.domainXML(paths)
            try File.replace(directory.domain, with: Array(xml.utf8))
            let domain = try connection.define(xml, descriptors: media.files)
            // Once it has been tried to start, the definition is not needed: the domain ends with its QEMU.
            defer { try? domain.undefine() }
            undo.add { _ = try? Orphans.adopting(LibvirtMachineHost.emulatorName) { try domain.destroy() } }
            try visit(cgroup) { try Orphans.adopting(LibvirtMachineHost.emulatorName) { try domain.startPaused() } }
            network.closeDirectories()
            timeline.stamp("QEMU started")

            let process = try qemu(plan)
            // Lowering needs CAP_SYS_RESOURCE; without it the score stays what this process has.
            try? File.put("\(spec.process?.oomScoreAdj ?? 0)", into: "/proc/\(process.pid)/oom_score_adj")
            let processIdentity = try SandboxRecord.ProcessIdentity(pid: process.pid)
            record.machine?.process = processIdentity
            try record.write(to: directory)
            // QEMU has taken its pages before it answered libvirt.
            try claims.hold(plan, by: processIdentity, log: log)
            let machine = try LibvirtMachine(
                process: process, serial: try UnixSocket.connect(directory.serial), domain: domain, cgroup: cgroup,
                log: MachineLog("\(directory.libvirt)/log/qemu/\(plan.name).log"), plan: plan, directory: directory,
                root: root, overhead: configuration.overhead)
            traces.machine = machine
            traces.follower = try NetworkFollower(
                machine, network, networkRequest, files: files, monitor: monitor, seed: seed, directory: directory,
                log: log
            ) { [events] link, change in events.publish(.nic(id: request.id, link: link, change)) }
            machines[request.id] = traces
            timeline.stamp("machine ready")
            // The plan, the capabilities and the domain's XML have passed through the heap; what comes is quiet.
            Task { Memory.trim() }
            log("created \(plan.name): \(timeline.text)")
            return machine
        } catch {
            undo.run()
            record.machine = nil
            try? record.write(to: directory)
            log("create \(request.id) failed: \(error); \(timeline.text)")
            throw error
        }
    }

    private static let hasTopologyExtensions: Bool = {
        let lines = ((try? File.text("/proc/cpuinfo", limit: 1 << 24)) ?? "").split(separator: "\n")
        return lines.first { $0.hasPrefix("flags") }?.split(separator: " ").contains("topoext") == true
    }()

    private func identity(_ request: CreateRequest, _ annotations: CRIAnnotations) -> MachineIdentity {
        MachineIdentity(
            container: request.id, sandbox: record.id, podName: annotations.podName ?? request.id,
            podNamespace: annotations.podNamespace ?? record.namespace, podUID: annotations.podUID ?? "",
            containerName: annotations.containerName ?? request.id)
    }

    private func containerCgroup(_ spec: Spec) throws -> Cgroup {
        guard let hierarchy else { throw SandboxError(.internalError, "the sandbox was not prepared") }
        guard let path = spec.linux?.cgroupsPath, !path.isEmpty else {
            throw SandboxError(.invalidArgument, "config.json: linux.cgroupsPath: is missing")
        }
        return hierarchy.group(at: try CgroupPath(path))
    }

    private func makeCgroup(_ spec: Spec, _ plan: MachinePlan, _ undo: inout Undo) throws -> Cgroup {
        let group = try containerCgroup(spec)
        try group.create()
        undo.add { try? group.remove() }
        var limits = spec.linux?.resources.map(CgroupResources.init) ?? CgroupResources()
        if !plan.placement.realtime.value.isEmpty {
            limits.cpuQuota = -1
            if try group.parent?.liftCPUQuota() == true { log("the pod's CPU quota is lifted: realtime") }
        }
        // With RAM on huge pages limits.memory is QEMU's alone.
        if case .huge = plan.placement.pages.value {
            try group.apply(limits)
            return group
        }
        // limits.memory is the guest's RAM. What QEMU needs beyond it is the RuntimeClass's overhead, which the kubelet
        // adds to the pod's cgroup but not to the container's.
        let overhead = Int64(clamping: configuration.overhead)
        func withOverhead(_ limit: Int64) -> Int64 {
            let (sum, overflow) = limit.addingReportingOverflow(overhead)
            return limit > 0 ? (overflow ? -1 : sum) : limit
        }
        limits.memoryLimit = limits.memoryLimit.map(withOverhead)
        limits.memorySwapLimit = limits.memorySwapLimit.map(withOverhead)
        try group.apply(limits)
        return group
    }

    /// Runs a function with this thread (cgroup v2: this process) inside a cgroup, so that what it forks is born there.
    private func visit(_ group: Cgroup, _ body: () throws -> Void) throws {
        guard let hierarchy else { throw SandboxError(.internalError, "the sandbox was not prepared") }
        switch hierarchy {
        case .v1:
            let before = try CgroupMembership(thread: Thread.id, in: hierarchy)
            let result = Result {
                try group.enter(thread: 0)
                try body()
            }
            // The whole process: libvirt has started threads of its own meanwhile, which were born in the cgroup too.
            try before.enter(process: 0)
            try result.get()
        case .v2:
            try group.enter(process: 0)
            let result = Result { try body() }
            if let sandboxGroup {
                try sandboxGroup.enter(process: 0)
            } else {
                try home?.enter(process: 0)
            }
            try result.get()
        }
    }

    private func qemu(_ plan: MachinePlan) throws -> LinuxSystem.Process {
        let path = "\(directory.libvirt)/run/qemu/\(plan.name).pid"
        let text = try File.text(path, limit: 64).split(separator: "\n").first.map(String.init) ?? ""
        guard let pid = Int32(text) else {
            throw SandboxError(.internalError, "\(path): holds \"\(text)\", which is no process id")
        }
        return try LinuxSystem.Process(pid: pid)
    }

    // MARK: Remove

    /// Removes what is left of a container whose machine has ended.
    public func remove(container: String) async {
        guard let traces = machines.removeValue(forKey: container) else { return }
        // The next machine of the pod has the same UUID, which libvirt takes once only.
        await traces.machine?.forgotten()
        traces.follower?.end()
        attempt("release the network") { try traces.network?.remove() }
        nicNumbers = traces.network?.numbers ?? nicNumbers
        attempt("empty the cgroup") { try traces.cgroup?.kill() }
        attempt("remove the cgroup") { try traces.cgroup?.remove() }
        if let cgroup = traces.cgroup {
            record.cgroups.removeAll { path in (try? CgroupPath(path)) == cgroup.path }
        }
        traces.rootfs?.unmount()
        attempt("give back CPUs and pages") { try traces.claims?.giveBack(log: log) }
        traces.user.release(owner: directory)
        for path in [directory.seed, directory.plan, directory.domain, directory.serial, directory.network] {
            attempt("remove") { try File.remove(path) }
        }
        record.machine = nil
        attempt("write the record") { try record.write(to: directory) }
    }

    /// Leaves the sandbox's cgroup, removes it and the state directory, which stays for `delete` where networks are
    /// attached by hand, or switches' sockets still let QEMU's user in.
    public func close() async {
        closed = true
        for container in machines.keys { await remove(container: container) }
        attempt("leave the sandbox's cgroup") { try home?.enter(process: 0) }
        attempt("empty the sandbox's cgroup") { try sandboxGroup?.kill(milliseconds: 1000) }
        attempt("remove the sandbox's cgroup") { try sandboxGroup?.remove() }
        // An opening that is still under way would make it anew.
        await driver?.ended(within: .seconds(5))
        // Plugins have to run in the node's namespaces, where this process is not. containerd's call of `delete`, which
        // follows every end of a sandbox, detaches what was attached by hand, and removes the directory.
        guard Attachments(directory: directory.attachments).interfaces.isEmpty, GrantedSockets(directory).isEmpty else {
            return
        }
        // Open connections hold libvirt's files; this process is about to end.
        attempt("remove the state directory") { try File.removeTree(directory.path) }
    }

    /// The one table of what this module stands on; see ``MachineHost``.
    public nonisolated func classify(_ error: any Error) -> SandboxError { SandboxError(ofMachine: error) }

    private func attempt(_ what: String, _ body: () throws -> Void) {
        do { try body() } catch { log("cannot \(what): \(error)") }
    }
}

/// What a machine leaves on the node until its container is deleted.
struct MachineTraces {
    let user: UserClaim
    var rootfs: Rootfs?
    var cgroup: Cgroup?
    var network: MachineNetwork?
    var machine: LibvirtMachine?
    var follower: NetworkFollower?
    var claims: ClaimedPlan?
}

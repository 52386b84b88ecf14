import CRIProtocol
import FoundationEssentials
import LinuxSystem
import SwiftProtobuf
import Testing

/// A pod with one machine in the lab, played through CRI as a kubelet does it.
///
/// Unless said, the guest is a boot sector that says that it runs and halts: the CPU under it is an emulated one.
struct LabPod: Sendable {
    /// Who makes the pod's cgroup on a node, and how its path is told to the container runtime.
    enum Driver: Sendable { case systemd, cgroupfs }

    let runtime: CRIClient
    let config: CRIPodSandboxConfig
    /// The pod's own cgroup below the hierarchy.
    let cgroup: String
    /// The sandbox's id.
    let id: String
    /// The container's id.
    var container = ""

    /// Makes the pod's cgroup, as a kubelet does, and the sandbox in it.
    init(
        _ runtime: CRIClient, _ name: String, _ driver: Driver, annotations: [String: String] = [:],
        handler: String = "slipway"
    ) async throws {
        self.runtime = runtime
        let uid = UUID().uuidString.lowercased()
        switch driver {
        case .systemd:
            let unit = "kubepods-burstable-pod\(uid.split(separator: "-").joined(separator: "_")).slice"
            cgroup = "/kubepods.slice/kubepods-burstable.slice/\(unit)"
            try Lab.run("lab slice \(unit)")
        case .cgroupfs:
            cgroup = "/kubepods/burstable/pod\(uid)"
            try Lab.run("mkdir -p /sys/fs/cgroup\(cgroup)")
        }
        let logs = "/var/log/pods/default_\(name)_\(uid)"
        try Lab.run("mkdir -p \(logs)")
        let parent = cgroup
        config = CRIPodSandboxConfig.with {
            $0.metadata = .with {
                $0.name = name
                $0.namespace = "default"
                $0.uid = uid
            }
            $0.hostname = name
            $0.annotations = annotations
            $0.logDirectory = logs
            $0.linux = .with { $0.cgroupParent = parent }
        }
        do {
            id = try await runtime.runPodSandbox(config, handler: handler)
        } catch {
            Self.removeOwn(cgroup, logs)
            throw error
        }
    }

    /// Creates and starts the machine.
    mutating func start(
        image: String = "boot-sector", memory: Int64 = 96 << 20, cpus: Int64 = 1, devices: [CRIDevice] = [],
        environment: [String: String] = [:], attempt: UInt32 = 0,
        _ more: (inout CRILinuxContainerResources) -> Void = { _ in }
    ) async throws {
        var resources = CRILinuxContainerResources.with {
            $0.memoryLimitInBytes = memory
            $0.cpuPeriod = 100_000
            $0.cpuQuota = cpus * 100_000
        }
        more(&resources)
        let config = CRIContainerConfig.with {
            $0.metadata = .with {
                $0.name = "machine"
                $0.attempt = attempt
            }
            $0.image = .with { $0.image = "slipway.local/\(image):latest" }
            $0.devices = devices
            $0.envs = environment.map { name, value in
                .with {
                    $0.key = name
                    $0.value = value
                }
            }
            $0.logPath = "machine.log"
            $0.linux = .with { $0.resources = resources }
        }
        container = try await runtime.createContainer(config, in: id, sandboxConfig: self.config)
        try await runtime.startContainer(container)
    }

    /// QEMU's pid in the lab.
    var qemu: Int32 {
        get throws { try #require(Int32(try Lab.run("lab qemu \(container)").filter { !$0.isWhitespace })) }
    }

    /// The pod's network namespace, by its name for `ip -n`; for tests with one pod.
    var network: String {
        get throws {
            let names = try Lab.run("ls /run/netns").split(separator: "\n").filter { $0.hasPrefix("cni-") }
            try #require(names.count == 1, "\(names)")
            return String(names[0])
        }
    }

    /// Waits until the machine's console has said something. In the lab: every question from here would cost the guest some
    /// of its time.
    func expectOnConsole(_ text: String, seconds: Int32 = 300) throws {
        try Lab.run(
            "timeout \(seconds) sh -c 'until grep -q \"\(text)\" \(console); do sleep 1; done'", seconds: seconds + 60)
    }

    /// Runs a script in a guest with an agent; what it printed. One that fails throws.
    @discardableResult
    func guest(_ script: String) async throws -> String {
        let reply = try await runtime.execSync(["/bin/sh", "-c", script], in: container, timeout: 60)
        let output = String(decoding: reply.stdout + reply.stderr, as: UTF8.self)
        try #require(reply.exitCode == 0, "\(script): \(reply.exitCode): \(output)")
        return output
    }

    /// The end of the sandbox's own log, which says how it came to where it is.
    var log: String { (try? Lab.run("tail -n 20 /run/slipway/\(id.prefix(8))-*/sandbox.log")) ?? "no log" }

    /// The file of the machine's console, as CRI writes logs: time, stream and `F` before each line.
    var console: String { "\(config.logDirectory)/machine.log" }

    /// Stops and removes everything of it, the kubelet's part included.
    func remove() async throws {
        try await runtime.stopPodSandbox(id)
        try await runtime.removePodSandbox(id)
        Self.removeOwn(cgroup, config.logDirectory)
    }

    /// The kubelet's part: cgroups that are not empty are not removed, and show up as remains.
    private static func removeOwn(_ cgroup: String, _ logs: String) {
        let unit = cgroup.split(separator: "/").last.map(String.init) ?? ""
        let parents = "kubepods-burstable.slice kubepods.slice"
        let others = "ls -d /sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/*-pod*.slice"
        _ = try? Lab.run(
            unit.hasSuffix(".slice")
                ? "systemctl stop \(unit); \(others) >/dev/null 2>&1 || systemctl stop \(parents)"
                : "cd /sys/fs/cgroup; rmdir -p .\(cgroup)")
        _ = try? Lab.run("rm -rf \(logs)")
    }
}

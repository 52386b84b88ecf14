internal import Cgroup
internal import Configuration
internal import Glibc
internal import Libvirt
internal import LibvirtMachine
internal import LinuxSystem
internal import MachinePlanning
internal import StateDirectory

/// What machines need of a node, looked at one by one. Nothing is changed but the accelerator's stored verdict.
enum NodeInspection {
    static func findings(_ configurationPath: String?) -> [NodeFinding] {
        let configuration: Configuration
        var findings: [NodeFinding] = []
        do {
            configuration = try Configuration.load(configurationPath)
            let path = configurationPath ?? Configuration.defaultPath
            findings.append(.ok("configuration", File.exists(path) ? path : "\(path) is absent; defaults"))
        } catch {
            configuration = Configuration()
            findings.append(.problem("configuration", "\(error)", "correct the file"))
        }
        findings += [qemu(), libvirt(), libvirtDriver(), accelerator(configuration)]
        findings +=
            programs() + networkPolicies() + accounts() + [cgroups(), tun()] + PlacementInspection.findings()
            + leftovers()
        return findings
    }

    private static func qemu() -> NodeFinding {
        let path = LibvirtMachineHost.emulator
        guard let (status, output) = try? Spawn(path, ["--version"]).run(), status == .exited(0) else {
            return .problem("QEMU", "\(path) does not run", "apt-get install qemu-system-x86")
        }
        return .ok("QEMU", String(output.firstLine))
    }

    private static func libvirt() -> NodeFinding {
        do {
            try Library.load()
            return .ok("libvirt", try "version \(Library.version())")
        } catch {
            return .problem("libvirt", "\(error)", "apt-get install libvirt0")
        }
    }

    private static func libvirtDriver() -> NodeFinding {
        let path = "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so"
        return File.exists(path)
            ? .ok("libvirt's QEMU driver", path)
            : .problem("libvirt's QEMU driver", "\(path) is absent", "apt-get install libvirt-daemon-driver-qemu")
    }

    private static func accelerator(_ configuration: Configuration) -> NodeFinding {
        do {
            let decision = try AcceleratorChoice.decide(configuration.accelerator)
            if decision.value == .kvm { return .ok("accelerator", "kvm: \(decision.reason)") }
            if configuration.accelerator == .tcg { return .ok("accelerator", "tcg: \(decision.reason)") }
            return .warning(
                "accelerator", "tcg: \(decision.reason)",
                "machines run, but slowly; hardware virtualisation and the kvm module would help")
        } catch {
            return .problem("accelerator", "\(error)", "set accelerator to auto or tcg, or make KVM work")
        }
    }

    private static func programs() -> [NodeFinding] {
        [("genisoimage", "/usr/bin/genisoimage", "genisoimage"), ("dnsmasq", "/usr/sbin/dnsmasq", "dnsmasq-base")].map {
            name, path, package in
            File.exists(path)
                ? .ok(name, path) : .problem(name, "\(path) is absent", "apt-get install \(package)")
        }
    }

    /// What masquerade needs, and who writes rules that guests on TAPs do not pass.
    private static func networkPolicies() -> [NodeFinding] {
        let nft = "/usr/sbin/nft"
        // The kernel cuts names of processes at 15 bytes: multi-networkpolicy-iptables, -nftables, -tc.
        let processes = ((try? File.list("/proc")) ?? []).filter { Int32($0) != nil }.map { pid in
            (pid: pid, name: String(((try? File.text("/proc/\(pid)/comm", limit: 64)) ?? "").dropLast()))
        }
        let isEnforced = processes.contains { $0.name == "multi-networkpo" }
        // Open vSwitch without DPDK has the kernel switch, and no port that a machine could have.
        let vhostSwitch = processes.first { pid, name in
            name == "vpp_main"
                || name.hasPrefix("ovs-vswitchd")
                    && (try? File.text("/proc/\(pid)/maps", limit: 1 << 24))?.contains("/librte_vhost") == true
        }
        return [
            File.exists(nft)
                ? .ok("nft", nft)
                : .warning("nft", "\(nft) is absent", "apt-get install nftables, if pods shall have masquerade"),
            isEnforced
                ? .warning(
                    "network policies", "multi-networkpolicy writes rules into pods' network namespaces",
                    "frames of machines are redirected before such rules see them, except with masquerade; enforce "
                        + "what holds for machines on the host's side of links or on the switch")
                : .ok(
                    "network policies",
                    "nobody is seen to write rules into pods' network namespaces, which machines would not pass"),
            vhostSwitch.map { pid, name in
                .warning(
                    "vhost-user", "\(name) (process \(pid)) switches frames in user space",
                    "nobody but the switch looks what a machine sends by vhost-user: have it drop what does not come from "
                        + "the port's Ethernet and IP addresses, by flows or access lists")
            }
                ?? .ok("vhost-user", "no switch in user space is seen, which would have to filter what machines send"),
        ]
    }

    private static func accounts() -> [NodeFinding] {
        let missing = [
            getpwnam("libvirt-qemu") == nil ? "user libvirt-qemu" : nil,
            getgrnam("libvirt-qemu") == nil ? "group libvirt-qemu" : nil, getgrnam("kvm") == nil ? "group kvm" : nil,
        ].compactMap { $0 }
        return [
            missing.isEmpty
                ? .ok("accounts", "libvirt-qemu, kvm")
                : .problem("accounts", "no \(missing.joined(separator: ", no "))", "run Slipway's install.sh")
        ]
    }

    private static func cgroups() -> NodeFinding {
        do {
            switch try CgroupHierarchy.discover() {
            case .v2(let root): return .ok("cgroups", "version 2 at \(root)")
            case .v1(let mounts):
                let controllers = mounts.flatMap(\.controllers)
                let missing = ["cpu", "memory", "pids", "hugetlb"].filter { !controllers.contains($0) }
                return missing.isEmpty
                    ? .ok("cgroups", "version 1")
                    : .warning(
                        "cgroups", "version 1 without \(missing.joined(separator: ", "))",
                        "limits of these kinds are not enforced; mount the controllers")
            }
        } catch {
            return .problem("cgroups", "\(error)", "mount cgroup2 at /sys/fs/cgroup")
        }
    }

    private static func tun() -> NodeFinding {
        File.exists("/dev/net/tun")
            ? .ok("TAP devices", "/dev/net/tun")
            : .problem("TAP devices", "/dev/net/tun is absent", "modprobe tun")
    }

    /// Sandboxes whose process is gone: containerd's `delete` removes them, unless it never came.
    private static func leftovers() -> [NodeFinding] {
        let all = StateDirectory.all()
        let dead = all.filter { (try? SandboxRecord(readingFrom: $0))?.process?.process == nil }
        if dead.isEmpty { return [.ok("sandboxes", "\(all.count) run, none is left over")] }
        return [
            .warning(
                "sandboxes", "\(dead.count) left over: \(dead.map(\.path).joined(separator: ", "))",
                "remove the pods (crictl rmp, slipway rm)")
        ]
    }
}

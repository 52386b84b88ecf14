import DomainXML
import MachinePlanning

extension MachinePlan {
    /// The machines of the golden files, by the files' names.
    static func samples() throws -> [(name: String, plan: MachinePlan)] {
        let identity = MachineIdentity(
            container: "0123456789abcdef0123", sandbox: "fedcba9876543210", podName: "router", podNamespace: "nf",
            podUID: "6b1f7a52-4e0c-4b7d-9f7e-0d6c7a1b2c3d", containerName: "vm")
        func link(_ number: Int) -> RequestedLink {
            let digits = String(number + 16, radix: 16)
            return RequestedLink(name: "net\(number)", tap: "tap\(number)", mac: "02:00:00:00:00:\(digits)", mtu: 1500)
        }
        let qcow2 = BootRequest.disk(DiskSource(path: "/disk/vm.qcow2", format: .qcow2, virtualSize: 2 << 30))
        let raw = BootRequest.disk(DiskSource(path: "/disk/vm.img", format: .raw, virtualSize: 1 << 30))
        let kernel = BootRequest.kernel(
            KernelSource(
                kernel: "/boot/vmlinuz", initrd: "/boot/initrd.img", commandLine: "console=ttyS0 opt=\"<a&b>\""))
        let tcg = Decision(Accelerator.tcg, "the node has no /dev/kvm")
        let kvm = Decision(Accelerator.kvm, "proven on this node")

        func plan(_ change: (inout MachineRequest) -> Void) throws -> MachinePlan {
            var request = MachineRequest(
                identity: identity, boot: qcow2, accelerator: tcg, user: 250_000, group: 250_000)
            change(&request)
            return try MachinePlan(request)
        }
        var plain = MachineAnnotations()
        plain.cloudInit = .none
        return [
            ("tcg-qcow2-one-link.xml", try plan { $0.links = [link(0)] }),
            (
                "kvm-raw-limits.xml",
                try plan {
                    $0.boot = raw
                    $0.accelerator = kvm
                    ($0.cpuQuota, $0.cpuPeriod, $0.memoryLimit) = (350_000, 100_000, 4 << 30)
                    $0.group = 107
                    $0.links = [link(0), link(1)]
                }
            ),
            ("kernel-no-seed.xml", try plan { ($0.boot, $0.annotations) = (kernel, plain) }),
            ("ten-links.xml", try plan { $0.links = (0..<10).map(link) }),
        ]
    }
}

extension MachinePaths {
    static let sample = MachinePaths(
        serial: "/run/slipway/fedcba98-0123456789abcdef/serial.sock",
        agent: "/run/slipway/fedcba98-0123456789abcdef/agent.sock", kernel: "/proc/self/fd/20",
        initrd: "/proc/self/fd/21",
        base: "/run/slipway/fedcba98-0123456789abcdef/rootfs/disk/vm.qcow2",
        seed: "/run/slipway/fedcba98-0123456789abcdef/seed.iso", overlay: "/var/lib/x/overlay.qcow2")
}

import DomainXML
import HostTopology
import MachinePlanning

extension MachinePlan {
    /// The machines of the golden files, by the files' names.
    static func samples() throws -> [(name: String, plan: MachinePlan)] {
        let identity = MachineIdentity(
            container: "0123456789abcdef0123", sandbox: "fedcba9876543210", podName: "router", podNamespace: "nf",
            podUID: "6b1f7a52-4e0c-4b7d-9f7e-0d6c7a1b2c3d", containerName: "vm")
        func link(_ number: Int) -> RequestedLink {
            let digits = String(number + 16, radix: 16)
            return RequestedLink(
                "net\(number)", number: number, backend: .tap(device: "tap\(number)"), mac: "02:00:00:00:00:\(digits)",
                mtu: 1500)
        }
        let qcow2 = BootRequest.disk(DiskSource(path: "/disk/vm.qcow2", format: .qcow2, virtualSize: 2 << 30))
        let raw = BootRequest.disk(DiskSource(path: "/disk/vm.img", format: .raw, virtualSize: 1 << 30))
        let kernel = BootRequest.kernel(
            KernelSource(
                kernel: "/boot/vmlinuz", initrd: "/boot/initrd.img", commandLine: "console=ttyS0 opt=\"<a&b>\""))
        let tcg = Decision(Accelerator.tcg, "the node has no /dev/kvm")
        let kvm = Decision(Accelerator.kvm, "proven on this node")

        func plan(on host: HostTopology = .plain, _ change: (inout MachineRequest) -> Void) throws -> MachinePlan {
            var request = MachineRequest(
                identity: identity, boot: qcow2, accelerator: tcg, user: 250_000, group: 250_000)
            change(&request)
            return try MachinePlan(request, on: host)
        }
        func link(_ number: Int, _ backend: NICBackend) -> RequestedLink {
            var link = link(number)
            link.backend = backend
            return link
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
            (
                "two-cells-huge-pages-function.xml",
                try plan(on: .twoNodes) {
                    $0.accelerator = kvm
                    ($0.cpus, $0.cpuShares, $0.links) = ([1, 2, 3], 3072, [link(0)])
                    $0.hugePages.limits = [1 << 30: 3 << 30]
                    $0.devices = ["0000:3b:02.1", "0000:3b:02.3"]
                }
            ),
            (
                "realtime-isolated.xml",
                try plan(on: .twoNodes) {
                    $0.accelerator = kvm
                    ($0.cpus, $0.cpuShares) = ([2, 3], 2048)
                    $0.hugePages.limits = [2 << 20: 1 << 30]
                    ($0.annotations.realtime, $0.annotations.emulatorThreads) = (true, .isolate)
                }
            ),
            (
                "floating-on-a-node.xml",
                try plan(on: .twoNodes) {
                    $0.hugePages.limits = [2 << 20: 1 << 30]
                }
            ),
            (
                "growing.xml",
                try plan {
                    ($0.cpuQuota, $0.cpuPeriod) = (200_000, 100_000)
                    ($0.annotations.maxCPUs, $0.annotations.maxMemory) = (4, 2 << 30)
                }
            ),
            (
                "every-kind-of-link.xml",
                try plan {
                    $0.accelerator = kvm
                    ($0.cpuQuota, $0.cpuPeriod, $0.hasVhostNet) = (400_000, 100_000, true)
                    var tuned = link(1, .vhostUser(path: "/run/switch/port1.sock", listens: false))
                    (tuned.queues, tuned.rxRing, tuned.txRing, tuned.mtu) = (2, 1024, 1024, 9000)
                    var down = link(4)
                    down.isUp = false
                    // Number 3 was unplugged before the machine was started anew.
                    $0.links = [
                        link(0, .macvtap(device: "slw0")), tuned,
                        link(2, .vhostUser(path: "/run/slipway/x/vhost/net2.sock", listens: true)), down,
                        link(5, .vdpa(path: "/dev/vhost-vdpa-0")),
                    ]
                    $0.annotations.hotNICs = 2
                }
            ),
            (
                "functions-of-links.xml",
                try plan(on: .twoNodes) {
                    $0.accelerator = kvm
                    ($0.cpus, $0.cpuShares) = ([1, 2, 3], 3072)
                    $0.hugePages.limits = [1 << 30: 3 << 30]
                    // The device plugin names both; one of them is a link of the pod.
                    $0.devices = ["0000:3b:02.1", "0000:3b:02.3"]
                    $0.links = [
                        link(0), link(1, .hostDevice(address: "0000:3b:02.3", isManaged: false)),
                        link(2, .vhostUser(path: "/run/switch/port2.sock", listens: false)),
                    ]
                }
            ),
            (
                "vhost-user-without-kvm.xml",
                try plan {
                    ($0.cpuQuota, $0.cpuPeriod) = (400_000, 100_000)
                    $0.links = [link(0), link(1, .vhostUser(path: "/run/switch/port1.sock", listens: false))]
                    $0.annotations.hotNICs = 0
                }
            ),
            (
                "growing-shared.xml",
                try plan {
                    $0.annotations.maxMemory = 2 << 30
                    $0.annotations.sharedMemory = true
                }
            ),
        ]
    }
}

extension HostTopology {
    /// A node of one memory node with four CPUs.
    static let plain = HostTopology(
        nodes: [HostNode(id: 0, cpus: [0, 1, 2, 3], memory: 32 << 30, distances: [0: 10])],
        cpus: (0..<4).map { HostCPU(id: $0, node: 0, socket: 0, core: $0, siblings: [$0], cache: [0, 1, 2, 3]) })
}

extension HostTopology {
    /// Two nodes of two CPUs, with pages of both sizes, and two functions on the second.
    static let twoNodes = HostTopology(
        nodes: (0..<2).map { id in
            HostNode(
                id: id, cpus: id == 0 ? [0, 1] : [2, 3], memory: 16 << 30, distances: [id: 10, 1 - id: 21],
                hugePages: [
                    HugePagePool(size: 2 << 20, total: 2048, free: id == 0 ? 2048 : 1024),
                    HugePagePool(size: 1 << 30, total: 8, free: 8),
                ])
        },
        cpus: (0..<4).map { id in
            HostCPU(id: id, node: id / 2, socket: id / 2, core: id, siblings: [id], cache: id < 2 ? [0, 1] : [2, 3])
        },
        devices: ["0000:3b:02.1", "0000:3b:02.3"].map { address in
            HostDevice(
                address: address, node: 1, classCode: 0x020000, vendor: 0x8086, device: 0x154c, driver: "vfio-pci",
                iommuGroup: 40)
        })
}

extension MachinePaths {
    static let sample = MachinePaths(
        serial: "/run/slipway/fedcba98-0123456789abcdef/serial.sock",
        agent: "/run/slipway/fedcba98-0123456789abcdef/agent.sock", kernel: "/proc/self/fd/20",
        initrd: "/proc/self/fd/21",
        base: "/run/slipway/fedcba98-0123456789abcdef/rootfs/disk/vm.qcow2",
        seed: "/run/slipway/fedcba98-0123456789abcdef/seed.iso", overlay: "/var/lib/x/overlay.qcow2")
}

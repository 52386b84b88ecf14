import HostTopology
import MachinePlanning
import TestSupport

extension MachineIdentity {
    static let sample = MachineIdentity(
        container: "0123456789abcdef0123", sandbox: "fedcba9876543210", podName: "router", podNamespace: "nf",
        podUID: "6B1F7A52-4E0C-4B7D-9F7E-0D6C7A1B2C3D", containerName: "vm")
}

extension HostTopology {
    /// A node of one memory node with four CPUs.
    static let plain = HostTopology(
        nodes: [HostNode(id: 0, cpus: [0, 1, 2, 3], memory: 32 << 30, distances: [0: 10])],
        cpus: (0..<4).map { HostCPU(id: $0, node: 0, socket: 0, core: $0, siblings: [$0], cache: [0, 1, 2, 3]) })
}

extension MachineRequest {
    /// A pod without limits whose image holds a disk.
    static var sample: MachineRequest {
        MachineRequest(
            identity: .sample, boot: .disk(DiskSource(path: "/disk/vm.qcow2", format: .qcow2, virtualSize: 2 << 30)),
            accelerator: Decision(.tcg, "the node has no /dev/kvm"), user: 250_000, group: 250_000)
    }

    /// Anything that a pod, its image and its network may ask for, sensible or not.
    static func random(_ random: inout SeededGenerator) -> MachineRequest {
        func maybe<Value>(_ value: @autoclosure () -> Value) -> Value? { Bool.random(using: &random) ? value() : nil }
        func number() -> UInt64 {
            // Small and huge numbers alike, and the corners.
            switch Int.random(in: 0..<8, using: &random) {
            case 0: 0
            case 1: UInt64.max
            case 2: UInt64(Int64.max)
            default: UInt64.random(in: 0 ... .max, using: &random) >> UInt64.random(in: 0..<64, using: &random)
            }
        }
        func text() -> String {
            String(
                String.UnicodeScalarView(
                    (0..<Int.random(in: 0..<20, using: &random)).compactMap { _ in
                        UnicodeScalar(UInt32.random(in: 0...0x2ff, using: &random))
                    }))
        }
        var request = MachineRequest.sample
        request.identity.container = text()
        if Bool.random(using: &random) { request.identity.podUID = text() }
        request.cpuQuota = maybe(Int64(bitPattern: number()))
        request.cpuPeriod = maybe(number())
        if Bool.random(using: &random) {
            request.cpuPeriod = 100_000
            request.cpuQuota = Int64.random(in: 1...30_000_000, using: &random)
        }
        request.memoryLimit = maybe(number())
        let size = number()
        request.boot =
            Bool.random(using: &random)
            ? .disk(DiskSource(path: text(), format: Bool.random(using: &random) ? .raw : .qcow2, virtualSize: size))
            : .kernel(KernelSource(kernel: text(), initrd: maybe(text()), commandLine: maybe(text())))
        request.links = (0..<Int.random(in: 0...36, using: &random)).map { index in
            RequestedLink(
                text(), number: index, backend: .tap(device: "tap\(index)"), mac: "02:00:00:00:00:\(index + 10)",
                mtu: 1500)
        }
        request.annotations.diskSize = maybe(number())
        request.annotations.kernelArguments = maybe(text())
        request.annotations.cloudInit = MachineAnnotations.CloudInit.allCases.randomElement(using: &random) ?? .none
        request.accelerator.value = Bool.random(using: &random) ? .kvm : .tcg
        return request
    }
}

extension RequestedLink {
    /// Links on TAPs, numbered from 0.
    static func taps(_ count: Int) -> [RequestedLink] {
        (0..<count).map { number in
            RequestedLink(
                "net\(number)", number: number, backend: .tap(device: "slw\(number)"), mac: "02:00:00:00:00:01",
                mtu: 1500
            )
        }
    }
}

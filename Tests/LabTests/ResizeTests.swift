import CRIProtocol
import SwiftProtobuf
import TestSupport
import Testing

/// What only KVM does with a running machine: vCPUs that were added are pulled out again.
@Suite(.serialized, .timeLimit(.minutes(10))) struct ResizeTests {
    private func vcpus(_ qemu: Int32) throws -> Int {
        try Lab.table("lab threads \(qemu) 2>/dev/null").count {
            $0.count == 4 && $0[1].hasPrefix("CPU_") && $0[1].hasSuffix("/KVM")
        }
    }

    private func expect(_ count: Int, _ pod: LabPod) async throws {
        let qemu = try pod.qemu
        #expect(try await pod.guest("nproc") == "\(count)\n")
        var found = 0
        _ = try await eventually(within: .seconds(20)) {
            found = try vcpus(qemu)
            return found == count
        }
        #expect(found == count, "\(pod.log)")
    }

    private func resize(_ pod: LabPod, cpus: Int64, memory: Int64 = 0) async throws {
        var resources = CRILinuxContainerResources()
        (resources.cpuPeriod, resources.cpuQuota) = (100_000, cpus * 100_000)
        resources.memoryLimitInBytes = memory
        try await pod.runtime.updateContainerResources(pod.container, to: resources)
    }

    private func memory(_ pod: LabPod) async throws -> Int {
        let words = try await pod.guest("grep MemTotal /proc/meminfo").split(separator: " ")
        return (words.dropFirst().first.flatMap { Int($0) } ?? 0) << 10
    }

    @Test func vCPUsComeAndGo() async throws {
        try Lab.run("lab import net-vnf", seconds: 300)
        let before = try Lab.remains()
        try await Lab.connected { runtime in
            var pod = try await LabPod(
                runtime, "grower", .systemd,
                annotations: [
                    "slipway.dev/max-cpus": "3", "slipway.dev/max-memory": "512Mi", "slipway.dev/hot-nics": "0",
                ])
            do {
                try await pod.start(image: "net-vnf", memory: 192 << 20)
                try pod.expectOnConsole("tiny-vnf: ready")
                try await expect(1, pod)
                try await resize(pod, cpus: 3, memory: 320 << 20)
                try await expect(3, pod)
                let grown = try await eventually(within: .seconds(20)) { try await memory(pod) > 192 << 20 }
                #expect(grown, "\(pod.log)")
                try await resize(pod, cpus: 1)
                try await expect(1, pod)
                try await resize(pod, cpus: 2)
                try await expect(2, pod)
                try Lab.run("slipway verify grower")

                try await pod.guest("(sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &")
                let container = pod.container
                let ended = try await eventually(within: .seconds(30), every: .milliseconds(200)) {
                    try await runtime.containerStatus(container).status.state == .containerExited
                }
                #expect(ended)
                #expect(try await runtime.containerStatus(container).status.exitCode == 70, "it panics")
            } catch {
                Issue.record("\(error); log: \(pod.log)")
            }
            try await pod.remove()
        }
        try await Lab.expectNothingLeft(since: before)
    }
}

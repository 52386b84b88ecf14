import CRIProtocol
import LinuxSystem
import SwiftProtobuf
import TestSupport
import Testing

/// Machines of KVM, whose frames the kernel moves (vhost-net): what the machine below the lab may not have.
@Suite(.serialized, .timeLimit(.minutes(10))) struct VhostTests {
    /// QEMU's descriptors of a device.
    private func descriptors(of qemu: Int32, _ device: String) throws -> Int {
        try Lab.table("ls -l /proc/\(qemu)/fd").count { $0.last == device }
    }

    /// QEMU's threads: id, name, CPUs, the CPU of its last run. Those that ended while they were looked at are left out.
    private func threads(_ qemu: Int32) throws -> [[String]] {
        try Lab.table("lab threads \(qemu) 2>/dev/null").filter { $0.count == 4 }
    }

    /// Expects so many of vhost-net's threads, on the CPUs of QEMU's main thread and in its group.
    private func expectWorkers(_ count: Int, of qemu: Int32) throws {
        let workers = try Lab.table("lab workers \(qemu)")
        let own = try #require(try threads(qemu).first { $0[0] == "\(qemu)" })
        let group = try Lab.file("/proc/\(qemu)/cgroup")
        #expect(
            workers.count == count && workers.allSatisfy { $0[1] == own[2] && "0::\($0[3])" == group }, "\(workers)")
        #expect(try descriptors(of: qemu, "/dev/vhost-net") == count)
    }

    @Test func theWorkersOfAMachinesNICsAreWhereItsOwnThreadsAre() async throws {
        let before = try Lab.remains()
        try await Lab.connected { runtime in
            var pod = try await LabPod(
                runtime, "vhost", .systemd,
                annotations: [
                    "slipway.dev/emulator-threads": "isolate", "slipway.dev/interfaces": "eth0: queues=2",
                ])
            do {
                try await pod.start(cpus: 2) {
                    $0.cpusetCpus = "2-3"
                    $0.cpuShares = 2048
                }
                let qemu = try pod.qemu
                #expect(try descriptors(of: qemu, "/dev/kvm") == 1)
                try expectWorkers(2, of: qemu)
                let vcpu = try #require(try threads(qemu).first { $0[1] == "CPU_0/KVM" })
                #expect(try Lab.table("lab workers \(qemu)").allSatisfy { $0[1] != vcpu[2] })
                try Lab.run("slipway verify vhost")

                // A NIC that comes later brings one of its own.
                let network = try pod.network
                try Lab.run(
                    "ip -n \(network) link add net1 type veth peer name far netns 1 && ip -n \(network) link set net1 up"
                )
                let plugged = try await eventually(within: .seconds(30)) {
                    try descriptors(of: qemu, "/dev/vhost-net") == 3
                }
                #expect(plugged, "\(pod.log)")
                try expectWorkers(3, of: qemu)
                try Lab.run("slipway verify vhost")

                // They go along to other CPUs.
                var moved = CRILinuxContainerResources()
                moved.cpusetCpus = "0-1"
                try await pod.runtime.updateContainerResources(pod.container, to: moved)
                try expectWorkers(3, of: qemu)
                #expect(try Lab.table("lab workers \(qemu)").allSatisfy { ["0", "1"].contains($0[1]) })
                try Lab.run("slipway verify vhost")

                try await pod.runtime.stopContainer(pod.container, grace: 0)
                #expect(try await pod.runtime.containerStatus(pod.container).status.exitCode == 137)
                #expect(try Lab.table("lab workers \(qemu)").isEmpty)
            } catch {
                Issue.record("\(error); log: \(pod.log)")
            }
            try await pod.remove()
        }
        try await Lab.expectNothingLeft(since: before)
    }
}

import CRIProtocol
import LinuxSystem
import TestSupport
import Testing

/// A vDPA device as a pod's NIC. DPDK's testpmd plays its hardware (VDUSE): it answers ARP requests and pings, whatever the
/// address.
@Suite(.serialized, .timeLimit(.minutes(30)), .enabled(if: Lab.hasNewDevices, Lab.newDevices)) struct VDPATests {
    private static let path = "/dev/vhost-vdpa-0"
    private static let mac = "02:00:00:00:97:05"

    /// Its data path is on CPU 0.
    private func makeDevice() throws {
        try Lab.run(
            """
            set -e
            systemd-run -q --collect --unit=vdpa-device dpdk-testpmd -l 0,3 --no-huge -m 128 --no-pci \
                --vdev net_vhost0,iface=/dev/vduse/lab -- --forward-mode=icmpecho --total-num-mbufs=2048 --stats-period=3600
            until [ -e /dev/vduse/lab ] && vdpa dev add name lab mgmtdev vduse; do sleep 0.2; done
            until [ -e \(Self.path) ]; do sleep 0.2; done
            """)
    }

    /// What is left of it then.
    private func removeDevice() throws -> String {
        try Lab.run(
            "vdpa dev del lab; systemctl stop vdpa-device; ls /dev/vhost-vdpa-* /dev/vduse/lab 2>/dev/null || true")
    }

    /// What plugins leave on the node of it.
    private func describe(_ pod: LabPod, path: String) throws -> [String] {
        try pod.describe(
            "{\"type\": \"vdpa\", \"version\": \"1.1.0\", \"vdpa\": {\"driver\": \"vhost\", \"path\": \"\(path)\"}}",
            mac: Self.mac, network: "10.97.0")
    }

    @Test func theGuestReachesWhatIsBehindIt() async throws {
        try makeDevice()
        try await LabPod.with("vdpa", []) { pod in
            let files = try describe(pod, path: Self.path)
            try await pod.start(image: "function", memory: 256 << 20, devices: LabPod.devices([Self.path]))
            try pod.expect("function 0000:02:00.0 virtio-pci \(Self.mac) 10.97.0.5/24 answers", seconds: 900)
            let qemu = try pod.qemu
            #expect(try Lab.run("ls -l /proc/\(qemu)/fd").contains(Self.path))
            #expect(try Lab.run("stat -c '%u %a' \(Self.path)") == "0 600\n")
            #expect(try Lab.run("slipway net ls vdpa").contains("vdpa \(Self.path)"))
            try Lab.run("slipway verify vdpa")
            try await pod.runtime.stopContainer(pod.container, grace: 0)
            try Lab.run("rm \(files.joined(separator: " "))")
        }
        #expect(try removeDevice().isEmpty)
    }

    @Test func oneThatIsNotThereIsRefused() async throws {
        try await LabPod.with("no-vdpa", []) { pod in
            let files = try describe(pod, path: Self.path)
            do {
                try await pod.start(memory: 256 << 20)
                Issue.record("the pod runs")
            } catch {
                #expect(
                    "\(error)".contains("the device of interface net1 is \(Self.path), which is not there"), "\(error)")
            }
            try Lab.run("rm \(files.joined(separator: " "))")
        }
    }
}

import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import StateDirectory
import TestSupport
import Testing

/// Machines as pods on a real containerd. Serial: each test counts what is left on the machine after it.
@Suite(.serialized, .timeLimit(.minutes(10))) struct MachineTests {
    @Test func aMachineIsThePodThatWasAskedFor() async throws {
        try await withPod("whole") { pod in
            await pod.expect("tiny-vnf: ready \(try await pod.address)")
            #expect(pod.output.contains("SeaBIOS"), "the console begins with the BIOS")
            #expect(try await pod.run("/bin/hostname") == "whole\n")
            #expect(try await pod.run("/bin/sh", "-c", "grep -c ^processor /proc/cpuinfo") == "1\n")
            let total = try await pod.run("/bin/sh", "-c", "awk '/MemTotal/ {print $2}' /proc/meminfo")
            let kib = try #require(Int(total.trimmed))
            #expect((140 << 10)...(192 << 10) ~= kib, "192 MiB asked, the guest sees \(kib) KiB")

            let page = try Spawn("/usr/bin/curl", ["-s", "-m", "10", "http://\(try await pod.address)/"]).run()
            #expect(page.status == .exited(0) && page.output.hasPrefix("whole "), "\(page)")
            let second = try await pod.runtime.podSandboxStatus(pod.id).status.network.additionalIps.first?.ip ?? ""
            let page6 = try Spawn("/usr/bin/curl", ["-s", "-g", "-m", "10", "http://[\(second)]/"]).run()
            #expect(page6.status == .exited(0) && page6.output.hasPrefix("whole "), "IPv6 \(second): \(page6)")

            let stats = try await pod.runtime.containerStats(pod.container)
            #expect(stats.cpu.usageCoreNanoSeconds.value > 100_000_000)
            #expect(stats.memory.workingSetBytes.value > 50 << 20)
        }
    }

    @Test func QEMUIsConfined() async throws {
        try await withPod("confined") { pod in
            let qemu = try #require(try pod.record.machine?.process?.pid)
            let status = try File.text("/proc/\(qemu)/status")
            func field(_ name: String) -> String {
                status.split(separator: "\n").first { $0.hasPrefix("\(name):") }
                    .map { $0.dropFirst(name.count + 1).split(separator: "\t").joined(separator: " ").trimmed } ?? ""
            }
            let user = "\(try #require(try pod.record.machine?.user))"
            #expect(field("Uid") == "\(user) \(user) \(user) \(user)")
            #expect(field("CapEff") == "0000000000000000")
            #expect(field("NoNewPrivs") == "1" && field("Seccomp") == "2")
            let groups = try File.text("/proc/\(qemu)/cgroup")
            for controller in ["memory", "cpu", "pids"] {
                let line = groups.split(separator: "\n").first { $0.contains(":\(controller):") } ?? ""
                #expect(line.hasSuffix("/\(pod.container)"), "\(controller): \(line)")
            }
            let netns = try FileDescriptor.open(try #require(try pod.record.networkNamespace), O_RDONLY)
            var inside = stat()
            var outside = stat()
            #expect(stat("/proc/\(qemu)/ns/net", &inside) == 0 && fstat(netns.raw, &outside) == 0)
            #expect(inside.st_ino == outside.st_ino, "QEMU is in the pod's network namespace")
            let open = try File.list("/proc/\(qemu)/fd").compactMap { descriptor -> String? in
                var buffer = [UInt8](repeating: 0, count: 4096)
                let count = readlink("/proc/\(qemu)/fd/\(descriptor)", &buffer, buffer.count)
                return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
            }
            #expect(!open.contains { $0.contains("shim.sock") || $0.contains("/containerd") && !$0.contains("rootfs") })
        }
    }

    @Test func thePowerButtonEndsItWithZero() async throws {
        try await withPod("button") { pod in
            await pod.expect("tiny-vnf: ready")
            try await pod.runtime.stopContainer(pod.container, grace: 20)
            #expect(try await pod.exitCode() == 0)
            await pod.expect("tiny-vnf: powering off")
        }
    }

    @Test func aStopWhileTheBIOSRunsIsHeardLater() async throws {
        try await withPod("early") { pod in
            try await pod.runtime.stopContainer(pod.container, grace: 60)
            #expect(try await pod.exitCode() == 0, "the button is pressed until the guest hears it")
        }
    }

    @Test func SIGKILLEndsItWith137() async throws {
        try await withPod("kill") { pod in
            let begin = ContinuousClock.now
            try await pod.runtime.stopContainer(pod.container, grace: 0)
            #expect(try await pod.exitCode() == 137)
            #expect(ContinuousClock.now - begin < .seconds(2))
        }
    }

    @Test func aPanicIs70() async throws {
        try await withPod("panic") { pod in
            await pod.expect("tiny-vnf: ready")
            try UnixSocket.connect(pod.state.console).write(Array("sleep 1; echo c >/proc/sysrq-trigger\n".utf8))
            let code = try await pod.exitCode()
            #expect(code == 70)
        }
    }

    @Test func aCommandThatCrashesItsGuestEnds() async throws {
        try await withPod("crashing") { pod in
            await pod.expect("tiny-vnf: ready")
            // The agent is there.
            _ = try await pod.run("/bin/hostname")
            let begin = ContinuousClock.now
            #expect(await pod.tryToRun("/bin/sh", "-c", "echo c >/proc/sysrq-trigger") != "0")
            #expect(ContinuousClock.now - begin < .seconds(15))
            #expect(try await pod.exitCode() == 70)
        }
    }

    /// Each is over within a millisecond of its start, perhaps before containerd has opened its end of the streams.
    @Test func commandsForAGuestWithoutAnAgentFailAtOnce() async throws {
        try await withPod("agentless") { pod in
            await pod.expect("tiny-vnf: ready")
            _ = try await pod.run("/bin/hostname")
            try UnixSocket.connect(pod.state.console).write(Array("killall qemu-ga; echo killed $((40 + 2))\n".utf8))
            await pod.expect("killed 42")
            var ends: [String: Int] = [:]
            for _ in 0..<6 {
                // gRPC's client takes many small answers on one connection for an attack, and closes it.
                try await Node.connected { runtime in
                    let pod = Pod(runtime, adopting: pod)
                    for _ in 0..<50 { ends[await pod.tryToRun("/bin/true"), default: 0] += 1 }
                }
            }
            #expect(ends == ["126": 300])
        }
    }

    @Test func QEMUsOwnDeathIs71() async throws {
        try await withPod("death") { pod in
            let process = try #require(try pod.record.machine?.process?.process)
            try process.signal(SIGSEGV)
            #expect(try await pod.exitCode() == 71)
        }
    }

    @Test func anOutOfMemoryKillIs137WithItsReason() async throws {
        try await withPod("oom") { pod in
            await pod.expect("tiny-vnf: init")
            let group = "/sys/fs/cgroup/memory/k8s.io/\(pod.container)"
            let usage = try #require(Int(File.text("\(group)/memory.usage_in_bytes").trimmed))
            try File.put("\(usage + (8 << 20))", into: "\(group)/memory.limit_in_bytes")
            // Whatever the guest does now needs memory of which there is no more.
            try UnixSocket.connect(pod.state.console).write(Array("dd if=/dev/zero of=/tmp/x bs=1M count=100\n".utf8))
            let code = try await pod.exitCode()
            let reason = try await pod.status.reason
            #expect(code == 137 && reason == "OOMKilled", "\(String(describing: code)) \(reason)")
        }
    }

    @Test func aRebootKeepsThePod() async throws {
        try await withPod("reboot") { pod in
            await pod.expect("tiny-vnf: ready")
            let qemu = try pod.record.machine?.process
            _ = try await pod.run("/bin/sh", "-c", "(sleep 1; reboot -f) >/dev/null 2>&1 &")
            await pod.expect("tiny-vnf: ready", count: 2)
            let state = try await pod.status.state
            #expect(state == .containerRunning)
            #expect(try pod.record.machine?.process == qemu, "the same QEMU")
        }
    }

    @Test func pausedMachinesStandStill() async throws {
        try await withPod("pause") { pod in
            await pod.expect("tiny-vnf: ready")
            #expect(try Node.ctr("task", "pause", pod.container).status == .exited(0))
            #expect(try Node.ctr("task", "ls").output.contains("PAUSED"))
            let silent = try Spawn("/usr/bin/curl", ["-s", "-m", "1", "http://\(try await pod.address)/"]).run()
            #expect(silent.status != .exited(0))
            #expect(try Node.ctr("task", "resume", pod.container).status == .exited(0))

            // QEMU appends to its log: what comes after it was emptied begins at its start.
            let logs = "\(pod.state.libvirt)/log/qemu"
            let log = "\(logs)/\(try #require(try File.list(logs).first { $0.hasSuffix(".log") }))"
            let qemu = try #require(try pod.record.machine?.process?.pid)
            let flags = try File.text("/proc/\(qemu)/fdinfo/2").split(separator: "\n").first { $0.hasPrefix("flags:") }
            #expect((Int32(flags?.split(separator: "\t").last ?? "", radix: 8) ?? 0) & O_APPEND != 0, "\(flags ?? "")")
            try FileDescriptor.open(log, O_WRONLY | O_APPEND).write([UInt8](repeating: 0x78, count: 2 << 20))
            #expect(try await eventually { try File.read(log, limit: 4 << 20).count < 1 << 20 })
            let page = try Spawn("/usr/bin/curl", ["-s", "-m", "10", "http://\(try await pod.address)/"]).run()
            #expect(page.status == .exited(0))
        }
    }

    @Test func aGuestWithoutASeedAsksDHCP() async throws {
        try await withPod("dhcp", annotations: ["slipway.dev/cloud-init": "none"]) { pod in
            await pod.expect("tiny-vnf: ready \(try await pod.address)")
            #expect(try await pod.run("/bin/ip", "route").contains("default via"))
            // The router advertisement names the link's own router, and says that addresses come by DHCPv6.
            let advertised = try await eventually(within: .seconds(20)) {
                try await pod.run("/bin/ip", "-6", "route").contains("default via fe80::")
            }
            #expect(advertised)
        }
    }

    @Test func theAddressServiceIsStartedAgain() async throws {
        try await withPod("served", annotations: ["slipway.dev/cloud-init": "none"]) { pod in
            let address = try await pod.address
            await pod.expect("tiny-vnf: ready \(address)")
            let configuration = "\(pod.state.dhcp)/dnsmasq.conf"
            func server() -> Int32? {
                ((try? File.list("/proc")) ?? []).compactMap { Int32($0) }.first { pid in
                    (try? File.text("/proc/\(pid)/cmdline"))?.contains(configuration) == true
                }
            }
            let first = try #require(server())
            try LinuxSystem.Process(pid: first).signal(SIGKILL)
            #expect(await eventually { server().map { $0 != first } ?? false })
            let log = (try? File.text(pod.state.log)) ?? ""
            #expect(log.contains("the pod's address service ended (signaled(9))"), "\(log)")
            let lease = try await pod.run("/bin/sh", "-c", "udhcpc -i eth0 -n -q -f -t 10 -T 1 -s /bin/true 2>&1")
            #expect(lease.contains(address), "\(lease)")
        }
    }

    @Test func anImageMayHoldAKernel() async throws {
        try await withPod("kernel", image: "slipway.local/tiny-vnf-kernel:latest") { pod in
            await pod.expect("tiny-vnf: ready \(try await pod.address)")
            // The container's writable layer holds no copy of the kernel.
            let sandbox = try #require(try pod.record.process?.pid)
            let mounts = try File.text("/proc/\(sandbox)/mountinfo", limit: 1 << 22).split(separator: "\n")
            let rootfs = try #require(mounts.first { $0.contains(" \(pod.state.rootfs) ") })
            let layer = try #require(rootfs.split(separator: ",").first { $0.hasPrefix("upperdir=") })
            #expect(try File.list(String(layer.dropFirst("upperdir=".count))).isEmpty, "\(layer)")
        }
    }

    @Test func theImagesFileIsNeverWritten() async throws {
        try await withPod("overlay") { pod in
            await pod.expect("tiny-vnf: ready")
            _ = try await pod.run("/bin/sh", "-c", "dd if=/dev/zero of=/dev/vda bs=1M seek=20 count=1; sync")
            // A second machine from the same image boots from an untouched disk.
            var other = try await Pod(pod.runtime, "overlay2")
            try await other.start()
            await other.expect("tiny-vnf: ready")
            try await other.remove()
        }
    }

    @Test func aContainerStartsAnewInItsPod() async throws {
        try await withPod("again") { pod in
            await pod.expect("tiny-vnf: ready")
            try await pod.runtime.stopContainer(pod.container, grace: 0)
            let first = pod.container
            try await pod.start(attempt: 1)
            #expect(pod.container != first)
            await pod.expect("tiny-vnf: ready", count: 2)
            try await pod.runtime.removeContainer(first)
            #expect(try await pod.run("/bin/hostname") == "again\n")
        }
    }

    @Test func theConsoleIsReadAndTypedByMany() async throws {
        try await withPod("console") { pod in
            await pod.expect("tiny-vnf: ready")
            let sockets = try (0..<3).map { _ in try UnixSocket.connect(pod.state.console) }
            try sockets[1].write(Array("echo one $((20 + 3)) two\n".utf8))
            for socket in sockets {
                var seen = ""
                let found = await eventually(within: .seconds(20)) {
                    if let ready = try? socket.wait(for: Int16(POLLIN), milliseconds: 0), ready,
                        let bytes = try? socket.read(upTo: 4096)
                    {
                        seen += String(decoding: bytes, as: UTF8.self)
                    }
                    return seen.contains("one 23 two")
                }
                #expect(found, "\(seen.suffix(200))")
            }
        }
    }

    @Test func containerdMayBeKilledMeanwhile() async throws {
        let before = Node.remains()
        var left: Pod?
        try await Node.connected { runtime in
            var pod = try await Pod(runtime, "survivor")
            try await pod.start()
            await pod.expect("tiny-vnf: ready")
            left = pod
        }
        let pod = try #require(left)
        let qemu = try pod.record.machine?.process
        try Node.script("kill-containerd")
        #expect(qemu?.process != nil, "the machine does not need containerd")
        let page = try Spawn("/usr/bin/curl", ["-s", "-m", "10", "http://\(try await address(pod))/"]).run()
        _ = page
        try Node.script("start-containerd")
        try await Node.connected { runtime in
            let running = try await eventually(within: .seconds(20)) {
                try await runtime.containerStatus(pod.container).status.state == .containerRunning
            }
            #expect(running)
            #expect(try await Pod(runtime, adopting: pod).run("/bin/hostname") == "survivor\n")
            #expect(try pod.record.machine?.process == qemu, "the same QEMU")
            try await runtime.stopContainer(pod.container, grace: 20)
            #expect(try await runtime.containerStatus(pod.container).status.exitCode == 0)
            try await runtime.stopPodSandbox(pod.id)
            try await runtime.removePodSandbox(pod.id)
        }
        await Node.expectNothingLeft(since: before)
    }

    // The plan has the links; the address does not change while containerd is away.
    private func address(_ pod: Pod) async throws -> String {
        let words = pod.output.split(separator: "\n").last { $0.contains("tiny-vnf: ready ") }
        return words.map { String($0.split(separator: " ").last ?? "") } ?? ""
    }

    @Test func aKilledSandboxProcessLeavesNothing() async throws {
        try await withPod("crash") { pod in
            await pod.expect("tiny-vnf: init")
            let process = try #require(try pod.record.process?.process)
            try process.signal(SIGKILL)
            #expect(try await pod.exitCode() != nil)
        }
    }
}

extension StringProtocol {
    var trimmed: String { String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()) }
}

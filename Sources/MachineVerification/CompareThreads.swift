internal import HostTopology
internal import MachinePlanning

extension Comparison {
    private static let replace = "delete the pod, so that it is placed anew, or set it back with taskset -cp"

    /// Where vCPU n may run; nil: anywhere.
    private func cpus(ofVCPU number: Int) -> CPUSet? {
        switch placement.processors.value {
        case .pinned(let cpus): cpus.indices.contains(number) ? [cpus[number]] : nil
        case .floating(let cpus): cpus
        case .anywhere: nil
        }
    }

    func vcpus() -> [Drift] {
        var drift: [Drift] = []
        for number in 0..<plan.vcpus.value {
            let threads = machine.threads(ofVCPU: number)
            guard let thread = threads.first, threads.count == 1 else {
                let names = "a thread named CPU \(number)/KVM or CPU \(number)/TCG"
                drift.append(
                    Drift(
                        "vCPU \(number)", planned: names, found: threads.isEmpty ? "none" : "\(threads.count) of them"))
                continue
            }
            if let cpus = cpus(ofVCPU: number), !thread.cpus.isSubset(of: cpus) || thread.cpus.isEmpty {
                drift.append(
                    Drift(
                        "vCPU \(number), thread \(thread.id)", planned: cpus.words, found: thread.cpus.words,
                        remedy: "\(Self.replace) \(cpus) \(thread.id)"))
            }
            let planned = placement.realtime.value.contains(number)
            if planned != isRealtime(thread) {
                drift.append(
                    Drift(
                        "vCPU \(number), scheduler", planned: planned ? "FIFO" : "the ordinary one",
                        found: words(thread.policy),
                        remedy: planned
                            ? "look into sched_rt_runtime_us and the sandbox's log; delete the pod to start it anew"
                            : ""))
            }
        }
        return drift
    }

    private func isRealtime(_ thread: ObservedThread) -> Bool {
        switch thread.policy {
        case .fifo, .roundRobin, .deadline: true
        case .other: false
        }
    }

    private func words(_ policy: ObservedThread.Policy) -> String {
        switch policy {
        case .other: "the ordinary one"
        case .fifo(let priority): "FIFO, priority \(priority)"
        case .roundRobin(let priority): "round robin, priority \(priority)"
        case .deadline: "deadline"
        }
    }

    /// QEMU's own threads, those of I/O among them; and the kernel's and those of preallocation, which may be where any of the
    /// machine's are.
    func otherThreads() -> [Drift] {
        let emulator = placement.emulator.value
        guard !emulator.isEmpty else { return [] }
        return machine.threads.compactMap { thread in
            let (kind, cpus) =
                switch thread.role {
                case .vcpu: ("", CPUSet())
                case .iothread: ("I/O thread", emulator)
                case .kernel: ("kernel thread", placement.exclusive)
                case .preallocation: ("preallocation", placement.exclusive)
                case .emulator: ("emulator", emulator)
                }
            guard !cpus.isEmpty, !thread.cpus.isSubset(of: cpus) || thread.cpus.isEmpty else { return nil }
            return Drift(
                "\(kind) \(thread.name), thread \(thread.id)", planned: cpus.words, found: thread.cpus.words,
                remedy: "\(Self.replace) \(cpus) \(thread.id)")
        }
    }

    /// A CPU of the machine's own that somebody else has too.
    func neighbours() -> [Drift] {
        let exclusive = placement.exclusive
        return others.compactMap { other in
            let shared = other.cpus.intersection(exclusive)
            guard !shared.isEmpty else { return nil }
            return Drift(
                "exclusive CPUs", planned: "\(exclusive.words) for this pod alone",
                found: "\(shared.words) also for pod \(other.pod)",
                remedy: "delete one of the two; on a node with a kubelet, cpuManagerPolicy: static keeps them apart")
        }
    }

    /// What libvirt was told, where it is not what is planned now: the machine was changed since its start.
    func definition() -> [Drift] {
        guard let definition = machine.definition, case .pinned(let pins) = placement.processors.value else {
            return []
        }
        let told = definition.vcpus.sorted { $0.key < $1.key }.map { "\($0.key)→\($0.value)" }.joined(separator: " ")
        let planned = pins.enumerated().map { "\($0.offset)→\($0.element)" }.joined(separator: " ")
        guard told != planned else { return [] }
        return [
            Drift(.note, "domain XML, vcpupin", planned: planned, found: told.isEmpty ? "none" : told)
        ]
    }
}

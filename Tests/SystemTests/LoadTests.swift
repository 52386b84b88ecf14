import CRIProtocol
import FoundationEssentials
import Glibc
import LinuxSystem
import StateDirectory
import TestSupport
import Testing

/// Many pods at once, and pods that are killed while they start.
@Suite(.serialized, .timeLimit(.minutes(20))) struct LoadTests {
    @Test func twentyPodsAtOnce() async throws {
        let before = Node.remains()
        try await Node.connected { runtime in
            let begin = ContinuousClock.now
            let pods = try await withThrowingTaskGroup(of: (Pod, Duration).self) { group in
                for number in 0..<20 {
                    group.addTask {
                        let start = ContinuousClock.now
                        var pod = try await Pod(runtime, "load\(number)")
                        try await pod.start(memory: 96 << 20)
                        return (pod, ContinuousClock.now - start)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let total = ContinuousClock.now - begin
            let times = pods.map { $0.1 }.sorted()
            print("20 pods at once: all started after \(total), median \(times[10]), slowest \(times[19])")
            let users = Set(try pods.map { try $0.0.record.machine?.user })
            #expect(users.count == 20, "each has a user of its own")
            for (pod, _) in pods {
                #expect(try await pod.status.state == .containerRunning)
                await pod.expect("SeaBIOS")
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (pod, _) in pods { group.addTask { try await pod.remove() } }
                try await group.waitForAll()
            }
        }
        await Node.expectNothingLeft(since: before)
    }

    /// Kills the sandbox's process, or QEMU, or the pod, at a random moment of its start.
    @Test func killsAtRandomMoments() async throws {
        let cycles = getenv("SLIPWAY_CYCLES").flatMap { Int(String(cString: $0)) } ?? 200
        let before = Node.remains()
        var random = SeededGenerator(2026)
        var outcomes: [String: Int] = [:]
        for cycle in 0..<cycles {
            try await Node.connected { runtime in
                let delay = Int64.random(in: 0...500, using: &random)
                let victim = Int.random(in: 0..<3, using: &random)
                var pod = try await Pod(runtime, "cycle\(cycle)")
                let sandbox = pod
                let killer = Task {
                    try await Task.sleep(for: .milliseconds(delay))
                    let record = try sandbox.record
                    switch victim {
                    case 0: try record.process?.process?.signal(SIGKILL)
                    case 1: try record.machine?.process?.process?.signal(SIGKILL)
                    default: try await runtime.stopPodSandbox(sandbox.id)
                    }
                }
                do {
                    try await pod.start(memory: 96 << 20)
                    outcomes["started", default: 0] += 1
                } catch {
                    outcomes["failed in its start", default: 0] += 1
                }
                _ = try? await killer.value
                try await pod.remove()
            }
        }
        print("\(cycles) start/kill cycles: \(outcomes)")
        await Node.expectNothingLeft(since: before)
    }
}

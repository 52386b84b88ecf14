import CRIProtocol
import SwiftProtobuf
import TestSupport
import Testing

/// `kubectl attach` and `kubectl exec`: through the runtime's streaming server, by its own protocol.
@Suite(.serialized, .timeLimit(.minutes(10))) struct StreamTests {
    private func expect(
        _ text: String, from stream: StreamConnection, on channel: StreamConnection.Channel = .stdout,
        _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let said = try await eventually(within: .seconds(30)) { try stream.text(channel).contains(text) }
        let found = try stream.text(channel)
        #expect(said, "\"\(text)\" is not in \"\(found.suffix(300))\"", sourceLocation: location)
    }

    private func attach(_ pod: Pod) async throws -> StreamConnection {
        try StreamConnection(
            try await pod.runtime.attach(
                .with {
                    $0.containerID = pod.container
                    $0.stdin = true
                    $0.stdout = true
                    $0.tty = true
                }))
    }

    @Test func anAttachedTerminalIsTheConsoleBothWays() async throws {
        try await withPod("attach", stdin: true) { pod in
            await pod.expect("tiny-vnf: ready")
            let first = try await attach(pod)
            let second = try await attach(pod)
            try first.send(#"{"Width":132,"Height":50}"#, to: .resize)
            // What the shell answers is not in what was typed, which the guest's terminal echoes.
            try first.send("echo first $((40 + 2))\n")
            for stream in [first, second] {
                try await expect("echo first $((40 + 2))", from: stream)
                try await expect("first 42", from: stream)
            }
            try second.send("echo second $((50 + 5))\n")
            for stream in [first, second] { try await expect("second 55", from: stream) }

            first.detach()
            try second.send("echo alone $((60 + 6))\n")
            try await expect("alone 66", from: second)
            let third = try await attach(pod)
            try third.send("echo again $((70 + 7))\n")
            for stream in [second, third] { try await expect("again 77", from: stream) }
            #expect(try !third.text(.stdout).contains("alone 66"), "who attaches sees what comes from then on")
            for text in ["first 42", "second 55", "alone 66", "again 77"] { await pod.expect(text) }

            // The machine's end ends the conversations.
            try third.send("poweroff -f\n")
            #expect(try await pod.exitCode() == 0)
            for stream in [second, third] {
                let ended = try await eventually(within: .seconds(20)) {
                    _ = try stream.text(.stdout)
                    return stream.isEnded
                }
                #expect(ended)
            }
        }
    }

    private func exec(_ pod: Pod, tty: Bool = false, _ words: String...) async throws -> StreamConnection {
        try StreamConnection(
            try await pod.runtime.exec(
                .with {
                    $0.containerID = pod.container
                    $0.cmd = words
                    $0.stdout = true
                    $0.stderr = !tty
                    $0.stdin = tty
                    $0.tty = tty
                }))
    }

    @Test func anExecsStreamsAndItsEnd() async throws {
        try await withPod("exec") { pod in
            await pod.expect("tiny-vnf: ready")
            #expect(try await pod.run("/bin/hostname") == "exec\n")
            let good = try await exec(pod, "/bin/sh", "-c", "echo out; echo err >&2")
            try await expect(#""status":"Success""#, from: good, on: .error)
            #expect(try good.text(.stdout) == "out\n" && good.text(.stderr) == "err\n")

            let bad = try await exec(pod, "/bin/sh", "-c", "echo before; exit 42")
            try await expect(#""reason":"NonZeroExitCode""#, from: bad, on: .error)
            try await expect(#"{"reason":"ExitCode","message":"42"}"#, from: bad, on: .error)
            #expect(try bad.text(.stdout) == "before\n")

            // The guest's agent has no terminals; the sentence reaches who asked.
            let terminal = try await exec(pod, tty: true, "/bin/sh")
            try await expect("kubectl exec without -t", from: terminal, on: .error)
        }
    }
}

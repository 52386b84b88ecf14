import CNI
import Glibc
import LinuxSystem
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct HostilePluginTests {
    private let plugins: FakePlugins
    private let first = #"{"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.5/16"}]}"#

    init() throws {
        plugins = try FakePlugins()
        try plugins.add("good", result: first)
    }

    /// Calls ADD of `good` and then of `bad`, which misbehaves then and is well at DEL.
    private func add(_ body: String, milliseconds: Int64 = 20_000) throws -> (PluginFailure, left: [PluginFailure]) {
        try plugins.add("bad", "[ $CNI_COMMAND = ADD ] || exit 0\n\(body)")
        let error = #expect(throws: CNIError.self) {
            try plugins.runner(milliseconds: milliseconds).add(try chain("1.0.0", "good", "bad"), arguments)
        }
        guard case .notAdded(let failure, let left)? = error else { throw try #require(error) }
        #expect(failure.plugin == "bad" && failure.command == .add && failure.subject == "net1 (lan)")
        return (failure, left)
    }

    private let undone = ["good ADD", "bad ADD", "bad DEL", "good DEL"]

    /// A plugin says why it refuses: its words are the message, and what was done before it is taken back.
    @Test func aRefusal() throws {
        let (failure, left) = try add(
            #"""
            echo >&2 "time=1 level=error"; printf '\033[31m\202\n' >&2
            cat <<'END'
            {"cniVersion": "1.0.0", "code": 11, "msg": "no address\u001b[2J is free", "details": "all\nof 10"}
            END
            exit 3
            """#)
        #expect(left == [])
        #expect(
            failure.description
                == "plugin bad, ADD of net1 (lan): no address [2J is free; all of 10 (code 11); it said: time=1 level=error"
                + " [31m\u{fffd}")
        #expect(try plugins.order() == undone)
    }

    /// 0 as status, and an error in what it printed.
    @Test func aRefusalThatCallsItselfSuccess() throws {
        let (failure, _) = try add(#"echo '{"code": 100, "msg": "no"}'"#)
        #expect(failure.reason == .refused(code: 100, message: "no", details: ""))
        #expect(try plugins.order() == undone)
    }

    @Test(arguments: [
        ("echo oops; exit 9", PluginFailure.Reason.ended(.exited(9)), "it ended with status 9 and printed no reason"),
        ("kill -SEGV $$", .ended(.signaled(SIGSEGV)), "it was ended by signal 11"),
        (
            "", .noResult("nothing was printed"),
            "it reported success, but its result cannot be read: nothing was printed"
        ),
        (
            "echo hello", .noResult(#"byte 0: no value begins like this, in "hello""#),
            #"it reported success, but its result cannot be read: byte 0: no value begins like this, in "hello""#
        ),
        (
            #"echo '{"cniVersion": "1.0.0", "ips": [{"address": "yes"}]}'"#,
            .noResult(#"ips[0].address: "yes" was found, an IP address with a prefix length is accepted"#),
            #"it reported success, but its result cannot be read: ips[0].address: "yes" was found, an IP address with a "#
                + "prefix length is accepted"
        ),
    ])
    func whatIsNoResult(body: String, reason: PluginFailure.Reason, problem: String) throws {
        let (failure, left) = try add(body)
        #expect(failure.reason == reason)
        #expect(failure.description == "plugin bad, ADD of net1 (lan): \(problem)")
        #expect(left == [])
        #expect(try plugins.order() == undone)
    }

    /// Without end on one of its outputs.
    @Test func muchOutput() throws {
        let (failure, _) = try add("exec cat /dev/zero")
        #expect(failure.reason == .tooMuchOutput(limit: 1 << 20))
        let (loud, _) = try add("yes loud >&2", milliseconds: 500)
        #expect(loud.reason == .timedOut(milliseconds: 500))
        #expect(loud.said.utf8.count <= 2048 && loud.said.hasSuffix("loud loud lou") == false)
        #expect(loud.said.contains("loud loud"))
    }

    /// Exactly as much as is read is a result.
    @Test func theLargestResult() throws {
        let (size, head) = (1 << 20, first.dropLast())
        try plugins.add(
            "large",
            result: head + #", "x": ""# + String(repeating: "y", count: size - head.utf8.count - 11) + #""}"#)
        #expect(throws: Never.self) { try plugins.runner().add(try chain("1.0.0", "large"), arguments) }
    }

    /// One that hangs is killed with its children, in time.
    @Test func hanging() throws {
        let begin = Clock.milliseconds
        let (failure, left) = try add(
            """
            sleep 1000 & echo $! >\(plugins.path)/child
            echo waiting >&2
            trap '' TERM INT HUP
            while :; do sleep 1000; done
            """, milliseconds: 1_000)
        #expect(Clock.milliseconds - begin < 10_000)
        #expect(left == [])
        #expect(
            failure.description
                == "plugin bad, ADD of net1 (lan): it had not ended after 1000 ms and was killed; it said: waiting")
        let child = try #require(Int32(try File.text(plugins.directory("child")).dropLast()))
        #expect(try ended(child), "process \(child) is left")
        #expect(try plugins.order() == undone)
    }

    /// One that ends while a child of it still holds its output does not keep anybody waiting.
    @Test func outputThatIsHeldOpen() throws {
        try plugins.add(
            "daemon",
            """
            sleep 1000 & echo $! >\(plugins.path)/child
            echo '\(first)'
            """)
        #expect(throws: Never.self) { try plugins.runner().add(try chain("1.0.0", "daemon"), arguments) }
        let child = try #require(Int32(try File.text(plugins.directory("child")).dropLast()))
        #expect(try ended(child), "process \(child) is left")
    }

    /// One that does not read its input, however long it is.
    @Test func inputThatIsNotRead() throws {
        try plugins.directory.write("deaf", "#!/bin/sh\nexec <&-\necho '\(first)'\n", mode: 0o755)
        let filling = String(repeating: "x", count: 900_000)
        let list = try network(
            #"{"cniVersion": "1.0.0", "name": "lan", "plugins": [{"type": "deaf", "x": "\#(filling)"}]}"#)
        #expect(throws: Never.self) { try plugins.runner().add(list, arguments) }
    }

    @Test func whatCannotBeStarted() throws {
        try plugins.directory.write("bad", "no program", mode: 0o755)
        let error = #expect(throws: CNIError.self) {
            try plugins.runner().add(try chain("1.0.0", "good", "bad"), arguments)
        }
        #expect(
            error?.description.hasPrefix(
                "plugin bad, ADD of net1 (lan): it cannot be started: execve \(plugins.path)/bad: Exec format error; and "
                    + "what had been done is not undone: plugin bad, DEL of net1 (lan): it cannot be started") == true,
            "\(String(describing: error))")
        #expect(try plugins.order() == ["good ADD", "good DEL"])
    }

    /// At DEL the first failure halts, or does not, as the caller wants.
    @Test func failingDeletes() throws {
        try plugins.add("bad", #"echo '{"code": 5, "msg": "busy"}'; exit 1"#)
        let list = try chain("1.0.0", "good", "bad")
        let halted = #expect(throws: CNIError.self) { try plugins.runner().delete(list, arguments, result: nil) }
        #expect(halted?.description == "plugin bad, DEL of net1 (lan): busy (code 5)")
        #expect(try plugins.order() == ["bad DEL"])
        #expect(throws: CNIError.self) {
            try plugins.runner().delete(list, arguments, result: nil, halting: false)
        }
        #expect(try plugins.order() == ["bad DEL", "good DEL"])
    }

    @Test func failingChecks() throws {
        try plugins.add("bad", #"echo '{"code": 5, "msg": "the address is gone"}'; exit 1"#)
        let error = #expect(throws: CNIError.self) {
            try plugins.runner().check(try chain("0.4.0", "bad", "good"), arguments, result: CNIResult())
        }
        #expect(error?.description == "plugin bad, CHECK of net1 (lan): the address is gone (code 5)")
        #expect(try plugins.order() == ["bad CHECK"])
    }

    private func ended(_ pid: Int32) throws -> Bool {
        guard let process = try? LinuxSystem.Process(pid: pid) else { return true }
        return try process.waitForEnd(milliseconds: 10_000)
    }
}

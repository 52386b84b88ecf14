import Cgroup
import ContainerIO
import ContainerdAPI
import Glibc
import LinuxSystem
import OCIRuntimeSpec
import Sandbox
import SandboxFakes
import SwiftProtobuf
import TTRPC
import TaskService
import TestSupport
import Testing

/// What the container `vm` has been through.
enum Setup: Sendable {
    case absent, created, running, paused, stopped, deleted

    func make() async throws -> Containerd {
        let containerd = try Containerd()
        try await containerd.create("pod")
        try await containerd.start("pod")
        if self == .absent { return containerd }
        try await containerd.create("vm")
        if self == .created { return containerd }
        try await containerd.start("vm")
        if self == .paused { try await containerd.pause("vm") }
        guard self == .stopped || self == .deleted else { return containerd }
        try await containerd.kill("vm", 9)
        _ = try await containerd.wait("vm")
        if self == .deleted { try await containerd.delete("vm") }
        return containerd
    }
}

/// A call in a state and the code that it is answered with; nil: it succeeds.
struct Row: Sendable, CustomTestStringConvertible {
    var setup: Setup
    var name: String
    var code: StatusCode?
    var call: @Sendable (Containerd) async throws -> Void

    init(
        _ setup: Setup, _ name: String, _ code: StatusCode?,
        _ call: @escaping @Sendable (Containerd) async throws -> Void
    ) {
        (self.setup, self.name, self.code, self.call) = (setup, name, code, call)
    }

    var testDescription: String { "\(name) while \(setup)" }
}

@Suite(.timeLimit(.minutes(1))) struct StatusTests {
    static let table = [
        Row(.absent, "Create of a taken id", .alreadyExists) { try await $0.create("pod") },
        Row(.absent, "Create without an id", .invalidArgument) { try await $0.create("vm") { $0.id = "" } },
        Row(.absent, "Create without a bundle", .invalidArgument) { try await $0.create("vm") { $0.bundle = "" } },
        Row(.absent, "Create with a bundle that is not there", .invalidArgument) {
            try await $0.create("vm") { $0.bundle = "/none" }
        },
        Row(.absent, "Create from a checkpoint", .unimplemented) { try await $0.create("vm") { $0.checkpoint = "/c" } },
        Row(.absent, "Create with an unknown stream", .invalidArgument) {
            try await $0.create("vm", stdio: Stdio(stdout: "http://x"))
        },
        Row(.absent, "Create with options of another runtime", nil) {
            try await $0.create("vm") { request in
                request.options = Google_Protobuf_Any(typeURL: TypeURL.runcOptions, bytes: [0xff])
            }
        },
        Row(.absent, "Create with malformed options", nil) {
            try await $0.create("vm") { request in
                request.options = Google_Protobuf_Any(typeURL: TypeURL.runtimeOptions, bytes: [0xff])
            }
        },
        Row(.created, "Create of a second machine", .failedPrecondition) { try await $0.create("vm2") },
        Row(.stopped, "Create of another machine", nil) { try await $0.create("vm2") },
        Row(.stopped, "Create of a taken id", .alreadyExists) { try await $0.create("vm") },
        Row(.deleted, "Create of a free id", nil) { try await $0.create("vm") },

        Row(.absent, "Start", .notFound) { try await $0.start("vm") },
        Row(.running, "Start", .failedPrecondition) { try await $0.start("vm") },
        Row(.stopped, "Start", .failedPrecondition) { try await $0.start("vm") },
        Row(.running, "Start of an unknown exec", .notFound) { try await $0.start("vm", exec: "e") },
        Row(.running, "Start of an exec, twice", .failedPrecondition) {
            try await $0.exec("vm", exec: "e")
            try await $0.start("vm", exec: "e")
            try await $0.start("vm", exec: "e")
        },

        Row(.absent, "State", .notFound) { try await $0.state("vm") },
        Row(.deleted, "State", .notFound) { try await $0.state("vm") },
        Row(.running, "State of an unknown exec", .notFound) { try await $0.state("vm", exec: "e") },

        Row(.absent, "Wait", .notFound) { _ = try await $0.wait("vm") },
        Row(.stopped, "Wait", nil) { _ = try await $0.wait("vm") },
        Row(.deleted, "Wait", .notFound) { _ = try await $0.wait("vm") },
        Row(.running, "Wait for an unknown exec", .notFound) { _ = try await $0.wait("vm", exec: "e") },

        Row(.absent, "Kill", .notFound) { try await $0.kill("vm", 9) },
        Row(.created, "Kill", nil) { try await $0.kill("vm", 9) },
        Row(.running, "Kill with signal 0", nil) { try await $0.kill("vm", 0) },
        Row(.running, "Kill with the image's own stop signal", nil) { try await $0.kill("vm", 10) },
        Row(.running, "Kill with a signal that is none", .invalidArgument) { try await $0.kill("vm", 65) },
        Row(.running, "Kill with the largest number", .invalidArgument) { try await $0.kill("vm", .max) },
        Row(.stopped, "Kill", .notFound) { try await $0.kill("vm", 9) },
        Row(.stopped, "Kill of all", .notFound) { try await $0.kill("vm", 9, all: true) },
        Row(.deleted, "Kill", .notFound) { try await $0.kill("vm", 15) },
        Row(.running, "Kill of an exec that was not started", .failedPrecondition) {
            try await $0.exec("vm", exec: "e")
            try await $0.kill("vm", exec: "e", 9)
        },
        Row(.running, "Kill of an exec that has ended", .notFound) {
            try await $0.exec("vm", exec: "e")
            try await $0.start("vm", exec: "e")
            _ = try await $0.wait("vm", exec: "e")
            try await $0.kill("vm", exec: "e", 9)
        },
        Row(.running, "Kill of an unknown exec", .notFound) { try await $0.kill("vm", exec: "e", 9) },

        Row(.absent, "Delete", .notFound) { try await $0.delete("vm") },
        Row(.created, "Delete", nil) { try await $0.delete("vm") },
        Row(.running, "Delete", .failedPrecondition) { try await $0.delete("vm") },
        Row(.paused, "Delete", .failedPrecondition) { try await $0.delete("vm") },
        Row(.stopped, "Delete", nil) { try await $0.delete("vm") },
        Row(.deleted, "Delete", .notFound) { try await $0.delete("vm") },
        Row(.running, "Delete of an unknown exec", .notFound) { try await $0.delete("vm", exec: "e") },
        Row(.running, "Delete of an exec that was not started", nil) {
            try await $0.exec("vm", exec: "e")
            try await $0.delete("vm", exec: "e")
        },

        Row(.absent, "Pids", .notFound) { _ = try await $0.pids("vm") },
        Row(.created, "Pids", nil) { _ = try await $0.pids("vm") },

        Row(.absent, "Pause", .notFound) { try await $0.pause("vm") },
        Row(.created, "Pause", .failedPrecondition) { try await $0.pause("vm") },
        Row(.running, "Pause", nil) { try await $0.pause("vm") },
        Row(.paused, "Pause", .failedPrecondition) { try await $0.pause("vm") },
        Row(.running, "Pause of the pod", .failedPrecondition) { try await $0.pause("pod") },
        Row(.running, "Resume", .failedPrecondition) { try await $0.resume("vm") },
        Row(.paused, "Resume", nil) { try await $0.resume("vm") },
        Row(.running, "Checkpoint", .unimplemented) { try await $0.checkpoint("vm") },

        Row(.absent, "Exec", .notFound) { try await $0.exec("vm", exec: "e") },
        Row(.created, "Exec", .failedPrecondition) { try await $0.exec("vm", exec: "e") },
        Row(.paused, "Exec", .failedPrecondition) { try await $0.exec("vm", exec: "e") },
        Row(.stopped, "Exec", .failedPrecondition) { try await $0.exec("vm", exec: "e") },
        Row(.deleted, "Exec", .notFound) { try await $0.exec("vm", exec: "e") },
        Row(.running, "Exec in the pod itself", .failedPrecondition) { try await $0.exec("pod", exec: "e") },
        Row(.running, "Exec of a taken id", .alreadyExists) {
            try await $0.exec("vm", exec: "e")
            try await $0.exec("vm", exec: "e")
        },
        Row(.running, "Exec with a terminal", .unimplemented) {
            try await $0.exec("vm", exec: "e", stdio: Stdio(terminal: true))
        },
        Row(.running, "Exec of nothing", .invalidArgument) { try await $0.exec("vm", exec: "e", process: "{}") },
        Row(.running, "Exec of no process", .invalidArgument) { try await $0.exec("vm", exec: "e", process: "[") },
        Row(.running, "Exec of arguments that are none", .invalidArgument) {
            try await $0.exec("vm", exec: "e", process: #"{"args": "sh"}"#)
        },
        Row(.running, "Exec with an unknown stream", .invalidArgument) {
            try await $0.exec("vm", exec: "e", stdio: Stdio(stderr: "x"))
        },

        Row(.absent, "ResizePty", .notFound) { try await $0.resize("vm") },
        Row(.created, "ResizePty", nil) { try await $0.resize("vm") },
        Row(.stopped, "ResizePty", nil) { try await $0.resize("vm") },
        Row(.running, "ResizePty of an unknown exec", .notFound) { try await $0.resize("vm", exec: "e") },
        Row(.running, "CloseIO without input, twice", nil) {
            try await $0.closeInput("vm")
            try await $0.closeInput("vm")
        },
        Row(.stopped, "CloseIO", nil) { try await $0.closeInput("vm") },
        Row(.absent, "CloseIO", .notFound) { try await $0.closeInput("vm") },

        Row(.absent, "Update", .notFound) { try await $0.update("vm", "{}") },
        Row(.running, "Update", nil) {
            try await $0.update("vm", #"{"memory": {"limit": 1}, "devices": [{"allow": false}]}"#)
        },
        Row(.stopped, "Update", .notFound) { try await $0.update("vm", "{}") },
        Row(.running, "Update of the pod", nil) { try await $0.update("pod", "{}") },
        Row(.running, "Update with no JSON", .invalidArgument) { try await $0.update("vm", "") },
        Row(.running, "Update with another type", .invalidArgument) {
            try await $0.update("vm", #"{"cpu": {"quota": "1"}}"#)
        },

        Row(.absent, "Stats", .notFound) { try await $0.stats("vm") },
        Row(.running, "Stats", nil) { try await $0.stats("vm") },
        Row(.stopped, "Stats", nil) { try await $0.stats("vm") },
        Row(.deleted, "Stats", .notFound) { try await $0.stats("vm") },
        Row(.running, "Stats of the pod", .notFound) { try await $0.stats("pod") },

        // containerd asks with ids that it half knows after a restart, and takes an error for the shim's death.
        Row(.absent, "Connect", nil) { try await $0.connect("vm") },
        Row(.deleted, "Connect", nil) { try await $0.connect("vm") },
        Row(.running, "Shutdown", nil) { try await $0.shutdown("vm") },
    ]

    @Test(arguments: table)
    func answer(_ row: Row) async throws {
        let containerd = try await row.setup.make()
        #expect(await code { try await row.call(containerd) } == row.code)
    }

    @Test func connectNeverTellsOfProcess0() async throws {
        let containerd = try Containerd()
        #expect(try await containerd.connect("unknown").taskPid > 0)
        try await containerd.create("pod")
        try await containerd.create("vm")
        let pids = [try await containerd.connect("pod").taskPid, try await containerd.connect("vm").taskPid]
        #expect(pids.allSatisfy { $0 > 0 } && pids[0] != pids[1])
    }

    // MARK: The wire

    @Test(arguments: TaskMethod.allCases, [ServiceName.taskV2, ServiceName.taskV3])
    func aMalformedPayloadIsRefused(_ method: TaskMethod, service: String) async throws {
        let containerd = try Containerd()
        for payload: [UInt8] in [[0xff], [0x0a, 0x7f], [0x0a, 0x01, 0xff], [0x0b]] {
            let answer = await code { _ = try await containerd.call(method.rawValue, of: service, payload: payload) }
            #expect(answer == .invalidArgument, "\(payload)")
        }
        // The connection lives on.
        try await containerd.connect("pod")
    }

    /// Fields that nobody knows yet are ignored.
    @Test func unknownFieldsAreIgnored() async throws {
        let containerd = try Containerd()
        let request: [UInt8] = try Task_ConnectRequest.with { $0.id = "x" }.serializedBytes()
        let bytes = try await containerd.call("Connect", payload: request + [0xfa, 0x3f, 0x02, 0x61, 0x62])
        #expect(try Task_ConnectResponse(serializedBytes: bytes).taskPid > 0)
    }

    @Test func randomPayloadsDoNoHarm() async throws {
        let containerd = try Containerd()
        try await containerd.create("pod")
        var random = SeededGenerator(7)
        for method in TaskMethod.allCases where method != .shutdown {
            for _ in 0..<50 {
                let payload = (0..<Int.random(in: 0...60, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                _ = try? await containerd.call(method.rawValue, payload: payload)
            }
        }
        #expect(try await containerd.state("pod").status == .created)
    }

    @Test(arguments: [
        (ServiceName.taskV2, "Migrate"), (ServiceName.taskV3, "create"), (ServiceName.taskV2, ""),
        ("containerd.task.v4.Task", "State"), ("containerd.runtime.sandbox.v1.Sandbox", "CreateSandbox"), ("", "State"),
    ])
    func unknownMethodsAndServices(service: String, method: String) async throws {
        let containerd = try Containerd()
        #expect(await code { _ = try await containerd.call(method, of: service, payload: []) } == .unimplemented)
    }

    // MARK: Errors of other modules

    @Test(
        arguments: [
            (.notFound, .notFound), (.alreadyExists, .alreadyExists), (.failedPrecondition, .failedPrecondition),
            (.invalidArgument, .invalidArgument), (.unimplemented, .unimplemented),
            (.resourceExhausted, .resourceExhausted), (.unavailable, .unavailable), (.internalError, .internal),
        ] as [(SandboxError.Code, StatusCode)])
    func everyClassHasItsCode(_ of: SandboxError.Code, code: StatusCode) {
        #expect(StatusError(SandboxError(of, "x")) == StatusError(code, "x"))
    }

    /// What a host throws reaches the caller under the class that the host gives it.
    @Test(
        arguments: [
            (SystemError("write", "/x", code: ENOSPC), .resourceExhausted, "write /x: No space left on device"),
            (CgroupError.noHierarchy, .internal, CgroupError.noHierarchy.description),
            (SandboxError(.unavailable, "x"), .unavailable, "x"), (FakeError(call: "x"), .internal, nil),
            (CancellationError(), .internal, nil),
        ] as [(any Error, StatusCode, String?)])
    func aHostsErrorHasItsCode(_ error: any Error, code: StatusCode, sentence: String?) async throws {
        let containerd = try Containerd()
        containerd.host.fail("create vm", with: error)
        do {
            try await containerd.create("vm")
            Issue.record("Create succeeded")
        } catch let answer as StatusError {
            #expect(answer.code == code && (sentence == nil || answer.message == sentence), "\(answer.message)")
        }
    }

    @Test func sentencesReachTheCaller() async throws {
        let containerd = try Containerd()
        try await containerd.create("pod")
        func sentence(_ body: () async throws -> Void) async -> String? {
            do {
                try await body()
                return nil
            } catch {
                return (error as? StatusError)?.message
            }
        }
        #expect(
            await sentence { try await containerd.update("pod", #"{"cpu": {"quota": "1"}}"#) }
                == "Update of pod: resources.cpu.quota: has another type; a whole number is expected")
        #expect(
            await sentence { try await containerd.create("vm") { $0.bundle = "/none" } }
                == "open /none/config.json: No such file or directory")
        #expect(
            await sentence { try await containerd.state("vm") } == "container vm: no such container in this sandbox")
        #expect(
            await sentence { try await containerd.delete("pod", exec: "e") } == "exec e: no such exec in container pod")
    }
}

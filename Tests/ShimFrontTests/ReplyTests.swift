import ContainerdAPI
import Glibc
import LinuxSystem
import StateDirectory
import SwiftProtobuf
import TestSupport
import Testing
import Version

@testable import ShimFront

@Suite(.timeLimit(.minutes(1))) struct ReplyTests {
    private let node: Node

    init() throws {
        node = try Node()
        try node.sandboxBundle("pod")
    }

    private var address: String { "unix://\(node.state("pod").socket)" }

    /// What containerd 1.7 to 2.3 set, 2.x too: the number says nothing about what they take.
    private let later = ["MAX_SHIM_VERSION": "2", "TTRPC_ADDRESS": "/run/c.ttrpc", "NAMESPACE": "k8s.io"]

    private func parameters(_ change: (inout Containerd_BootstrapParams) -> Void = { _ in }) throws -> [UInt8] {
        var parameters = Containerd_BootstrapParams.with {
            $0.instanceID = "pod"
            $0.namespace = "k8s.io"
            $0.logLevel = .debug
            $0.containerdVersion = "v2.3.4"
            $0.containerdTtrpcAddress = "/run/containerd/containerd.sock.ttrpc"
            $0.containerdGrpcAddress = "/run/containerd/containerd.sock"
            $0.containerdBinary = "/usr/bin/containerd"
            $0.socketDir = "/run/containerd/s"
        }
        change(&parameters)
        return try parameters.serializedBytes()
    }

    private static func options() throws -> Google_Protobuf_Any {
        try Google_Protobuf_Any(
            bare: RuntimeOptions_Options.with { $0.configPath = "/etc/slipway/slipway.json" })
    }

    @Test func version() throws {
        let front = ShimFront(arguments: try ShimArguments(["-v"]), workingDirectory: "/", sandboxProgram: "")
        #expect(String(decoding: try front.run(), as: UTF8.self) == "\(Version.runtimeName) \(Version.text)\n")
    }

    @Test func info() throws {
        let front = ShimFront(
            arguments: try ShimArguments(["-info"]), standardInput: [0xff, 0xff], workingDirectory: "/",
            sandboxProgram: "")
        let info = try Containerd_RuntimeInfo(serializedBytes: front.run())
        #expect(info.name == Version.runtimeName && info.version.version == Version.text)
        // containerd 2.0 and later refuses id-mapped mounts altogether when this cannot be decoded.
        #expect(info.features.typeURL == "types.containerd.io/opencontainers/runtime-spec/1/features/Features")
        let features = try Google_Protobuf_Struct(jsonUTF8Bytes: info.features.bytes)
        #expect(features.fields["ociVersionMin"]?.stringValue == "1.0.0")
        let options = features.fields["mountOptions"]?.listValue.values.map(\.stringValue) ?? []
        #expect(options.contains("ro") && !options.contains("rro"))
    }

    @Test func containerd16TakesTheAddressAlone() async throws {
        #expect(try await node.start("pod", environment: ["TTRPC_ADDRESS": "/run/c.ttrpc"]) == address)
    }

    @Test func containerd16WithOptions() async throws {
        let options: [UInt8] = try Self.options().serializedBytes()
        #expect(try await node.start("pod", standardInput: options) == address)
    }

    @Test func containerd17To22TakeJSON() async throws {
        let options: [UInt8] = try Self.options().serializedBytes()
        for input in [[], options] {
            let reply = try await node.start("pod", environment: later, standardInput: input)
            let fields = try Google_Protobuf_Struct(jsonString: reply).fields
            #expect(fields["version"]?.numberValue == 2 && fields["protocol"]?.stringValue == "ttrpc")
            #expect(fields["address"]?.stringValue == address)
        }
    }

    @Test func containerd23TakesAMessage() async throws {
        let input = try parameters { $0.extensions = [.with { $0.value = (try? Self.options()) ?? .init() }] }
        let bytes = try await node.reply("pod", environment: later, standardInput: input)
        let result = try Containerd_BootstrapResult(serializedBytes: bytes)
        #expect(result.version == 3 && result.address == address && result.protocol == "ttrpc")
        // 2.3.0 to 2.3.3 trim white space before they decode.
        #expect(![9, 10, 11, 12, 13, 32].contains(bytes.first) && ![9, 10, 11, 12, 13, 32].contains(bytes.last))
        #expect(Array(bytes.prefix(2)) == [8, 3])
    }

    @Test func whereEventsGoIsTakenFromTheParameters() async throws {
        try await node.start("pod", environment: later, standardInput: try parameters())
        let expected = "-state \(node.state("pod").path) -ttrpc-address /run/containerd/containerd.sock.ttrpc\n"
        #expect(node.words == expected)
    }

    @Test func whereEventsGoIsTakenFromTheEnvironment() async throws {
        try await node.start("pod", environment: later)
        #expect(node.words == "-state \(node.state("pod").path) -ttrpc-address /run/c.ttrpc\n")
    }

    /// Any and BootstrapParams have the same wire types: one is told from the other by id and namespace together.
    @Test func whatIsOfAnotherSandboxIsNoParameters() async throws {
        for input in [
            try parameters { $0.instanceID = "other" }, try parameters { $0.namespace = "default" },
            try parameters { $0.instanceID = "" },
        ] {
            #expect(try await node.start("pod", environment: later, standardInput: input).hasPrefix(#"{"version":2,"#))
            #expect(try await node.start("pod", standardInput: input) == address)
        }
    }

    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
    func garbageOnStdinNeverFailsAStart(seed: UInt64) async throws {
        var random = SeededGenerator(seed)
        let valid = try parameters()
        var inputs: [[UInt8]] = [
            [0], [0xff], Array(repeating: 0x0a, count: 1 << 20), Array("{\"instance_id\":\"pod\"}".utf8),
        ]
        inputs += (0..<20).map { _ in
            (0..<Int.random(in: 1...200, using: &random)).map { _ in .random(in: 0...255, using: &random) }
        }
        inputs += (0..<20).map { _ in Array(valid.prefix(.random(in: 0..<valid.count, using: &random))) }
        inputs += (0..<20).map { _ in
            var bytes = valid
            bytes[.random(in: bytes.indices, using: &random)] = .random(in: 0...255, using: &random)
            return bytes
        }
        for input in inputs {
            let reply = try await node.reply("pod", environment: later, standardInput: input)
            let isJSON = reply.starts(with: Array(#"{"version":2,"address":"unix:///"#.utf8))
            #expect(isJSON || reply.starts(with: [8, 3]), "input \(input)")
        }
    }
}

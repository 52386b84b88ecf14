import FoundationEssentials
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import SwiftProtobuf
import Testing

@testable import CRIProtocol

/// The client through a real socket against a gRPC server in this process.
@Suite struct CRIClientTests {
    @Test func answersComeBackAndRequestsArriveWhole() async throws {
        try await withRuntime { client in
            let version = try await client.version()
            #expect(version.runtimeName == "made-up")
            let config = CRIPodSandboxConfig.with {
                $0.metadata.name = "tiny"
                $0.linux.resources.cpuQuota = 50_000
                $0.annotations = ["a": "b"]
            }
            let id = try await client.runPodSandbox(config, handler: "slipway")
            #expect(id == "tiny slipway 50000 a=b")
        }
    }

    @Test func refusalsKeepCodeAndWords() async throws {
        try await withRuntime { client in
            let error = await #expect(throws: CRIError.self) { try await client.containerStatus("gone") }
            #expect(error == CRIError(.containerStatus, .notFound, "container \"gone\": not found"))
            #expect(error?.description == "ContainerStatus failed: container \"gone\": not found")
        }
    }

    @Test func methodsThatTheRuntimeLacksAreUnimplemented() async throws {
        try await withRuntime { client in
            let error = await #expect(throws: CRIError.self) { try await client.containerStats("x") }
            #expect(error?.code == .unimplemented)
        }
    }

    @Test func callsRunAtTheSameTime() async throws {
        try await withRuntime { client in
            let names = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<100 { group.addTask { try await client.version().runtimeName } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(names.count == 100)
        }
    }

    @Test func aSocketThatNobodyServesIsUnavailable() async throws {
        try await CRIClient.connected(to: "/tmp/slipway-none-\(UUID().uuidString)") { client in
            let error = await #expect(throws: CRIError.self) { try await client.version() }
            #expect(error?.code == .unavailable, "found: \(error?.description ?? "no error")")
        }
    }

    @Test func everyMethodHasItsService() {
        for method in CRIMethod.allCases {
            let isImage = method.rawValue.contains("Image")
            #expect(method.service == "runtime.v1.\(isImage ? "Image" : "Runtime")Service")
        }
    }

    /// Field numbers are what peers read; these bytes are written by hand from the interface's numbers.
    @Test func bytesAreThoseOfTheInterface() throws {
        let metadata = CRIPodSandboxMetadata.with {
            $0.name = "a"
            $0.uid = "b"
            $0.namespace = "c"
            $0.attempt = 1
        }
        #expect(try metadata.serializedBytes() == [0x0a, 1, 0x61, 0x12, 1, 0x62, 0x1a, 1, 0x63, 0x20, 1] as [UInt8])
        let config = CRIContainerConfig.with {
            $0.logPath = "l"
            $0.stdin = true
            $0.tty = true
            $0.linux.resources.hugepageLimits = [
                .with {
                    $0.pageSize = "2MB"
                    $0.limit = 5
                }
            ]
        }
        let expected: [UInt8] =
            [0x5a, 1, 0x6c, 0x60, 1, 0x70, 1]  // 11: log_path, 12: stdin, 14: tty
            + [0x7a, 11, 0x0a, 9]  // 15: linux, 1: resources
            + [0x42, 7, 0x0a, 3, 0x32, 0x4d, 0x42, 0x10, 5]  // 8: hugepage_limits, 1: page_size, 2: limit
        #expect(try config.serializedBytes() == expected)
    }
}

/// Runs a made-up runtime at a socket of its own and connects to it.
private func withRuntime(_ body: @escaping @Sendable (CRIClient) async throws -> Void) async throws {
    let path = "/tmp/slipway-cri-\(UUID().uuidString).sock"
    let server = GRPCServer(
        transport: .http2NIOPosix(address: .unixDomainSocket(path: path), transportSecurity: .plaintext),
        services: [MadeUpRuntime()])
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await server.serve() }
        _ = try await server.listeningAddress
        try await CRIClient.connected(to: path, body)
        server.beginGracefulShutdown()
        try await group.waitForAll()
    }
    try? FileManager.default.removeItem(atPath: path)
}

private struct MadeUpRuntime: RegistrableRPCService {
    func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
        register(&router, .version) { (_: CRIVersionRequest) in
            CRIVersionResponse.with { $0.runtimeName = "made-up" }
        }
        register(&router, .runPodSandbox) { (request: CRIRunPodSandboxRequest) in
            CRIRunPodSandboxResponse.with {
                let config = request.config
                let annotations = config.annotations.map { "\($0)=\($1)" }.joined()
                $0.podSandboxID =
                    "\(config.metadata.name) \(request.runtimeHandler) \(config.linux.resources.cpuQuota) \(annotations)"
            }
        }
        register(&router, .containerStatus) { (request: CRIContainerStatusRequest) -> CRIContainerStatusResponse in
            throw RPCError(code: .notFound, message: "container \"\(request.containerID)\": not found")
        }
    }

    private func register<Transport: ServerTransport, Request: Message, Response: Message>(
        _ router: inout RPCRouter<Transport>, _ method: CRIMethod,
        _ answer: @escaping @Sendable (Request) throws -> Response
    ) {
        router.registerHandler(
            forMethod: MethodDescriptor(fullyQualifiedService: method.service, method: method.rawValue),
            deserializer: MessageDecoder<Request>(), serializer: MessageEncoder<Response>()
        ) { stream, _ in
            let request = try await ServerRequest(stream: stream)
            return StreamingServerResponse(single: ServerResponse(message: try answer(request.message)))
        }
    }
}

import CRIProtocol
import FoundationEssentials
import PodManifest
import SwiftProtobuf
import Synchronization
import Testing

@testable import SlipwayCommand

@Suite struct PodPlayerTests {
    private func playable(_ directory: String, image: String = "example.org/a:1") throws -> PlayablePod {
        let manifest = try Manifest(
            yaml: """
                apiVersion: v1
                kind: Pod
                metadata: {name: two}
                spec:
                  runtimeClassName: slipway
                  containers: [{name: a, image: "\(image)"}, {name: b, image: "\(image)"}]
                  volumes: [{name: v, emptyDir: {}}]
                """)
        let node = NodeFacts(
            name: "n", memory: 1 << 30, hugePageSizes: [], resolver: CRIDNSConfig(),
            podDirectory: "\(directory)/pods", logDirectory: "\(directory)/logs")
        return try PlayablePod(
            try #require(manifest.pods.first), of: manifest, on: node, uid: UUID().uuidString.lowercased())
    }

    private func withDirectory(_ body: (String) async throws -> Void) async throws {
        let directory = "/tmp/slipway-player-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: "\(directory)/pods", withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: "\(directory)/logs", withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try await body(directory)
    }

    private func player(_ runtime: FakeRuntime, pull: RunCommand.Pull? = nil) -> PodPlayer<FakeRuntime> {
        PodPlayer(runtime: runtime, progress: Progress(quiet: true), pull: pull)
    }

    @Test func callsComeInTheKubeletsOrder() async throws {
        try await withDirectory { directory in
            let runtime = FakeRuntime()
            let started = try await player(runtime).start(try playable(directory))
            #expect(started.addresses == ["10.0.0.9"] && started.containers.map(\.name) == ["a", "b"])
            #expect(
                runtime.calls == [
                    .listPodSandbox, .listContainers, .imageStatus, .pullImage, .imageStatus, .pullImage,
                    .runPodSandbox,
                    .podSandboxStatus, .createContainer, .startContainer, .createContainer, .startContainer,
                ])
        }
    }

    @Test(arguments: [CRIMethod.runPodSandbox, .podSandboxStatus, .createContainer, .startContainer])
    func aFailedStartIsTakenBack(failing: CRIMethod) async throws {
        try await withDirectory { directory in
            let runtime = FakeRuntime(failing: failing)
            let playable = try playable(directory)
            let error = await #expect(throws: (any Error).self) { try await player(runtime).start(playable) }
            #expect((error as? CRIError)?.message == "made to fail")
            #expect(runtime.sandboxes.isEmpty && runtime.containers.isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(directory)/pods") == [])
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(directory)/logs") == [])
        }
    }

    @Test func aSecondPodOfTheNameIsRefused() async throws {
        try await withDirectory { directory in
            let runtime = FakeRuntime()
            _ = try await player(runtime).start(try playable(directory))
            let error = await #expect(throws: CommandFailure.self) {
                try await player(runtime).start(try playable(directory))
            }
            #expect(error?.description.contains("pod default/two is already there") == true)
            #expect(runtime.sandboxes.count == 1)
        }
    }

    @Test func pullPolicies() async throws {
        try await withDirectory { directory in
            let runtime = FakeRuntime()
            let error = await #expect(throws: CommandFailure.self) {
                try await player(runtime, pull: .never).start(try playable(directory))
            }
            #expect(error?.status == .notFound)
            #expect(!runtime.calls.contains(.pullImage) && !runtime.calls.contains(.runPodSandbox))
        }
        func policy(_ image: String) throws -> RunCommand.Pull {
            RunCommand.Pull(try #require(try playable("/none", image: image).pod.spec.containers.first))
        }
        #expect(try policy("localhost:5000/a") == .always)
        #expect(try policy("localhost:5000/a:latest") == .always)
        #expect(try policy("a:1") == .missing)
        #expect(try policy("a@sha256:00") == .missing)
    }

    @Test func removalUsesThePodsOwnGrace() async throws {
        try await withDirectory { directory in
            let runtime = FakeRuntime()
            let playable = try playable(directory)
            _ = try await player(runtime).start(playable)
            let pod = try #require(try await PodEntry.all(runtime).first)
            #expect(pod.isPlayed && pod.isMachine && !pod.isKubelets)
            let left = await PodRemoval(runtime: runtime, remains: PodRemains(playable)).remove(pod, grace: nil)
            #expect(left == [])
            #expect(runtime.graces == [30, 30])
            #expect(runtime.sandboxes.isEmpty && runtime.containers.isEmpty)
            #expect(!FileManager.default.fileExists(atPath: playable.directory))
        }
    }
}

/// A runtime in memory that can be made to fail at one call.
private final class FakeRuntime: CRICalls {
    private struct State {
        var calls: [CRIMethod] = []
        var sandboxes: [CRIPodSandbox] = []
        var containers: [CRIContainer] = []
        var graces: [Int64] = []
    }

    private let failing: CRIMethod?
    private let state = Mutex(State())

    init(failing: CRIMethod? = nil) {
        self.failing = failing
    }

    var calls: [CRIMethod] { state.withLock { $0.calls } }
    var sandboxes: [CRIPodSandbox] { state.withLock { $0.sandboxes } }
    var containers: [CRIContainer] { state.withLock { $0.containers } }
    var graces: [Int64] { state.withLock { $0.graces } }

    func call<Response: Message>(
        _ method: CRIMethod, _ request: some Message, _ type: Response.Type, timeout: Duration?
    ) async throws(CRIError) -> Response {
        let response = state.withLock { state in answer(method, request, &state) }
        if method == failing { throw CRIError(method, .unknown, "made to fail") }
        guard let response else { return Response() }
        guard let response = response as? Response else { throw CRIError(method, .unknown, "wrong type") }
        return response
    }

    private func answer(_ method: CRIMethod, _ request: any Message, _ state: inout State) -> (any Message)? {
        state.calls.append(method)
        switch request {
        case let request as CRIRunPodSandboxRequest:
            state.sandboxes.append(
                .with {
                    $0.id = "sandbox"
                    $0.metadata = request.config.metadata
                    $0.annotations = request.config.annotations
                    $0.runtimeHandler = request.runtimeHandler
                })
            return CRIRunPodSandboxResponse.with { $0.podSandboxID = "sandbox" }
        case let request as CRICreateContainerRequest:
            state.containers.append(
                .with {
                    $0.id = request.config.metadata.name
                    $0.podSandboxID = request.podSandboxID
                    $0.metadata = request.config.metadata
                    $0.annotations = request.config.annotations
                })
            return CRICreateContainerResponse.with { $0.containerID = request.config.metadata.name }
        case let request as CRIStartContainerRequest:
            state.containers = state.containers.map { container in
                var container = container
                if container.id == request.containerID { container.state = .containerRunning }
                return container
            }
        case let request as CRIStopContainerRequest: state.graces.append(request.timeout)
        case let request as CRIRemoveContainerRequest: state.containers.removeAll { $0.id == request.containerID }
        case let request as CRIRemovePodSandboxRequest: state.sandboxes.removeAll { $0.id == request.podSandboxID }
        case is CRIListPodSandboxRequest: return CRIListPodSandboxResponse.with { $0.items = state.sandboxes }
        case is CRIListContainersRequest: return CRIListContainersResponse.with { $0.containers = state.containers }
        case is CRIPodSandboxStatusRequest:
            return CRIPodSandboxStatusResponse.with { $0.status.network.ip = "10.0.0.9" }
        case let request as CRIContainerStatusRequest:
            let container = state.containers.first { $0.id == request.containerID }
            return CRIContainerStatusResponse.with { $0.status.annotations = container?.annotations ?? [:] }
        default: break
        }
        return nil
    }
}

import ContainerIO
import ContainerdAPI
import Glibc
import LinuxSystem
import Sandbox
import SandboxFakes
import SwiftProtobuf
import Synchronization
import TTRPC
import TaskService
import TestSupport

/// A sandbox on a node of fakes, and containerd at the other end of both sockets: it calls Task and takes the events.
final class Containerd: Sendable {
    let directory: TemporaryDirectory
    let host = FakeHost()
    let inbox: Inbox
    let publisher: EventPublisher
    let sandbox: Sandbox
    let ended = Flag()
    /// What the publisher complained of.
    let complaints = Journal()
    private let service: String
    private let server: Server
    private let connection: Mutex<Client>

    /// - Parameters:
    ///   - service: the Task service's name, by version.
    ///   - listening: whether the Events service does.
    init(_ service: String = ServiceName.taskV2, listening: Bool = true) throws {
        _ = signal(SIGPIPE, SIG_IGN)
        self.service = service
        directory = try TemporaryDirectory()
        inbox = Inbox(path: directory("events.sock"))
        if listening { try inbox.start() }
        publisher = EventPublisher(
            address: "unix://\(inbox.path)", namespace: "k8s.io", log: { [complaints] in complaints.note($0) })
        sandbox = Sandbox(namespace: "k8s.io", id: "pod", host: host, events: publisher, console: nil) {
            [ended] in ended.raise()
        }
        server = Server(services: TaskService(sandbox, version: "1.2.3").services)
        try server.listen(on: UnixSocket.listen(directory("shim.sock")))
        connection = Mutex(try Client(path: directory("shim.sock")))
    }

    deinit {
        connection.withLock { $0.close() }
        let server = server
        Task { await server.shutdown(within: .zero) }
    }

    /// A new connection, as after containerd's restart; the calls in flight are lost.
    func reconnect() throws {
        let client = try Client(path: directory("shim.sock"))
        connection.withLock { old in
            old.close()
            old = client
        }
    }

    func call(_ method: String, of service: String? = nil, payload: [UInt8]) async throws -> [UInt8] {
        let client = connection.withLock { $0 }
        return try await client.call(service ?? self.service, method, payload: payload, timeout: .seconds(30))
    }

    private func call<Response: Message>(_ method: TaskMethod, _ request: some Message) async throws -> Response {
        let client = connection.withLock { $0 }
        return try await client.call(
            service, method.rawValue, request, returning: Response.self, timeout: .seconds(30),
            metadata: [namespaceMetadataKey: ["k8s.io"]])
    }

    private func order(_ method: TaskMethod, _ request: some Message) async throws {
        let _: Google_Protobuf_Empty = try await call(method, request)
    }

    // MARK: The methods

    /// A bundle with a `config.json`.
    func bundle(_ id: String) throws -> String {
        let type = id == "pod" ? "sandbox" : "container"
        try directory.write(
            "\(id)/config.json",
            """
            {"annotations": {"io.kubernetes.cri.container-type": "\(type)", "io.kubernetes.cri.sandbox-id": "pod"}}
            """)
        return directory(id)
    }

    @discardableResult
    func create(
        _ id: String, stdio: Stdio = Stdio(), _ change: (inout Task_CreateTaskRequest) -> Void = { _ in }
    ) async throws -> UInt32 {
        var request = Task_CreateTaskRequest.with {
            $0.id = id
            $0.stdin = stdio.stdin
            $0.stdout = stdio.stdout
            $0.stderr = stdio.stderr
            $0.terminal = stdio.terminal
        }
        request.bundle = try bundle(id)
        change(&request)
        let response: Task_CreateTaskResponse = try await call(.create, request)
        return response.pid
    }

    @discardableResult
    func start(_ id: String, exec: String = "") async throws -> UInt32 {
        let request = Task_StartRequest.with {
            $0.id = id
            $0.execID = exec
        }
        let response: Task_StartResponse = try await call(.start, request)
        return response.pid
    }

    @discardableResult
    func state(_ id: String, exec: String = "") async throws -> Task_StateResponse {
        let request = Task_StateRequest.with {
            $0.id = id
            $0.execID = exec
        }
        return try await call(.state, request)
    }

    @discardableResult
    func connect(_ id: String) async throws -> Task_ConnectResponse {
        try await call(.connect, Task_ConnectRequest.with { $0.id = id })
    }

    /// Waits until the end, however long that takes.
    func wait(_ id: String, exec: String = "") async throws -> Task_WaitResponse {
        let request = Task_WaitRequest.with {
            $0.id = id
            $0.execID = exec
        }
        return try await call(.wait, request)
    }

    func kill(_ id: String, exec: String = "", _ signal: UInt32, all: Bool = false) async throws {
        let request = Task_KillRequest.with {
            $0.id = id
            $0.execID = exec
            $0.signal = signal
            $0.all = all
        }
        try await order(.kill, request)
    }

    @discardableResult
    func delete(_ id: String, exec: String = "") async throws -> Task_DeleteResponse {
        let request = Task_DeleteRequest.with {
            $0.id = id
            $0.execID = exec
        }
        return try await call(.delete, request)
    }

    func pids(_ id: String) async throws -> [Task_ProcessInfo] {
        let response: Task_PidsResponse = try await call(.pids, Task_PidsRequest.with { $0.id = id })
        return response.processes
    }

    @discardableResult
    func stats(_ id: String) async throws -> Google_Protobuf_Any {
        let response: Task_StatsResponse = try await call(.stats, Task_StatsRequest.with { $0.id = id })
        return response.stats
    }

    func exec(
        _ id: String, exec: String, stdio: Stdio = Stdio(),
        process: String = #"{"args": ["/bin/true"], "env": ["A=b"]}"#
    ) async throws {
        let request = Task_ExecProcessRequest.with {
            $0.id = id
            $0.execID = exec
            $0.stdin = stdio.stdin
            $0.stdout = stdio.stdout
            $0.stderr = stdio.stderr
            $0.terminal = stdio.terminal
            $0.spec = Google_Protobuf_Any(typeURL: TypeURL.ociProcess, bytes: Array(process.utf8))
        }
        try await order(.exec, request)
    }

    func pause(_ id: String) async throws { try await order(.pause, Task_PauseRequest.with { $0.id = id }) }

    func resume(_ id: String) async throws { try await order(.resume, Task_ResumeRequest.with { $0.id = id }) }

    func checkpoint(_ id: String) async throws {
        try await order(.checkpoint, Task_CheckpointTaskRequest.with { $0.id = id })
    }

    func update(_ id: String, _ resources: String) async throws {
        let request = Task_UpdateTaskRequest.with {
            $0.id = id
            $0.resources = Google_Protobuf_Any(typeURL: TypeURL.ociLinuxResources, bytes: Array(resources.utf8))
        }
        try await order(.update, request)
    }

    func resize(_ id: String, exec: String = "") async throws {
        let request = Task_ResizePtyRequest.with {
            $0.id = id
            $0.execID = exec
            $0.width = 80
            $0.height = 24
        }
        try await order(.resizePty, request)
    }

    func closeInput(_ id: String, exec: String = "") async throws {
        let request = Task_CloseIORequest.with {
            $0.id = id
            $0.execID = exec
            $0.stdin = true
        }
        try await order(.closeIO, request)
    }

    func shutdown(_ id: String, now: Bool = false) async throws {
        let request = Task_ShutdownRequest.with {
            $0.id = id
            $0.now = now
        }
        try await order(.shutdown, request)
    }
}

/// The code that a call fails with; nil: it succeeds.
func code(_ body: () async throws -> Void) async -> StatusCode? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? StatusError)?.code ?? .ok
    }
}

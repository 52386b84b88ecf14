import Cgroup
import ContainerIO
import ContainerdAPI
import FoundationEssentials
import Glibc
import OCIRuntimeSpec
public import Sandbox
import SwiftProtobuf
public import TTRPC

/// containerd's Task service over a ``Sandbox``: decodes, calls, encodes. Versions 2 and 3 differ in their name alone.
public struct TaskService: Sendable {
    private let sandbox: Sandbox
    private let version: String

    /// A service for one sandbox.
    ///
    /// - Parameter version: what Connect tells.
    public init(_ sandbox: Sandbox, version: String) {
        self.sandbox = sandbox
        self.version = version
    }

    /// The services to register on the sandbox's socket.
    public var services: [Service] {
        let service = makeService()
        return [service, service.renamed(ServiceName.taskV3)]
    }

    private func makeService() -> Service {
        var service = Service(ServiceName.taskV2)
        func on<Request: Message, Response: Message>(
            _ method: TaskMethod, _ handler: @escaping @Sendable (Request) async throws -> Response
        ) {
            service.register(method.rawValue) { (request: Request, _: Call) async throws -> Response in
                do {
                    return try await handler(request)
                } catch {
                    throw StatusError(sandbox.classify(error))
                }
            }
        }
        on(.state, state)
        on(.create, create)
        on(.start, start)
        on(.delete, delete)
        on(.pids, pids)
        on(.pause, pause)
        on(.resume, resume)
        on(.checkpoint, checkpoint)
        on(.kill, kill)
        on(.exec, exec)
        on(.resizePty, resizePty)
        on(.closeIO, closeIO)
        on(.update, update)
        on(.wait, wait)
        on(.stats, stats)
        on(.connect, connect)
        on(.shutdown, shutdown)
        return service
    }

    @Sendable private func state(_ request: Task_StateRequest) async throws -> Task_StateResponse {
        let status = try await sandbox.status(request.id, exec: request.execID)
        return .with {
            $0.id = request.id
            $0.execID = request.execID
            $0.bundle = status.bundle
            $0.pid = status.pid
            $0.stdin = status.stdio.stdin
            $0.stdout = status.stdio.stdout
            $0.stderr = status.stdio.stderr
            $0.terminal = status.stdio.terminal
            $0.status =
                switch status.state {
                case .created: .created
                case .running: .running
                case .stopped: .stopped
                case .paused: .paused
                }
            if let exit = status.exit {
                $0.exitStatus = exit.status
                $0.exitedAt = Google_Protobuf_Timestamp(exit.at)
            }
        }
    }

    @Sendable private func create(_ request: Task_CreateTaskRequest) async throws -> Task_CreateTaskResponse {
        guard !request.id.isEmpty, !request.bundle.isEmpty else {
            throw SandboxError(.invalidArgument, "Create: id and bundle have to be given")
        }
        guard request.checkpoint.isEmpty else {
            throw SandboxError(.unimplemented, "Create: a machine cannot be restored from a checkpoint")
        }
        // Options of another type, as containerd adds them for pods with a user namespace, are no concern of ours.
        let options = request.hasOptions ? try? request.options.message(as: RuntimeOptions_Options.self) : nil
        let pid = try await sandbox.create(
            CreateRequest(
                id: request.id, bundle: request.bundle,
                rootfs: request.rootfs.map {
                    RootfsMount(type: $0.type, source: $0.source, target: $0.target, options: $0.options)
                },
                stdio: Stdio(
                    stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, terminal: request.terminal),
                configPath: options.flatMap { $0.configPath.isEmpty ? nil : $0.configPath }))
        return .with { $0.pid = pid }
    }

    @Sendable private func start(_ request: Task_StartRequest) async throws -> Task_StartResponse {
        let pid = try await sandbox.start(request.id, exec: request.execID)
        return .with { $0.pid = pid }
    }

    @Sendable private func delete(_ request: Task_DeleteRequest) async throws -> Task_DeleteResponse {
        let (pid, exit) = try await sandbox.delete(request.id, exec: request.execID)
        return .with {
            $0.pid = pid
            $0.exitStatus = exit.status
            $0.exitedAt = Google_Protobuf_Timestamp(exit.at)
        }
    }

    @Sendable private func pids(_ request: Task_PidsRequest) async throws -> Task_PidsResponse {
        let pids = try await sandbox.pids(of: request.id)
        return try .with { response in
            response.processes = try pids.map { pid, exec in
                try .with {
                    $0.pid = pid
                    if let exec {
                        $0.info = try Google_Protobuf_Any(bare: Runc_ProcessDetails.with { $0.execID = exec })
                    }
                }
            }
        }
    }

    @Sendable private func pause(_ request: Task_PauseRequest) async throws -> Google_Protobuf_Empty {
        try await sandbox.pause(request.id)
        return Google_Protobuf_Empty()
    }

    @Sendable private func resume(_ request: Task_ResumeRequest) async throws -> Google_Protobuf_Empty {
        try await sandbox.resume(request.id)
        return Google_Protobuf_Empty()
    }

    @Sendable private func checkpoint(_ request: Task_CheckpointTaskRequest) async throws -> Google_Protobuf_Empty {
        throw SandboxError(.unimplemented, "container \(request.id): machines have no checkpoints")
    }

    @Sendable private func kill(_ request: Task_KillRequest) async throws -> Google_Protobuf_Empty {
        try await sandbox.kill(request.id, exec: request.execID, signal: request.signal, all: request.all)
        return Google_Protobuf_Empty()
    }

    @Sendable private func exec(_ request: Task_ExecProcessRequest) async throws -> Google_Protobuf_Empty {
        let process: Spec.Process
        do {
            process = try JSONDecoder().decode(Spec.Process.self, from: Data(request.spec.bytes))
        } catch {
            throw SandboxError(.invalidArgument, "exec \(request.execID): spec: is no OCI process (\(error))")
        }
        try await sandbox.exec(
            request.id, exec: request.execID,
            stdio: Stdio(
                stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, terminal: request.terminal),
            arguments: process.args ?? [], environment: process.env ?? [])
        return Google_Protobuf_Empty()
    }

    @Sendable private func resizePty(_ request: Task_ResizePtyRequest) async throws -> Google_Protobuf_Empty {
        try await sandbox.resize(request.id, exec: request.execID)
        return Google_Protobuf_Empty()
    }

    @Sendable private func closeIO(_ request: Task_CloseIORequest) async throws -> Google_Protobuf_Empty {
        if request.stdin { try await sandbox.closeInput(request.id, exec: request.execID) }
        return Google_Protobuf_Empty()
    }

    @Sendable private func update(_ request: Task_UpdateTaskRequest) async throws -> Google_Protobuf_Empty {
        let resources: Spec.Resources
        do {
            resources = try Spec.decodeResources(request.resources.bytes)
        } catch {
            let field = error.field.isEmpty ? "resources" : "resources.\(error.field)"
            throw SandboxError(.invalidArgument, "Update of \(request.id): \(field): \(error.problem)")
        }
        try await sandbox.update(request.id, CgroupResources(resources))
        return Google_Protobuf_Empty()
    }

    @Sendable private func wait(_ request: Task_WaitRequest) async throws -> Task_WaitResponse {
        let exit = try await sandbox.wait(request.id, exec: request.execID)
        return .with {
            $0.exitStatus = exit.status
            $0.exitedAt = Google_Protobuf_Timestamp(exit.at)
        }
    }

    @Sendable private func stats(_ request: Task_StatsRequest) async throws -> Task_StatsResponse {
        let metrics = try await sandbox.metrics(request.id)
        return try .with { $0.stats = try Google_Protobuf_Any(metrics) }
    }

    @Sendable private func connect(_ request: Task_ConnectRequest) async throws -> Task_ConnectResponse {
        let pid = await sandbox.pid(of: request.id)
        return .with {
            $0.shimPid = UInt32(getpid())
            $0.taskPid = pid
            $0.version = version
        }
    }

    @Sendable private func shutdown(_ request: Task_ShutdownRequest) async throws -> Google_Protobuf_Empty {
        await sandbox.shutdown(now: request.now)
        return Google_Protobuf_Empty()
    }
}

extension Google_Protobuf_Timestamp {
    init(_ time: Timestamp) {
        self.init(seconds: time.seconds, nanos: time.nanoseconds)
    }
}

import ContainerdAPI
import SwiftProtobuf
import Testing

/// Bytes that containerd sends and expects.
struct MessageTests {
    @Test func connect() throws {
        #expect(try Task_ConnectRequest(serializedBytes: hex("0a03616263")).id == "abc")
        let response = Task_ConnectResponse.with {
            $0.shimPid = 100
            $0.taskPid = 200
        }
        #expect(try response.serializedBytes() == hex("086410c801"))
    }

    @Test func deleteResponse() throws {
        let response = Task_DeleteResponse.with {
            $0.pid = 4242
            $0.exitStatus = 137
            $0.exitedAt.seconds = 1_700_000_000
        }
        #expect(try response.serializedBytes() == hex("0892211089011a060880e2cfaa06"))
    }

    @Test func bootstrapResult() throws {
        let result = Containerd_BootstrapResult.with {
            $0.version = 3
            $0.address = "unix:///run/containerd/s/x"
            $0.protocol = "ttrpc"
        }
        #expect(
            try result.serializedBytes()
                == hex("0803 121a756e69783a2f2f2f72756e2f636f6e7461696e6572642f732f78 1a057474727063"))
    }

    @Test func logLevelsAreOpen() throws {
        let trace = Containerd_BootstrapParams.with { $0.logLevel = .trace }
        #expect(try trace.serializedBytes() == hex("18 f8ffffffffffffffff01"))
        let unknown = try Containerd_BootstrapParams(serializedBytes: hex("18 02"))
        #expect(unknown.logLevel == .UNRECOGNIZED(2))
        #expect(try unknown.serializedBytes() == hex("18 02"))
    }

    @Test func bootstrapParametersAreToldFromAny() throws {
        let parameters = Containerd_BootstrapParams.with {
            $0.instanceID = "pod"
            $0.namespace = "k8s.io"
            $0.socketDir = "/run/containerd/s"
        }
        let bytes: [UInt8] = try parameters.serializedBytes()
        #expect(Containerd_BootstrapParams(standardInput: bytes, id: "pod", namespace: "k8s.io") == parameters)
        #expect(Containerd_BootstrapParams(standardInput: bytes, id: "other", namespace: "k8s.io") == nil)
        let options = try Google_Protobuf_Any(bare: RuntimeOptions_Options.with { $0.configPath = "/etc/x" })
        let any: [UInt8] = try options.serializedBytes()
        #expect(Containerd_BootstrapParams(standardInput: any, id: "pod", namespace: "k8s.io") == nil)
        #expect(Containerd_BootstrapParams(standardInput: [], id: "pod", namespace: "k8s.io") == nil)
        #expect(Containerd_BootstrapParams(standardInput: [0xff], id: "pod", namespace: "k8s.io") == nil)
    }

    @Test func typeURLsAreBare() throws {
        let exit = Event_TaskExit.with { $0.containerID = "c" }
        let any = try Google_Protobuf_Any(bare: exit)
        #expect(any.typeURL == "containerd.events.TaskExit")
        #expect(try any.message(as: Event_TaskExit.self) == exit)
        #expect(try any.message(as: Event_TaskStart.self) == nil)
        // As it comes over the wire, with and without a prefix.
        var received = try Google_Protobuf_Any(serializedBytes: any.serializedBytes() as [UInt8])
        #expect(try received.message(as: Event_TaskExit.self) == exit)
        received = Google_Protobuf_Any(typeURL: "type.googleapis.com/containerd.events.TaskExit", bytes: any.bytes)
        #expect(received.typeName == "containerd.events.TaskExit")
        #expect(try received.message(as: Event_TaskExit.self) == exit)
        let malformed = Google_Protobuf_Any(typeURL: "containerd.events.TaskExit", bytes: [0xff])
        #expect(throws: (any Error).self) { try malformed.message(as: Event_TaskExit.self) }
        #expect(TypeURL.runtimeOptions == "runtimeoptions.v1.Options")
        let spec = Google_Protobuf_Any(typeURL: TypeURL.ociProcess, bytes: Array("{}".utf8))
        #expect(spec.bytes == Array("{}".utf8))
        #expect(spec.typeName == "Process")
    }

    @Test func names() {
        #expect(
            [
                Task_CreateTaskRequest.protoMessageName, Task_ProcessInfo.protoMessageName,
                Containerd_Mount.protoMessageName, Containerd_RuntimeInfo.protoMessageName,
                Containerd_Envelope.protoMessageName, Events_ForwardRequest.protoMessageName,
                CgroupsV1_Metrics.protoMessageName, CgroupsV2_Metrics.protoMessageName,
                Runc_ProcessDetails.protoMessageName,
            ] == [
                "containerd.task.v2.CreateTaskRequest", "containerd.v1.types.ProcessInfo",
                "containerd.types.Mount", "containerd.types.RuntimeInfo",
                "containerd.types.Envelope", "containerd.services.events.ttrpc.v1.ForwardRequest",
                "io.containerd.cgroups.v1.Metrics", "io.containerd.cgroups.v2.Metrics",
                "containerd.runc.v1.ProcessDetails",
            ])
        #expect(TaskMethod.allCases.count == 17)
    }

    @Test func topics() {
        let events: [any TaskEvent.Type] = [
            Event_TaskCreate.self, Event_TaskStart.self, Event_TaskExit.self, Event_TaskDelete.self,
            Event_TaskOOM.self, Event_TaskExecAdded.self, Event_TaskExecStarted.self, Event_TaskPaused.self,
            Event_TaskResumed.self, Event_TaskCheckpointed.self,
        ]
        #expect(
            events.map { $0.topic } == [
                "/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete", "/tasks/oom", "/tasks/exec-added",
                "/tasks/exec-started", "/tasks/paused", "/tasks/resumed", "/tasks/checkpointed",
            ])
    }
}

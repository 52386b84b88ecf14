/// Full names of the ttrpc services between containerd and a shim.
public enum ServiceName {
    /// The Task service of containerd 1.6 and later.
    public static let taskV2 = "containerd.task.v2.Task"
    /// The Task service of containerd 2.0 and later; methods and messages are those of ``taskV2``.
    public static let taskV3 = "containerd.task.v3.Task"
    /// containerd's own service, at `TTRPC_ADDRESS`, that takes events.
    public static let events = "containerd.services.events.ttrpc.v1.Events"
}

/// The methods of the Task service, by their names on the wire.
public enum TaskMethod: String, CaseIterable, Sendable {
    case state = "State"
    case create = "Create"
    case start = "Start"
    case delete = "Delete"
    case pids = "Pids"
    case pause = "Pause"
    case resume = "Resume"
    case checkpoint = "Checkpoint"
    case kill = "Kill"
    case exec = "Exec"
    case resizePty = "ResizePty"
    case closeIO = "CloseIO"
    case update = "Update"
    case wait = "Wait"
    case stats = "Stats"
    case connect = "Connect"
    case shutdown = "Shutdown"
}

/// The methods of the service that takes events.
public enum EventsMethod: String, CaseIterable, Sendable {
    case forward = "Forward"
}

/// The metadata key under which containerd sends its namespace with each call, and a shim with each event.
public let namespaceMetadataKey = "containerd-namespace-ttrpc"

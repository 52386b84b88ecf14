public import SwiftProtobuf

/// Topics of our own, whose events are a `google.protobuf.Struct`: a type that every client of containerd can read.
public enum NICTopic {
    /// A NIC was plugged into the running guest: `container_id`, `link`.
    public static let plugged = "/slipway/nic-plugged"
    /// A NIC has left the running guest: `container_id`, `link`.
    public static let unplugged = "/slipway/nic-unplugged"
    /// A NIC could not be had or changed: `container_id`, `link`, `reason`.
    public static let failed = "/slipway/nic-failed"
}

/// A message that is published under a topic of its own.
public protocol TaskEvent: Message, Sendable {
    /// The topic, beginning with `/`.
    static var topic: String { get }
}

extension Event_TaskCreate: TaskEvent {
    /// `/tasks/create`
    public static let topic = "/tasks/create"
}

extension Event_TaskStart: TaskEvent {
    /// `/tasks/start`
    public static let topic = "/tasks/start"
}

extension Event_TaskExit: TaskEvent {
    /// `/tasks/exit`
    public static let topic = "/tasks/exit"
}

extension Event_TaskDelete: TaskEvent {
    /// `/tasks/delete`
    public static let topic = "/tasks/delete"
}

extension Event_TaskOOM: TaskEvent {
    /// `/tasks/oom`
    public static let topic = "/tasks/oom"
}

extension Event_TaskExecAdded: TaskEvent {
    /// `/tasks/exec-added`
    public static let topic = "/tasks/exec-added"
}

extension Event_TaskExecStarted: TaskEvent {
    /// `/tasks/exec-started`
    public static let topic = "/tasks/exec-started"
}

extension Event_TaskPaused: TaskEvent {
    /// `/tasks/paused`
    public static let topic = "/tasks/paused"
}

extension Event_TaskResumed: TaskEvent {
    /// `/tasks/resumed`
    public static let topic = "/tasks/resumed"
}

extension Event_TaskCheckpointed: TaskEvent {
    /// `/tasks/checkpointed`
    public static let topic = "/tasks/checkpointed"
}

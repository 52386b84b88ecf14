internal import FoundationEssentials
public import SwiftProtobuf

/// Type URLs as containerd's typeurl package writes them: a protobuf message under its bare full name, without
/// `type.googleapis.com/`, since some of containerd's decoders compare the text exactly; JSON under a path.
public enum TypeURL {
    /// JSON of an OCI process (`Exec.spec`).
    public static let ociProcess = "types.containerd.io/opencontainers/runtime-spec/1/Process"
    /// JSON of an OCI runtime configuration.
    public static let ociSpec = "types.containerd.io/opencontainers/runtime-spec/1/Spec"
    /// JSON of OCI Linux resources (`Update.resources`).
    public static let ociLinuxResources = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources"
    /// JSON of the OCI runtime's features (`RuntimeInfo.features`).
    public static let ociFeatures = "types.containerd.io/opencontainers/runtime-spec/1/features/Features"
    /// The runtime options of handlers whose runtime containerd does not know.
    public static let runtimeOptions = RuntimeOptions_Options.protoMessageName
    /// runc's options, which containerd also sends to other runtimes for pods with a user namespace.
    public static let runcOptions = "containerd.runc.v1.Options"
    /// The pod's configuration, given as options with the sandbox API.
    public static let podSandboxConfig = "runtime.v1.PodSandboxConfig"
}

extension Google_Protobuf_Any {
    /// A message under its bare full name.
    ///
    /// - Throws: an error of SwiftProtobuf when the message cannot be serialized (beyond 2 GiB).
    public init(bare message: some Message) throws {
        self.init()
        typeURL = type(of: message).protoMessageName
        value = try message.serializedData()
    }

    /// JSON, or other bytes, under a type URL.
    public init(typeURL: String, bytes: [UInt8]) {
        self.init()
        self.typeURL = typeURL
        value = Data(bytes)
    }

    /// The type's name: what follows the last `/` of the type URL, or all of it.
    public var typeName: String {
        guard let slash = typeURL.lastIndex(of: "/") else { return typeURL }
        return String(typeURL[typeURL.index(after: slash)...])
    }

    /// The message if it is one of this type, whatever prefix the type URL has; nil if it is of another type.
    ///
    /// - Throws: an error of SwiftProtobuf when the type is right but the bytes are malformed.
    public func message<M: Message>(as type: M.Type) throws -> M? {
        guard typeName == M.protoMessageName else { return nil }
        return try M(serializedBytes: value)
    }

    /// The value as bytes.
    public var bytes: [UInt8] { [UInt8](value) }
}

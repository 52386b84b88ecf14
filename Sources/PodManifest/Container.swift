/// One container of a Pod; under Slipway's runtime classes the one with the disk image is the machine.
public struct Container: Codable, Equatable, Sendable {
    /// A DNS label, one of its kind in the pod.
    public var name: String
    /// Image reference.
    public var image: String
    /// When to pull; nil is Always for `:latest` and untagged references, else IfNotPresent.
    public var imagePullPolicy: ImagePullPolicy?
    /// Replaces the image's entrypoint.
    public var command: [String]?
    /// Replaces the image's arguments.
    public var args: [String]?
    /// Replaces the image's working directory.
    public var workingDir: String?
    /// Variables; they win over ``envFrom``.
    public var env: [EnvironmentVariable]?
    /// Whole ConfigMaps and Secrets as variables; later ones win.
    public var envFrom: [EnvironmentSource]?
    /// What it needs and what it may use.
    public var resources: Resources?
    /// Where the pod's volumes appear.
    public var volumeMounts: [VolumeMount]?
    /// Keeps standard input open.
    public var stdin: Bool?
    /// Closes standard input when the first attached client goes.
    public var stdinOnce: Bool?
    /// A terminal in place of three streams.
    public var tty: Bool?
    /// User, capabilities, privileges.
    public var securityContext: SecurityContext?
}

/// When an image is pulled.
public enum ImagePullPolicy: String, Codable, Sendable {
    case always = "Always"
    case ifNotPresent = "IfNotPresent"
    case never = "Never"
}

/// Requests and limits by resource name: `cpu`, `memory`, `hugepages-<size>` and others.
public struct Resources: Codable, Equatable, Sendable {
    /// The most that it may use.
    public var limits: [String: Quantity]?
    /// What it needs; a resource that is only limited is requested at its limit.
    public var requests: [String: Quantity]?
}

/// One variable.
public struct EnvironmentVariable: Codable, Equatable, Sendable {
    /// Where a value comes from.
    public struct Source: Codable, Equatable, Sendable {
        /// A key of a ConfigMap in the same file.
        public var configMapKeyRef: KeyReference?
        /// A key of a Secret in the same file.
        public var secretKeyRef: KeyReference?
        /// A field of the pod.
        public var fieldRef: FieldReference?
    }

    /// A key of a named object.
    public struct KeyReference: Codable, Equatable, Sendable {
        /// The object's name.
        public var name: String
        /// The key in its data.
        public var key: String
        /// Whether it may be missing; the variable is then not set.
        public var optional: Bool?
    }

    /// A path such as `metadata.name` or `status.podIP`.
    public struct FieldReference: Codable, Equatable, Sendable {
        /// The path.
        public var fieldPath: String
    }

    /// The variable's name.
    public var name: String
    /// Its value, in which `$(NAME)` stands for an earlier variable.
    public var value: String?
    /// Instead of ``value``.
    public var valueFrom: Source?
}

/// All keys of an object as variables.
public struct EnvironmentSource: Codable, Equatable, Sendable {
    /// A named object.
    public struct Reference: Codable, Equatable, Sendable {
        /// The object's name.
        public var name: String
        /// Whether it may be missing.
        public var optional: Bool?
    }

    /// Put before each key.
    public var prefix: String?
    /// A ConfigMap in the same file.
    public var configMapRef: Reference?
    /// A Secret in the same file.
    public var secretRef: Reference?
}

/// `securityContext` of a container.
public struct SecurityContext: Codable, Equatable, Sendable {
    /// Changes to the default set.
    public struct Capabilities: Codable, Equatable, Sendable {
        /// Names without `CAP_`, or `ALL`.
        public var add: [String]?
        /// Names without `CAP_`, or `ALL`.
        public var drop: [String]?
    }

    /// All privileges of the node.
    public var privileged: Bool?
    /// Capabilities.
    public var capabilities: Capabilities?
    /// User id.
    public var runAsUser: Int64?
    /// Group id; needs a user id too.
    public var runAsGroup: Int64?
    /// Whether the root file system cannot be written.
    public var readOnlyRootFilesystem: Bool?
    /// False sets no_new_privs.
    public var allowPrivilegeEscalation: Bool?
}

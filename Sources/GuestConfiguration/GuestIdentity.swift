/// Who the guest is: the pod, as cloud-init's meta-data says it.
public struct GuestIdentity: Equatable, Sendable, Codable {
    /// The host name inside the guest; at most 63 bytes to be of use to Linux.
    public var hostname: String
    /// What cloud-init takes for "the same machine as at the last boot": the pod's uid.
    public var instanceID: String
    /// The pod's namespace.
    public var namespace: String
    /// The pod's name.
    public var name: String

    /// Makes an identity of its four parts.
    public init(hostname: String, instanceID: String, namespace: String, name: String) {
        self.hostname = hostname
        self.instanceID = instanceID
        self.namespace = namespace
        self.name = name
    }
}

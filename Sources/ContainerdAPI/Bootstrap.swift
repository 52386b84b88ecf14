internal import SwiftProtobuf

extension Containerd_BootstrapParams {
    /// The parameters in what `start` read from its standard input; nil when it is something else.
    ///
    /// `google.protobuf.Any`, which containerd sends up to 2.2, shares the wire types of the first fields, so that each
    /// parses as the other. The parameters are told apart by carrying the id and the namespace of the command line,
    /// which is also how containerd's own shim does it.
    public init?(standardInput: [UInt8], id: String, namespace: String) {
        guard let parameters = try? Containerd_BootstrapParams(serializedBytes: standardInput),
            parameters.instanceID == id, parameters.namespace == namespace
        else { return nil }
        self = parameters
    }
}

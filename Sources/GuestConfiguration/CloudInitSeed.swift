/// cloud-init's NoCloud seed: the four files that a guest finds on the volume labelled `cidata`.
///
/// Each file of the pod's own seed directory stands, byte by byte, in place of the one made here.
public struct CloudInitSeed: Equatable, Sendable {
    /// The files, in the order in which they are written.
    public enum File: String, CaseIterable, Sendable {
        /// Who the guest is.
        case metaData = "meta-data"
        /// The pod's own cloud-config, script or multi-part archive.
        case userData = "user-data"
        /// What Slipway has cloud-init do.
        case vendorData = "vendor-data"
        /// Addresses, routes, DNS.
        case networkConfig = "network-config"
    }

    /// Content by file; every file is there.
    public let files: [File: [UInt8]]

    /// Makes the seed. Pure.
    ///
    /// - Parameters:
    ///   - identity: who the guest is.
    ///   - network: its NICs.
    ///   - machine: how it was placed.
    ///   - environment: `NAME=value` entries, as in the OCI spec's `process.env`; the guest finds them in
    ///     `/etc/slipway/environment`. They are not in the meta-data, which every user of the guest may read.
    ///   - command: `process.args`; the guest finds them in `/etc/slipway/command` and in the meta-data.
    ///   - overrides: the files of the pod's seed directory.
    /// - Throws: ``GuestConfigurationError/nul(field:)``, ``GuestConfigurationError/environment(index:)``.
    public init(
        identity: GuestIdentity, network: GuestNetwork, machine: GuestMachine? = nil, environment: [String] = [],
        command: [String] = [], overrides: [File: [UInt8]] = [:]
    ) throws(GuestConfigurationError) {
        for (field, text) in [
            ("hostname", identity.hostname), ("instanceID", identity.instanceID),
            ("namespace", identity.namespace), ("name", identity.name),
        ] where text.utf8.contains(0) {
            throw .nul(field: field)
        }
        var slipway: [(key: String, value: JSONText)] = [
            ("namespace", .string(identity.namespace)), ("pod", .string(identity.name)),
        ]
        let vendorData = try VendorData(environment: environment, command: command)
        if !command.isEmpty { slipway.append(("command", .strings(command))) }
        if let machine { slipway.append(("machine", machine.json)) }
        let metaData = JSONText.object([
            ("instance-id", .string(identity.instanceID)),
            ("local-hostname", .string(identity.hostname)),
            ("slipway", .object(slipway)),
        ])
        let made: [File: String] = [
            .metaData: metaData.text() + "\n",
            .userData: "#cloud-config\n",
            .vendorData: vendorData.text,
            .networkConfig: network.networkConfig.text() + "\n",
        ]
        files = made.mapValues { Array($0.utf8) }.merging(overrides) { _, override in override }
    }
}

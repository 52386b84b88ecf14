/// A seed of cloud-init: four files that a guest finds on a volume with a certain label.
///
/// Each file of the pod's own seed directory stands, byte by byte, in place of the one made here.
public struct CloudInitSeed: Equatable, Sendable {
    /// The files, in the order in which they are written.
    public enum File: CaseIterable, Sendable {
        /// Who the guest is, and which of its NICs is which.
        case metaData
        /// The pod's own cloud-config, script or multi-part archive.
        case userData
        /// What Slipway has cloud-init do.
        case vendorData
        /// Addresses, routes, DNS.
        case networkConfig
    }

    /// Whose names and formats the files have.
    public let kind: SeedKind
    /// Content by file; every file is there.
    public let files: [File: [UInt8]]

    /// The files that tell of the guest's NICs, which come and go while it runs; see ``rewrite(_:as:inImage:)``.
    public static let networkFiles: [File] = [.metaData, .networkConfig]

    /// Makes the seed. Pure.
    ///
    /// - Parameters:
    ///   - kind: whose names and formats the files shall have.
    ///   - identity: who the guest is.
    ///   - network: its NICs.
    ///   - machine: how it was placed.
    ///   - environment: `NAME=value` entries, as in the OCI spec's `process.env`; the guest finds them in
    ///     `/etc/slipway/environment`. They are not in the meta-data, which every user of the guest may read.
    ///   - command: `process.args`; the guest finds them in `/etc/slipway/command` and in the meta-data.
    ///   - overrides: the files of the pod's seed directory.
    ///   - room: bytes of white space, which neither JSON nor YAML minds, at the end of each of ``networkFiles`` that is
    ///     made here, so that it can tell of more NICs later.
    /// - Throws: ``GuestConfigurationError/nul(field:)``, ``GuestConfigurationError/environment(index:)``.
    public init(
        _ kind: SeedKind = .noCloud, identity: GuestIdentity, network: GuestNetwork, machine: GuestMachine? = nil,
        environment: [String] = [], command: [String] = [], overrides: [File: [UInt8]] = [:],
        room: Int = 0
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
        var metaData = kind == .noCloud ? identity.noCloud : identity.configDrive(machine)
        metaData += [("devices", network.devices), ("slipway", .object(slipway))]
        var made: [File: String] = [
            .metaData: JSONText.object(metaData).text() + "\n",
            .userData: "#cloud-config\n",
            .vendorData: kind == .noCloud ? vendorData.text : vendorData.json.text() + "\n",
            .networkConfig: (kind == .noCloud ? network.networkConfig : network.networkData).text() + "\n",
        ]
        if room > 0 { for file in Self.networkFiles { made[file]? += String(repeating: " ", count: room) } }
        self.kind = kind
        files = made.mapValues { Array($0.utf8) }.merging(overrides) { _, override in override }
    }
}

extension GuestIdentity {
    fileprivate var noCloud: [(key: String, value: JSONText)] {
        [("instance-id", .string(instanceID)), ("local-hostname", .string(hostname))]
    }

    /// As Nova's `_metadata_as_json` has them. The project, OpenStack's tenant, is the namespace; the dedicated CPUs are
    /// the guest's.
    fileprivate func configDrive(_ machine: GuestMachine?) -> [(key: String, value: JSONText)] {
        let dedicated = machine.map { $0.isPinned ? Array(0..<$0.vcpus) : [] } ?? []
        return [
            ("uuid", .string(instanceID)), ("hostname", .string(hostname)), ("name", .string(name)),
            ("launch_index", .number(0)), ("project_id", .string(namespace)),
            ("dedicated_cpus", .array(dedicated.map { .number($0) })),
        ]
    }
}

/// The conventions by which guests know a seed.
public enum SeedKind: CaseIterable, Sendable {
    /// cloud-init's own.
    case noCloud
    /// OpenStack's config drive, which images made for that cloud look for. Nova's `api/metadata/base.py` and
    /// `virt/netutils.py` and its `doc/api_schemas` define the files; one version of them is there, `latest`.
    case configDrive

    /// The volume's label.
    public var label: String {
        switch self {
        case .noCloud: "cidata"
        case .configDrive: "config-2"
        }
    }

    /// As the annotation `slipway.dev/cloud-init` says it.
    var word: String {
        switch self {
        case .noCloud: "nocloud"
        case .configDrive: "configdrive"
        }
    }

    /// The directory of the files on the volume, with a slash at its end unless it is the volume's root.
    public var directory: String {
        switch self {
        case .noCloud: ""
        case .configDrive: "openstack/latest/"
        }
    }

    /// A file's name in its directory.
    public func name(_ file: CloudInitSeed.File) -> String {
        switch (self, file) {
        case (.noCloud, .metaData): "meta-data"
        case (.noCloud, .userData): "user-data"
        case (.noCloud, .vendorData): "vendor-data"
        case (.noCloud, .networkConfig): "network-config"
        case (.configDrive, .metaData): "meta_data.json"
        case (.configDrive, .userData): "user_data"
        case (.configDrive, .vendorData): "vendor_data.json"
        case (.configDrive, .networkConfig): "network_data.json"
        }
    }
}

/// The environment variables by which device plugins tell a container its PCI functions: `PCIDEVICE_INTEL_COM_SRIOV`
/// with addresses separated by commas, and `PCIDEVICE_INTEL_COM_SRIOV_INFO` with JSON whose keys they are.
public enum DeviceEnvironment {
    /// The functions in the variables, each once, in their order, in lower case.
    ///
    /// - Parameter environment: `NAME=value`.
    public static func addresses(_ environment: [String]) -> [String] { [] }

    /// The environment for the guest: every address that the map has is replaced, in both kinds of variables.
    ///
    /// - Parameter guestAddresses: from the function's address on the host to the one in the guest.
    public static func rewriting(_ environment: [String], _ guestAddresses: [String: String]) -> [String] { environment }
}

import CLibvirt

/// An error that libvirt reported (virterror.h).
public struct LibvirtError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The function that failed.
    public let operation: String
    /// `virErrorNumber`; 0 when libvirt left no error.
    public let code: Int32
    /// libvirt's sentence.
    public let message: String

    /// An error of ours in libvirt's place, for example when the library cannot be loaded.
    public init(operation: String, code: Int32 = 0, message: String) {
        self.operation = operation
        self.code = code
        self.message = message
    }

    /// The calling thread's last error. Nothing may run between the failing call and this one.
    static func last(_ operation: String) -> LibvirtError {
        guard let error = lv_virGetLastError() else {
            return LibvirtError(operation: operation, message: "no reason given")
        }
        let message = error.pointee.message.map { String(cString: $0) } ?? "no reason given"
        return LibvirtError(operation: operation, code: error.pointee.code, message: message)
    }

    /// Whether the domain does not exist (any more): `VIR_ERR_NO_DOMAIN`.
    public var isNoDomain: Bool { code == Int32(VIR_ERR_NO_DOMAIN.rawValue) }
    /// Whether the device does not exist (any more): `VIR_ERR_DEVICE_MISSING`, or an internal error in libvirt 9.0 for one
    /// that was named by its alias.
    public var isNoDevice: Bool {
        code == Int32(VIR_ERR_DEVICE_MISSING.rawValue)
            || code == Int32(VIR_ERR_INTERNAL_ERROR.rawValue) && message.contains("no device found with alias")
    }
    /// Whether the guest agent is absent or does not answer: `VIR_ERR_AGENT_UNRESPONSIVE` and its relatives.
    public var isAgentUnavailable: Bool {
        code == Int32(VIR_ERR_AGENT_UNRESPONSIVE.rawValue) || code == Int32(VIR_ERR_ARGUMENT_UNSUPPORTED.rawValue)
            || code == Int32(VIR_ERR_AGENT_UNSYNCED.rawValue)
    }

    /// `libvirt virDomainCreateXML: …`.
    public var description: String { "libvirt \(operation): \(message)" }
}

func checked(_ result: Int32, _ operation: String) throws(LibvirtError) {
    guard result >= 0 else { throw .last(operation) }
}
